"""What waits in Kafka is what the metric says, and what the group's lag says, by which KEDA and lag tools go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import channels
from schemas.lifecycle import State
from service.kafka import lag, watch
from service.kafka.clients import make_offsets_reader
from tests.loop import Loop, eventually, running_loop
from tests.metrics import here, labelled

TOPIC = channels.SYNC_EVENTS.topic
INPUTS = 5


async def test_what_waits_is_what_the_metric_and_the_groups_lag_say_until_it_is_stored(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "TELL_EVERY_S", 0.05)
    monkeypatch.setattr(watch, "FOLLOW_EVERY_S", 0.05)
    async with (
        running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop,
        tools(loop) as (admin, reader),
    ):

        async def lags() -> tuple[float, int]:
            told = here()["regrant_consumer_lag", labelled(topic=TOPIC)]
            partitions = [TopicPartition(topic_prefix + TOPIC, one) for one in range(loop.service.settings.shards)]
            return told, await as_keda_counts(admin, reader, f"{topic_prefix}regrant", partitions)

        id_ = await loop.register(connected=True)
        await loop.fail(id_, generation=None)
        await loop.state(id_, State.FAILED)
        await eventually(is_so(lags, 0), "nothing waits")
        async with loop.pool.acquire() as other, other.transaction():
            await other.execute("select from connector where connector_id = $1 for update", id_)  # nothing is stored
            for _ in range(INPUTS):
                await loop.fail(id_, generation=None)
            await eventually(is_so(lags, INPUTS), "all of them wait")
        await eventually(is_so(lags, 0), "all are stored")


def is_so(lags, wanted):  # type: ignore[no-untyped-def]
    async def both() -> bool:
        return bool(await lags() == (wanted, wanted))

    return both


@asynccontextmanager
async def tools(loop: Loop) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    kafka = loop.service.settings.kafka
    admin, reader = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap), make_offsets_reader(kafka)
    await admin.start()
    await reader.start()
    try:
        yield admin, reader
    finally:
        await reader.stop()
        await admin.close()


async def as_keda_counts(
    admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, group: str, partitions: list[TopicPartition]
) -> int:
    """The group's lag, by the chart's ScaledObject: without an offset a partition waits from its beginning."""
    stands = await admin.list_consumer_group_offsets(group)
    ends, begins = await reader.end_offsets(partitions), await reader.beginning_offsets(partitions)
    return sum(ends[one] - (stands[one].offset if one in stands else begins[one]) for one in partitions)
