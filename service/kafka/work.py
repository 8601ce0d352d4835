"""The worker's Kafka side: one consumer, and a relay for every shard that this process owns."""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer

from schemas.ids import Shard
from service.engine.door import Engine
from service.kafka.consume import Consumer
from service.kafka.published import Publication
from service.kafka.relay import MakeProducer, Relay
from service.store.pool import TRANSIENT

log = structlog.get_logger()

LISTEN_RETRY_S = 1.0


class Worker:
    """Consumes inputs and publishes the log until cancelled."""

    def __init__(
        self,
        engine: Engine,
        publication: Publication,
        make_consumer: Callable[[], AIOKafkaConsumer],
        make_producer: MakeProducer,
        shards_changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._publication = publication
        self._make_producer = make_producer
        self._consumer = Consumer(engine, publication.prefix, make_consumer, self._own, shards_changed)
        self._owned_changed = asyncio.Event()
        self._relays: dict[Shard, asyncio.Task[None]] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consumer.run(), name="consumer")
            tasks.create_task(self._keep_relays(tasks), name="relays")
            tasks.create_task(self._listen(), name="listen")

    def _own(self, shards: set[Shard]) -> None:
        """The consumer's word on which shards are ours."""
        self._engine.relayed.clear()
        self._engine.relayed.update(shards)
        self._owned_changed.set()

    async def _keep_relays(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self._owned_changed.wait()
            self._owned_changed.clear()
            owned = set(self._engine.relayed)
            for shard in set(self._relays) - owned:
                self._relays.pop(shard).cancel()
            for shard in owned:
                running = self._relays.get(shard)
                if running is None or running.done():
                    self._relays[shard] = tasks.create_task(self._relay(shard).run(), name=f"relay-{shard}")

    def _relay(self, shard: Shard) -> Relay:
        engine = self._engine
        return Relay(shard, engine.store, self._publication, self._make_producer, engine.tails[shard])

    async def _listen(self) -> None:
        """Hears of what other processes committed into our shards; without it the relays look once a second."""
        while True:
            try:
                await self._engine.store.listen(self._heard)
            except TRANSIENT as error:
                log.warning("listen_restarts", error=type(error).__name__)
            await asyncio.sleep(LISTEN_RETRY_S)

    def _heard(self, shard: Shard) -> None:
        if (tail := self._engine.tails.get(shard)) is not None:
            tail.wake()
