"""How far the consumer is behind, by input: told as a metric, from what the broker says with every fetch anyway."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer

from service.kafka.watch import Positions
from service.telemetry import metrics

TELL_EVERY_S = 2.0


async def tell_lag(
    consumer: AIOKafkaConsumer, topics: Sequence[str], prefix: str, waiting: Callable[[], Positions]
) -> None:
    """Tells it until cancelled. `waiting` gives the first offset of each partition here that isn't stored."""
    while True:
        behind = dict.fromkeys(topics, 0)
        assigned = consumer.assignment()
        for partition, first in waiting().items():
            # A paused partition isn't fetched from: what the broker said last is less than what there is, and not none.
            end = consumer.highwater(partition) if partition in assigned else None
            behind[partition.topic] += max((end or 0) - first, 0)
        for topic, records in behind.items():
            metrics.CONSUMER_LAG.labels(topic.removeprefix(prefix)).set(records)
        await asyncio.sleep(TELL_EVERY_S)
