"""What the host writes to Kafka: CloudEvents in binary mode, keyed by connector id, with plain headers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaProducer

from schemas.channels import Channel, Message


@dataclass(frozen=True, slots=True)
class Event:
    """One record, ready to be sent, once or several times."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class HostEvents:
    """The host's producer. Usable inside `async with`."""

    bootstrap: str
    topic_prefix: str
    _producer: AIOKafkaProducer | None = field(default=None, repr=False)

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=0)
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await self._producer.stop()

    def event(
        self, channel: Channel, message: Message, connector: str, data: object, at: datetime | None = None
    ) -> Event:
        """A record of `channel` that happened `at` (now). `data` is what `message.data` describes, as JSON values."""
        headers = {
            "ce_specversion": "1.0",
            "ce_id": uuid4().hex,
            "ce_type": message.type,
            "ce_source": "/drivewell",
            "ce_subject": connector,
            "ce_time": (at or datetime.now(UTC)).isoformat(),
            "content-type": "application/json",
        }
        encoded = [(name, value.encode()) for name, value in headers.items()]
        return Event(self.topic_prefix + channel.topic, connector.encode(), orjson.dumps(data), encoded)

    async def send(self, event: Event) -> tuple[int, int]:
        """Sends it and waits until the broker has it; returns its partition and offset."""
        assert self._producer is not None, "inside `async with`"
        stored = await self._producer.send_and_wait(
            event.topic, key=event.key, value=event.value, headers=list(event.headers)
        )
        return stored.partition, stored.offset

    async def say(self, channel: Channel, message: Message, connector: str, data: object) -> None:
        await self.send(self.event(channel, message, connector, data))
