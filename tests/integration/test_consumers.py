"""What consumers build on: one record a transition, in order, with repeats that a consumer can drop."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas import channels
from schemas.lifecycle import State
from schemas.records import ConnectorState, SyncRequest, Transition
from tests.loop import Loop, eventually, running_loop

CONNECTORS = 60
EVENTS = 2_000


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


def rebuilt(records: dict[str, list[Any]]) -> dict[str, tuple[str, int]]:
    """A consumer: keeps each connector's newest state, drops what it has seen, and notices a gap."""
    known: dict[str, tuple[str, int]] = {}
    for key, history in records.items():
        for record in history:
            told = Transition.model_validate_json(record.value)
            version = known.get(key, ("", 0))[1]
            if told.version <= version:
                continue
            assert told.version == version + 1, f"{key}: a gap after {version}"
            known[key] = (told.to.value, told.version)
    return known


async def test_p18_a_consumer_rebuilds_the_database_from_the_topic_also_when_it_is_replayed(loop: Loop) -> None:
    ids = await asyncio.gather(*(loop.register(connected=True) for _ in range(CONNECTORS)))
    seed = random.Random(7)
    events = [(seed.choice(ids), seed.random() < 0.5) for _ in range(EVENTS)]
    for id_, good in events:
        if good:
            await loop.say(id_, channels.SYNC_SUCCEEDED)
        else:
            await loop.fail(id_, generation=None)

    async def consumed() -> bool:
        return await loop.pool.fetchval("select sum(next_offset) from input_partition") == EVENTS

    await eventually(consumed, "every event is consumed")
    rows = await loop.pool.fetch("select connector_id, state::text, version from connector")
    expected = {row["connector_id"]: (row["state"], row["version"]) for row in rows}
    topic = loop.topics.records[channels.TRANSITIONS.topic]
    await eventually(lambda: rebuilt(topic) == expected, "the consumer knows what the database knows")

    published = sum(len(records) for records in topic.values())
    await loop.stop_worker()  # which remembers how far it came
    await loop.pool.execute("update shard set published_seq = 0")
    await loop.take_over()
    await eventually(lambda: sum(len(r) for r in topic.values()) >= 2 * published, "everything is published again")
    assert rebuilt(topic) == expected
    ids_of_events = {dict(record.headers)["ce_id"] for records in topic.values() for record in records}
    assert len(ids_of_events) == await loop.pool.fetchval("select count(*) from transition")


async def test_every_record_is_as_its_contract_says(loop: Loop) -> None:
    id_ = await loop.connected()
    for data in loop.topics.data(channels.TRANSITIONS, id_):
        Transition.model_validate(data)
    states = [ConnectorState.model_validate(data) for data in loop.topics.data(channels.STATES, id_)]
    SyncRequest.model_validate(loop.topics.data(channels.SYNC_REQUESTS, id_)[-1])
    await eventually(lambda: loop.topics.data(channels.STATES, id_)[-1]["state"] == State.HEALTHY, "the newest state")
    assert [state.version for state in states] == sorted(state.version for state in states)
