"""Webhooks after the database came back from a dump: told again from where they stood then, with nothing missed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from schemas.ids import ConnectorId
from service.engine.submission import Submission
from service.kafka.shown import Shown
from service.restore import US, Behind
from service.store import couriers as store
from service.store import restored
from tests.faults.test_restore_drill import brought_back, dumped
from tests.integration.test_engine import running
from tests.integration.test_webhooks import Stage, quick
from tests.loop import eventually
from tests.receiver import Receiver, accept, refusing

__all__ = ["quick"]

NEWEST = """
select distinct on (c.connector_id) c.connector_id, t.version, t.record
from transition t join connector c on c.id = t.connector order by c.connector_id, t.version desc
"""


async def test_what_was_told_since_the_dump_is_told_again_and_then_all_that_follows_what_consumers_were_shown(
    database: str, tmp_path: Path
) -> None:
    async with Receiver(answering=refusing("c3")).served() as receiver:
        async with running(database) as engine:
            stage = Stage(engine, receiver, tmp_path)
            async with stage.delivering():
                await stage.happens("c1", "c2", "c3", times=3)
                await stage.all_told(without="c3")
                await stage.stands(lambda s: s.parked == 1, "one is behind")
            await stage.happens("c1", "c4", times=2)
        dump = await dumped(database, tmp_path)

        receiver.answering = accept
        async with running(database) as engine:
            stage = replace(stage, engine=engine)
            async with stage.delivering():
                await stage.happens("c1", "c2", "c3", "c5", times=2)
                await stage.all_told()
            shown = await what_was_shown(stage)
            zombies = await stage.pool.fetch("select shard, epoch from webhook_cursor")

        await brought_back(database, dump)
        first, bodies = set(receiver.ids), {event["id"]: event for event in receiver.taken}
        expected = receiver.versions()
        receiver.tried.clear()
        receiver.answering = same_as(bodies)
        async with running(database) as engine:
            stage = replace(stage, engine=engine)
            for id_ in await goes_on_behind(stage, shown):
                expected.setdefault(id_, []).append(shown[id_].version + 1)
            async with stage.delivering():
                await eventually(lambda: receiver.versions() == expected, "what follows is told")
                await stage.happens("c6", times=2)
                expected["c6"] = [1, 2]
                await eventually(lambda: receiver.versions() == expected, "a new one is told")
                await stage.stands(lambda s: (s.behind, s.parked, s.given_up) == (0, 0, 0), "nothing is behind")
            again = {id_ for id_, _ in receiver.tried} & first
            assert {f"{one}/transition" for one in ("c1/4", "c1/5", "c3/1", "c3/2", "c3/3", "c4/1", "c4/2")} <= again
            assert {one: versions[-1] for one, versions in expected.items()} == {
                "c1": 8,
                "c2": 6,
                "c3": 6,
                "c4": 2,
                "c5": 3,
                "c6": 2,
            }
            for zombie in zombies:
                with pytest.raises(store.Replaced):
                    await moved(stage.pool, zombie)


async def what_was_shown(stage: Stage) -> dict[ConnectorId, Shown]:
    """As Kafka has it, where all was published."""
    rows = await stage.pool.fetch(NEWEST)
    return {
        ConnectorId(row["connector_id"]): Shown(row["version"], False, orjson.loads(row["record"])["connector"])
        for row in rows
    }


async def goes_on_behind(stage: Stage, shown: Mapping[ConnectorId, Shown]) -> list[ConnectorId]:
    """What `regrant restore` does to the database; returns whom it brought behind what was shown."""
    async with stage.pool.acquire() as connection:
        versions = await restored.versions(connection, shown)
        await restored.raise_epochs(connection)
    behind = [Behind(id_, one, id_ in versions) for id_, one in shown.items() if one.version > versions.get(id_, 0)]
    for one in behind:
        for input_ in one.inputs():
            await stage.engine.submit(Submission(input=input_, actor=US))
    return [one.id for one in behind]


def same_as(bodies: Mapping[str, Any]) -> Any:
    """Accepts, and refuses another event with an id that was seen: that would be taken for a repeat, and lost."""

    async def answer(event: dict[str, Any]) -> int:
        return 204 if bodies.get(event["id"], event) == event else 500

    return answer


async def moved(pool: Any, zombie: asyncpg.Record) -> None:
    """A courier of before the restore wakes up."""
    async with pool.acquire() as connection, connection.transaction():
        await store.move(connection, "host", zombie["shard"], zombie["epoch"], 99, store.Seen(True, None))
