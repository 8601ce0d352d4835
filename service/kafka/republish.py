"""Publishing the log once more: every transition in order, and each connector's newest state.

As the relay's records, byte by byte and with the same ids, so that whoever has them drops them. It writes with each
shard's relay's own transactional id: a relay that still runs fences it, and then nothing more is written. A state is
read after that fence was taken, so it is never older than what a relay has published of its key.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from service.engine import records
from service.kafka.clients import stop
from service.kafka.published import Publication, Published
from service.kafka.relay import MakeProducer, publish
from service.store import republish as stored
from service.store.log import Logged
from service.store.pool import Pool
from service.store.republish import Progress, Snapshot

AT_ONCE = 500
"""Entries of a transaction of Kafka's."""


class CannotRepublish(Exception):
    """Somebody else publishes; the message says who has to end first."""


@dataclass(slots=True)
class Republisher:
    """Publishes all shards once more, and knows how far it is."""

    pool: Pool
    publication: Publication
    make_producer: MakeProducer
    rate: float
    """Records a second, at most."""
    say: Callable[[str], None]

    async def run(self) -> None:
        """Publishes what isn't yet. Raises `CannotRepublish`; one that was interrupted goes on where it stopped."""
        async with self.pool.acquire() as connection:
            shards = await stored.progress(connection)
        for at in shards:
            await self._shard(at)
        async with self.pool.acquire() as connection:
            await stored.end(connection)

    async def _shard(self, at: Progress) -> None:
        producer = self.make_producer(self.publication.relay_of(at.shard))
        try:
            await producer.start()  # fences the shard's relay
            transitions = states = 0
            while entries := await self._transitions(at):
                await self._publish(producer, at, [self.publication.records_of(entry)[0] for entry in entries])
                at = await self._noted(replace(at, seq=entries[-1].seq))
                transitions += len(entries)
            while found := await self._snapshots(at):
                await self._publish(producer, at, [self._state(one) for one in found])
                at = await self._noted(replace(at, connector=found[-1].row))
                states += len(found)
            self.say(f"shard {at.shard}: {transitions} transitions, {states} states")
        except ProducerFenced:
            raise CannotRepublish(f"a worker publishes shard {at.shard}: end all workers first") from None
        finally:
            await stop(producer)

    async def _transitions(self, at: Progress) -> Sequence[Logged]:
        async with self.pool.acquire() as connection:
            return await stored.transitions(connection, at, AT_ONCE)

    async def _snapshots(self, at: Progress) -> Sequence[Snapshot]:
        async with self.pool.acquire() as connection:
            return await stored.snapshots(connection, at, AT_ONCE)

    async def _noted(self, at: Progress) -> Progress:
        async with self.pool.acquire() as connection:
            await stored.note(connection, at.shard, at.seq, at.connector)
        return at

    async def _publish(self, producer: AIOKafkaProducer, at: Progress, sent: Sequence[Published]) -> None:
        pause = asyncio.create_task(asyncio.sleep(len(sent) / self.rate))
        await publish(producer, at.shard, sent)
        await pause

    def _state(self, one: Snapshot) -> Published:
        """The snapshot that the log holds; made from the row where its month was dropped."""
        entry = one.entry
        if not one.is_in_the_log:
            entry = replace(entry, state=records.encode(records.connector_state(one.connector)))
        return self.publication.state_of(entry)
