"""Waits until everything that is on the input topics has been stored."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import channels
from tests.loop import Loop

PATIENCE_S = 30.0
LOOK_EVERY_S = 0.05


async def dealt_with(loop: Loop) -> None:
    """Returns when each input partition is consumed to its end of now. A partition that stands still is an error."""
    prefix, shards = loop.topics.prefix, loop.service.settings.shards
    consumer = AIOKafkaConsumer(bootstrap_servers=loop.topics.bootstrap)
    await consumer.start()
    try:
        parts = [TopicPartition(prefix + c.topic, shard) for c in channels.INPUTS for shard in range(shards)]
        ends = {(p.topic, p.partition): end for p, end in (await consumer.end_offsets(parts)).items()}
    finally:
        await consumer.stop()
    still, last = 0.0, -1
    while still < PATIENCE_S:
        rows = await loop.pool.fetch("select topic, partition, next_offset from input_partition")
        done = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        if all(done.get(at, 0) >= end for at, end in ends.items()):
            return
        moved = sum(done.values()) != last
        still, last = 0.0 if moved else still + LOOK_EVERY_S, sum(done.values())
        await asyncio.sleep(LOOK_EVERY_S)
    raise AssertionError(f"a partition stands still: {done}, not {ends}")
