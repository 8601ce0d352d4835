"""Reads topics from their beginning to where they end now, one partition at a time, and names what they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from tests.checker.reading import COMMANDS, SYNC_EVENTS

TRANSITIONS = "connectors.auth.transitions.v1"
STATES = "connectors.auth.state.v1"
SYNC_REQUESTS = "connectors.sync.requests.v1"
INPUTS = (SYNC_EVENTS, COMMANDS)
DEAD_LETTERS = tuple(f"{topic}.dlq" for topic in INPUTS)
GROUP = "regrant"

_FETCH = 5000
_LARGEST_FETCH = 8 * 1024 * 1024
_PATIENCE_S = 10.0


class TopicMissing(Exception):
    """Kafka doesn't know a topic: is the prefix right?"""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition, and what it held when it was looked at."""

    topic: str
    """With the deployment's prefix."""
    partition: int
    begin: int
    """The first offset that is still there."""
    end: int
    """The offset that the next record gets."""

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


@dataclass(slots=True)
class Topics:
    """The topics of a deployment, named here without its prefix."""

    prefix: str
    _consumer: AIOKafkaConsumer
    _admin: AIOKafkaAdminClient

    async def parts(self, topic: str) -> list[Part]:
        """The partitions of a topic as they are now."""
        name = self.prefix + topic
        known = (await self._consumer._client.fetch_all_metadata()).partitions_for_topic(name)
        if not known:
            raise TopicMissing(name)
        at = [TopicPartition(name, partition) for partition in sorted(known)]
        begins, ends = await self._consumer.beginning_offsets(at), await self._consumer.end_offsets(at)
        return [Part(name, one.partition, begins[one], ends[one]) for one in at]

    async def committed(self) -> dict[tuple[str, int], int]:
        """The offsets that the workers' group has committed to Kafka; topics with their prefix."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    offsets = await self._admin.list_consumer_group_offsets(self.prefix + GROUP)
                    return {(at.topic, at.partition): known.offset for at, known in offsets.items()}
                except GroupCoordinatorNotAvailableError:  # a broker that never had a group makes its place first
                    await asyncio.sleep(0.1)

    async def records(self, part: Part) -> AsyncIterator[ConsumerRecord]:
        """Every record of a partition, also of transactions that were aborted: it is a true fact all the same."""
        at = TopicPartition(part.topic, part.partition)
        if part.begin == part.end:
            return
        self._consumer.assign([at])
        self._consumer.seek(at, part.begin)
        while await self._consumer.position(at) < part.end:
            for record in (await self._consumer.getmany(at, timeout_ms=200, max_records=_FETCH)).get(at, ()):
                if record.offset < part.end:
                    yield record
        self._consumer.unsubscribe()  # else its fetches hold up what is asked next


@asynccontextmanager
async def opened(bootstrap: str, prefix: str) -> AsyncIterator[Topics]:
    """The topics, while the block lasts."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        fetch_max_wait_ms=10,
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
