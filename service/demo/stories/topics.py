"""Everything that regrant published, kept by topic and connector, with when it was seen."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import channels
from schemas.channels import Channel
from service.demo.deployment import SHARDS

OUTPUTS = tuple(channel.topic for channel in channels.CHANNELS if channel.direction == "out")
DEAD_LETTERS = tuple(channel.dead_letters for channel in channels.INPUTS)


@dataclass(frozen=True, slots=True)
class Seen:
    """One record. `data` is `None` for a tombstone; `at` is `time.monotonic()` when it came."""

    id: str
    data: Any
    """What JSON can hold."""
    at: float


@dataclass(slots=True)
class Topics:
    """Follows one platform's output topics from their beginning."""

    bootstrap: str
    prefix: str
    records: dict[str, dict[str, list[Seen]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    following: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Follows until cancelled. Without a group: every partition is read by this one reader."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, fetch_max_wait_ms=20)
        await consumer.start()
        try:
            names = (*OUTPUTS, *DEAD_LETTERS)
            places = [TopicPartition(self.prefix + name, p) for name in names for p in range(SHARDS)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            self.following.set()
            async for record in consumer:
                headers = dict(record.headers)
                data = orjson.loads(record.value) if record.value else None
                seen = Seen(headers.get("ce_id", b"").decode(), data, time.monotonic())
                topic = record.topic.removeprefix(self.prefix)
                self.records[topic][(record.key or b"").decode(errors="replace")].append(seen)
        finally:
            await consumer.stop()

    def of(self, channel: Channel, connector: str) -> list[Seen]:
        """The records of one connector, repeats of an event dropped, in the order in which they came."""
        return list({seen.id: seen for seen in reversed(self.records[channel.topic][connector])}.values())[::-1]

    def event_ids(self, channel: Channel) -> set[str]:
        """The ids of all events on a topic."""
        return {seen.id for records in self.records[channel.topic].values() for seen in records}
