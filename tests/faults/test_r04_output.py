"""R4 and P18: the output under kills, and a consumer that rebuilds the state from nothing but it."""

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import channels
from tests.faults.scenarios.r04_output import order_and_completeness
from tests.faults.stage import staged

pytestmark = pytest.mark.slow

TRANSITIONS, CONNECTORS = 20_000, 500


async def test_r04_p18_under_kills_the_output_is_complete_in_order_and_rebuilds_the_state(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with staged(database, kafka_bootstrap, topic_prefix, seed=4, connectors=CONNECTORS, say=print) as stage:
        await order_and_completeness(stage, TRANSITIONS)
        assert await rebuilt(kafka_bootstrap, topic_prefix + channels.TRANSITIONS.topic) == await stored(database)


async def rebuilt(bootstrap: str, topic: str) -> dict[str, tuple[object, ...]]:
    """What a consumer that drops repeats by version knows of every connector."""
    known: dict[str, tuple[object, ...]] = {}
    versions: dict[str, int] = {}
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    said = orjson.loads(record.value)
                    id_, version, now = said["connector_id"], said["version"], said["connector"]
                    if version > versions.get(id_, 0):
                        assert version == versions.get(id_, 0) + 1, "a gap"
                        versions[id_] = version
                        known[id_] = (now["state"], now["version"], now["reason"], now["generation"], now["name"])
    finally:
        await consumer.stop()
    return known


async def stored(dsn: str) -> dict[str, tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select connector_id, state::text, version, reason, generation, name from connector"
        )
    finally:
        await connection.close()
    return {row["connector_id"]: tuple(row)[1:] for row in rows}
