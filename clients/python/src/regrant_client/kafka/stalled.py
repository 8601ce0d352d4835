"""Finding a consumer that has silently stopped, as aiokafka's can after a broker's restart (aiokafka #1154).

Only the brokers can tell: there are records behind a position, and the position doesn't move.
"""

import asyncio
import time
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

CHECK_EVERY_S = 10.0
STALLED_AFTER_S = 30.0
"""Longer than any fetch takes."""
ASK_LIMIT_S = 10.0


class Stalled:
    """What is known of a consumer that brings nothing."""

    def __init__(self) -> None:
        self._checked_at = time.monotonic()
        self._stands: dict[TopicPartition, tuple[int, float]] = {}

    async def is_so(self, consumer: Any) -> bool:  # Any: aiokafka has no types
        """Whether records wait that it will not bring. To be asked while nothing comes; mostly it answers at once."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_EVERY_S:
            return False
        self._checked_at = now
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                at = {partition: await consumer.position(partition) for partition in consumer.assignment()}
                ends = await consumer.end_offsets(list(at)) if at else {}
        except (KafkaError, TimeoutError):
            return False  # brokers that can't be asked are no verdict
        behind = {partition: offset for partition, offset in at.items() if offset < ends.get(partition, 0)}
        self._stands = {
            partition: self._stands[partition] if self._stands.get(partition, (-1,))[0] == offset else (offset, now)
            for partition, offset in behind.items()
        }
        return any(now - since >= STALLED_AFTER_S for _, since in self._stands.values())
