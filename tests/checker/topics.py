"""Reads topics from their beginning to where they end now, one partition at a time, and names what they are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.checker.reading import COMMANDS, SYNC_EVENTS

TRANSITIONS = "connectors.auth.transitions.v1"
STATES = "connectors.auth.state.v1"
SYNC_REQUESTS = "connectors.sync.requests.v1"
INPUTS = (SYNC_EVENTS, COMMANDS)
DEAD_LETTERS = tuple(f"{topic}.dlq" for topic in INPUTS)
GROUP = "regrant"

_FETCH = 5000
_LARGEST_FETCH = 8 * 1024 * 1024


class TopicMissing(Exception):
    """Kafka doesn't know a topic: is the prefix right?"""


@dataclass(slots=True)
class Topics:
    """The topics of a deployment, named here without its prefix."""

    prefix: str
    _consumer: AIOKafkaConsumer
    _admin: AIOKafkaAdminClient

    async def partitions(self, topic: str) -> list[int]:
        known = (await self._consumer._client.fetch_all_metadata()).partitions_for_topic(self.prefix + topic)
        if not known:
            raise TopicMissing(self.prefix + topic)
        return sorted(known)

    async def begin(self, topic: str, partition: int) -> int:
        """The first offset that is still there."""
        at = TopicPartition(self.prefix + topic, partition)
        return int((await self._consumer.beginning_offsets([at]))[at])

    async def end(self, topic: str, partition: int) -> int:
        """The offset that the next record gets."""
        at = TopicPartition(self.prefix + topic, partition)
        return int((await self._consumer.end_offsets([at]))[at])

    async def committed(self) -> dict[tuple[str, int], int]:
        """The offsets that the workers' group has committed to Kafka; topics with their prefix."""
        offsets = await self._admin.list_consumer_group_offsets(self.prefix + GROUP)
        return {(at.topic, at.partition): known.offset for at, known in offsets.items()}

    async def records(self, topic: str, partition: int) -> AsyncIterator[ConsumerRecord]:
        """Every record of a partition, also of transactions that were aborted: it is a true fact all the same."""
        at = TopicPartition(self.prefix + topic, partition)
        end = await self.end(topic, partition)
        self._consumer.assign([at])
        await self._consumer.seek_to_beginning(at)
        while await self._consumer.position(at) < end:
            for record in (await self._consumer.getmany(at, timeout_ms=200, max_records=_FETCH)).get(at, ()):
                if record.offset < end:
                    yield record


@asynccontextmanager
async def opened(bootstrap: str, prefix: str) -> AsyncIterator[Topics]:
    """The topics, while the block lasts."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
        fetch_max_bytes=_LARGEST_FETCH,
        max_partition_fetch_bytes=_LARGEST_FETCH,
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await consumer.start()
        await admin.start()
        yield Topics(prefix, consumer, admin)
    finally:
        await admin.close()
        await consumer.stop()
