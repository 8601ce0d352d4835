"""Publishing the log once more: on an empty Kafka a consumer has the same history and the same states as before."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import channels
from schemas.channels import Channel
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from service.engine.submission import Submission
from service.kafka import republish as republishing
from service.kafka.clients import make_admin
from service.kafka.republish import CannotRepublish
from service.kafka.topics import TOPICS
from service.republish import republish
from service.roll_out import migrate
from service.settings import Settings
from statemachine.inputs import Delete, Update
from tests.loop import HOST, Loop, running_loop

FAST = 100_000.0


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


async def emptied(settings: Settings) -> None:
    """Kafka loses all topics, and gets new ones that are empty."""
    admin = make_admin(settings.kafka)
    await admin.start()
    names = [settings.kafka.topic_prefix + topic.name for topic in TOPICS]
    await admin.delete_topics(names)
    while set(names) & set(await admin.list_topics()):
        await asyncio.sleep(0.05)
    await admin.close()
    await migrate(settings)


async def published(settings: Settings, channel: Channel) -> list[Any]:
    """Everything that is on a topic, each partition from its beginning."""
    topic = settings.kafka.topic_prefix + channel.topic
    consumer = AIOKafkaConsumer(bootstrap_servers=list(settings.kafka.bootstrap), auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = [TopicPartition(topic, p) for p in range(settings.shards)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        found = []
        for part in parts:
            consumer.seek(part, 0)
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        return found
    finally:
        await consumer.stop()


def ids(records: list[Any]) -> list[str]:
    """The events' ids by connector, repeats dropped, in their order."""
    found = [dict(record.headers)["ce_id"].decode() for record in records]
    return sorted(dict.fromkeys(found), key=lambda id_: id_.split("/")[0])


def state(records: list[Any]) -> dict[bytes, Any]:
    """What a consumer of the compacted topic knows: each key's last record, all of it but its place and time."""
    return {record.key: (record.value, record.headers) for record in records}


async def renamed(loop: Loop, id_: ConnectorId, *names: str) -> None:
    for name in names:
        await loop.service.engine.submit(Submission(input=Update(connector=id_, name=name), actor=HOST))


async def test_both_output_topics_are_rebuilt_from_the_log_and_a_new_clusters_inputs_are_read(loop: Loop) -> None:
    settings = loop.service.settings
    kept, gone, silent = [await loop.register(connected=True) for _ in range(3)]
    await loop.produce(channels.SYNC_EVENTS, kept, channels.SYNC_FAILED.type, {}, value=b"{")
    await renamed(loop, kept, "One", "Two", "Three")
    await loop.fail(kept, generation=None)
    await loop.state(kept, State.FAILED)
    await loop.service.engine.submit(Submission(input=Delete(connector=gone), actor=HOST))
    await loop.all_is_out()
    await loop.stop_worker()
    await loop.pool.execute(
        "delete from transition where connector = (select id from connector where connector_id = $1)", silent
    )  # its month was dropped
    before = {channel: await published(settings, channel) for channel in (channels.TRANSITIONS, channels.STATES)}
    await emptied(settings)

    await republish(settings, lambda _: None, new_cluster=True, rate=FAST)

    history = await published(settings, channels.TRANSITIONS)
    assert ids(history) == [id_ for id_ in ids(before[channels.TRANSITIONS]) if not id_.startswith(silent)]
    assert {(r.key, r.value) for r in history} <= {(r.key, r.value) for r in before[channels.TRANSITIONS]}
    after, was = state(await published(settings, channels.STATES)), state(before[channels.STATES])
    assert after.keys() == was.keys()
    assert after[gone.encode()][0] is None
    assert after[kept.encode()] == was[kept.encode()]
    assert orjson.loads(after[silent.encode()][0]) == orjson.loads(was[silent.encode()][0]), "made from its row"
    assert await published(settings, channels.SYNC_REQUESTS) == [], "no sync is started again"

    await loop.take_over()  # the new cluster's inputs, from their offset 0: one has the place of a former dead letter
    await loop.produce(channels.SYNC_EVENTS, kept, channels.SYNC_FAILED.type, {}, value=b"{")
    await loop.say(kept, channels.SYNC_SUCCEEDED)
    await loop.state(kept, State.HEALTHY)
    assert await loop.pool.fetchval("select count(*) from dead_letter") == 2


async def test_one_that_is_interrupted_goes_on_where_it_stopped(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loop.service.settings
    id_ = await loop.register()
    await renamed(loop, id_, *(f"Books {number}" for number in range(30)))
    await loop.all_is_out()
    await loop.stop_worker()
    await emptied(settings)
    monkeypatch.setattr(republishing, "AT_ONCE", 4)
    noted = 0
    note = republishing.stored.note

    async def dies_at_the_third(*arguments: Any) -> None:
        nonlocal noted
        await note(*arguments)
        noted += 1
        if noted == 3:
            raise OSError("the machine is gone")

    monkeypatch.setattr(republishing.stored, "note", dies_at_the_third)
    with pytest.raises(OSError, match="gone"):
        await republish(settings, lambda _: None, new_cluster=True, rate=FAST)
    assert len(await published(settings, channels.TRANSITIONS)) == 12

    said: list[str] = []
    await republish(settings, said.append, new_cluster=True, rate=FAST)

    assert said[0] == "goes on with one that was interrupted"
    versions = [orjson.loads(record.value)["version"] for record in await published(settings, channels.TRANSITIONS)]
    assert versions == list(range(1, 32)), "each once, in order"
    assert await loop.pool.fetchval("select count(*) from republished") == 0


async def test_a_worker_that_still_runs_ends_it(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = await loop.register()
    await renamed(loop, id_, *(f"Books {number}" for number in range(40)))
    await loop.all_is_out()
    monkeypatch.setattr(republishing, "AT_ONCE", 1)
    once_more = asyncio.create_task(republish(loop.service.settings, lambda _: None, new_cluster=False, rate=4))
    number = 0
    while not once_more.done():  # its relay has something to say, finds itself fenced, and takes the shard back
        await renamed(loop, id_, f"Newer {(number := number + 1)}")
        await asyncio.sleep(0.2)
    with pytest.raises(CannotRepublish, match="end all workers first"):
        await once_more
