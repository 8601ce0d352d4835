"""Beside a consumer: Kafka's own offsets follow what is stored, and a consumer that has silently stopped is found.

aiokafka's consumer can stop fetching after a broker's restart or a rebalance without a sign (aiokafka #1154). Only the
broker can tell: there are records behind the position, and the position doesn't move.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

log = structlog.get_logger()

FOLLOW_EVERY_S = 1.0
CHECK_EVERY_S = 5.0
STALLED_AFTER_S = 20.0
"""Longer than any fetch takes."""
FORGOTTEN_AFTER_S = 60.0
"""Longer than a group takes to rebalance, in which nobody has a partition."""
ASK_LIMIT_S = 10.0

Positions = Mapping[TopicPartition, int]


class ConsumerStalled(Exception):
    """Records wait behind positions that don't move: the consumer has to be made anew."""


async def follow_offsets(consumer: AIOKafkaConsumer, stored: dict[TopicPartition, int]) -> None:
    """Commits to Kafka what `stored` says, now and then, and empties it. Only lag tools read it."""
    while True:
        await asyncio.sleep(FOLLOW_EVERY_S)
        mine = {partition: offset for partition, offset in stored.items() if partition in consumer.assignment()}
        stored.clear()
        if not mine:
            continue
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                await consumer.commit(mine)
        except (CommitFailedError, IllegalStateError, KafkaError, TimeoutError) as error:
            log.info("offsets_not_followed", error=type(error).__name__)  # after a rebalance they aren't ours to commit


async def watch(consumer: AIOKafkaConsumer, positions: Callable[[], Awaitable[Positions]]) -> None:
    """Raises `ConsumerStalled` once a position has stood still in front of records for too long.

    `positions` tells where reading should go on by itself: the consumer's own, or, while it has no partition, the
    whole group's. A broker that can't be asked is no verdict.
    """
    clock = asyncio.get_running_loop().time
    stands: dict[TopicPartition, tuple[int, float]] = {}
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        at, now = await positions(), clock()
        ends = await _ends(consumer, at)
        if beyond := [f"{p.topic}[{p.partition}]" for p, offset in at.items() if ends.get(p, offset) < offset]:
            # What comes below would be taken for consumed: it is another cluster, or one that lost records.
            log.error("offsets_beyond_the_topic", partitions=beyond, mend="docs/disaster.md")
        behind = {partition: offset for partition, offset in at.items() if ends.get(partition, 0) > offset}
        stands = {
            partition: stands[partition] if stands.get(partition, (-1,))[0] == offset else (offset, now)
            for partition, offset in behind.items()
        }
        patience = STALLED_AFTER_S if consumer.assignment() else FORGOTTEN_AFTER_S
        if any(now - since >= patience for _, since in stands.values()):
            raise ConsumerStalled


async def _ends(consumer: AIOKafkaConsumer, positions: Positions) -> Positions:
    if not positions:
        return {}
    try:
        async with asyncio.timeout(ASK_LIMIT_S):
            ends: Positions = await consumer.end_offsets(list(positions))
            return ends
    except (KafkaError, TimeoutError):
        return {}
