"""The restore drill: the database comes back from a dump, while Kafka kept what was published since."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.embedded.postgres import _binaries
from service.engine.submission import Submission
from service.restore import CannotRestore, restore
from statemachine.inputs import Delete, Disconnect, Update
from tests.databases import dropped, execute, named
from tests.integration.test_republish import published
from tests.loop import HOST, Loop, eventually, running_loop

pytestmark = pytest.mark.slow


async def program(*command: str | Path) -> None:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def dumped(database: str, folder: Path) -> Path:
    file = folder / "regrant.dump"
    await program(_binaries() / "pg_dump", "--format=custom", f"--file={file}", database)
    return file


async def brought_back(database: str, file: Path) -> None:
    """The database is lost, and made from the dump."""
    name = database.rsplit("/", 1)[1]
    await dropped(database, name)
    await execute(named(database, "postgres"), f"create database {name}")
    await program(_binaries() / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={database}", file)


async def say(loop: Loop, input_: Any) -> None:
    await loop.service.engine.submit(Submission(input=input_, actor=HOST))


async def what_a_consumer_knows(loop: Loop) -> dict[str, Any]:
    """Each connector by the history, repeats dropped by their ids; first occurrences come in order."""
    known: dict[str, Any] = {}
    seen: set[str] = set()
    for record in await published(loop.service.settings, channels.TRANSITIONS):
        id_ = dict(record.headers)["ce_id"].decode()
        if id_ in seen:
            continue
        seen.add(id_)
        told = orjson.loads(record.value)
        before = known.get(told["connector_id"])
        assert told["version"] == (before["version"] if before else 0) + 1, "consumers see no gap"
        known[told["connector_id"]] = told["connector"]
    return known


async def test_a_database_from_a_dump_goes_on_behind_what_consumers_have_seen(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        settings = loop.service.settings
        renewed = await loop.failed()
        renamed, deleted, off, failing, quiet = [await loop.register(connected=True) for _ in range(5)]
        await loop.all_is_out()
        dump = await dumped(database, tmp_path)

        await loop.reconnect(renewed)
        await loop.state(renewed, State.SYNCING)
        await loop.say(renewed, channels.SYNC_SUCCEEDED, generation=2)
        await loop.state(renewed, State.HEALTHY)
        await say(loop, Update(connector=renamed, name="Ledger"))
        await say(loop, Delete(connector=deleted))
        await say(loop, Disconnect(connector=off))
        await loop.fail(failing, generation=None)
        await loop.state(failing, State.FAILED)
        late = await loop.register("late", connected=True)
        await loop.all_is_out()
        with pytest.raises(CannotRestore, match="end all of them first"):
            await restore(settings, lambda _: None, dry_run=False)

    await brought_back(database, dump)
    said: list[str] = []
    await restore(settings, said.append, dry_run=True)
    assert said[-1] == "6 connectors would be brought behind what was shown of them"
    await restore(settings, said.append, dry_run=False)
    assert said[-1] == "6 connectors were brought behind what was shown of them"
    await restore(settings, said.append, dry_run=False)
    assert said[-1] == "0 connectors were brought behind what was shown of them"

    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path / "again") as loop:
        await loop.state(failing, State.FAILED)  # what came since the dump is consumed again
        await _nothing_is_left_to_read(loop)
        row = await loop.row(renewed)
        assert (row["state"], row["reason"]) == (State.FAILED, Reason.VAULT_INTEGRITY)
        assert row["generation"] > 2, "a sync of the lost credential is of an older one"
        assert await loop.current(renewed) is None
        assert (await loop.row(deleted))["state"] == State.DELETED
        assert (await loop.row(off))["state"] == State.DISCONNECTED
        row = await loop.row(late)
        assert (row["state"], row["version"]) == (State.FAILED, 2), "its credential is known to nobody"
        assert (await loop.row(renamed))["name"] == "Books", "a caller's word is lost"
        assert (await loop.row(quiet))["version"] == 1
        await loop.all_is_out()
        known = await what_a_consumer_knows(loop)
        last = {record.key.decode(): record.value for record in await published(settings, channels.STATES)}
        for id_ in (renewed, renamed, deleted, off, failing, quiet, late):
            row = await loop.row(ConnectorId(id_))
            assert (known[id_]["version"], known[id_]["state"]) == (row["version"], row["state"])
            state = orjson.loads(last[id_]) if last[id_] else {"version": row["version"], "state": "deleted"}
            assert (state["version"], state["state"]) == (row["version"], row["state"])


async def _nothing_is_left_to_read(loop: Loop) -> None:
    async def all_is_read() -> bool:
        ends = {
            (record.topic, record.partition): record.offset + 1
            for channel in channels.INPUTS
            for record in await published(loop.service.settings, channel)
        }
        rows = await loop.pool.fetch("select topic, partition, next_offset from input_partition")
        at = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return all(at.get(partition, 0) >= end for partition, end in ends.items())

    await eventually(all_is_read, "all inputs are read")
