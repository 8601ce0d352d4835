"""Writing sync events: with a producer that is made when the first webhook comes, and made anew when it breaks.

Whoever waits here is told only what the brokers have acknowledged.
"""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import channels
from service.engine.submission import Busy
from service.kafka.clients import stop
from service.kafka.cloudevents import Header

log = structlog.get_logger()

SEND_LIMIT_S = 6.0
"""Less than senders wait."""


class EventProducer:
    """A process's producer of sync events."""

    def __init__(self, make: Callable[[], AIOKafkaProducer], prefix: str) -> None:
        self._make = make
        self._topic = prefix + channels.SYNC_EVENTS.topic
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, key: str | None, value: bytes, headers: list[Header]) -> None:
        """Returns once the brokers have it. Raises `Busy` where they don't take it now."""
        producer = None
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                producer = await self._started()
                partition = 0 if key is None else None  # what is about nobody goes anywhere
                encoded = None if key is None else key.encode()
                await producer.send_and_wait(self._topic, value, encoded, partition, headers=headers)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("adapter_waits_for_kafka", error=type(error).__name__)
            await self._give_up(producer)
            raise Busy from None

    async def close(self) -> None:
        await self._give_up(self._producer)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = self._make()
                try:
                    await producer.start()
                except BaseException:
                    await stop(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _give_up(self, producer: AIOKafkaProducer | None) -> None:
        """One that failed is made anew; the others that wait for it fail with it."""
        if producer is not None and producer is self._producer:
            self._producer = None
            await stop(producer)
