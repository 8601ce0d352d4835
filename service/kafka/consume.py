"""Consuming: records become inputs, in order within a partition, into the engine.

Kafka's group only hints who works on which partition; the fence in Postgres decides. So a partition that is assigned
starts paused, is claimed in the database, is read from the offset that the database knows, and only then resumes.
Kafka's own committed offset follows, for lag tools.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from schemas import channels
from schemas.ids import Shard
from service.engine.door import Engine
from service.engine.fold import Unreadable, Work
from service.engine.queue import Chunk
from service.engine.submission import Submission
from service.kafka.clients import stop
from service.kafka.cloudevents import BadRecord
from service.kafka.decode import decode
from service.kafka.lag import tell_lag
from service.kafka.watch import ConsumerStalled, Positions, follow_offsets, watch
from service.store.partitions import FenceLost, OffsetMove
from service.store.pool import LOCKED, TRANSIENT
from service.telemetry import metrics, traces

log = structlog.get_logger()

FETCH_CAP = 500
"""Records of one fetch."""
IN_FLIGHT_CAP = 1000
"""Records of a partition that may be on their way to the database; then the partition is paused, not buffered.

Records, not chunks: under a low load chunks are small, and a paused partition misses a whole wait of the broker's.
"""

OwnerChanged = Callable[[set[Shard]], None]
"""Told which shards this process works on, whenever that changes."""


@dataclass(slots=True)
class _Held:
    """A partition that this process has claimed."""

    epoch: int
    next_offset: int
    in_flight: list[Chunk] = field(default_factory=list)

    def is_stored(self) -> bool:
        """Whether nothing that was read waits for the database."""
        return all(chunk.stored.done() for chunk in self.in_flight)

    def has_room(self) -> bool:
        """Whether more may be read."""
        return sum(len(chunk.works) for chunk in self.in_flight) < IN_FLIGHT_CAP


class Consumer:
    """Reads the input topics into the engine until cancelled."""

    def __init__(
        self,
        engine: Engine,
        prefix: str,
        make_consumer: Callable[[], AIOKafkaConsumer],
        owner_changed: OwnerChanged,
        shards_changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._prefix = prefix
        self._make_consumer = make_consumer
        self._owner_changed = owner_changed
        self._shards_changed = shards_changed
        self._held: dict[TopicPartition, _Held] = {}
        self._unclaimed: set[TopicPartition] = set()
        self._stored: dict[TopicPartition, int] = {}
        """The offsets that Kafka is still to be told."""
        self._some_stored = asyncio.Event()

    async def run(self) -> None:
        """Consumes until cancelled; a consumer that breaks, or stalls, is made anew."""
        pause = 0.2
        while True:
            consumer = self._make_consumer()
            try:
                await consumer.start()
                consumer.subscribe(self._topics(), listener=_Listener(self))
                await _first_of(
                    self._read(consumer),
                    self._settle_as_stored(consumer),
                    follow_offsets(consumer, self._stored),
                    watch(consumer, partial(self._positions, consumer)),
                    tell_lag(consumer, self._topics(), self._prefix, self._waiting),
                )
            except (KafkaError, ConsumerStalled, *TRANSIENT) as error:
                metrics.CONSUMER_RESTARTS.labels(_whose(error)).inc()
                log.warning("consumer_restarts", error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5)
            finally:
                self._drop(set(self._held) | self._unclaimed)
                await stop(consumer)

    def _waiting(self) -> Positions:
        """The first offset of each partition that isn't stored yet."""
        return {
            partition: held.in_flight[0].move.first if held.in_flight else held.next_offset
            for partition, held in self._held.items()
        }

    def _topics(self) -> list[str]:
        return [self._prefix + channel.topic for channel in channels.INPUTS]

    async def _positions(self, consumer: AIOKafkaConsumer) -> Positions:
        """Where reading should go on by itself: what isn't held up by our own database.

        Without any partition the group may have forgotten us: then it is where the database says that others are.
        """
        if self._held or self._unclaimed:
            return {partition: held.next_offset for partition, held in self._held.items() if held.is_stored()}
        partitions = [TopicPartition(t, p) for t in self._topics() for p in consumer.partitions_for_topic(t) or ()]
        return {p: (await self._engine.store.position(p.topic, p.partition)).at for p in partitions}

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._claim(consumer)
            fetched = await consumer.getmany(timeout_ms=50, max_records=FETCH_CAP)
            for partition, records in fetched.items():
                held = self._held.get(partition)
                if held is not None:
                    await self._hand_in(consumer, partition, held, records)

    async def _claim(self, consumer: AIOKafkaConsumer) -> None:
        for partition in sorted(self._unclaimed):
            try:
                position = await self._engine.store.claim_partition(partition.topic, partition.partition)
            except LOCKED:
                continue  # its former owner's transaction still holds it: the others first
            if partition not in self._unclaimed:
                continue  # taken away again meanwhile
            self._unclaimed.discard(partition)
            try:
                consumer.seek(partition, position.at)
                consumer.resume(partition)
            except IllegalStateError:
                continue  # not assigned any more
            self._held[partition] = _Held(position.epoch, position.at)
            self._tell()

    async def _hand_in(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, held: _Held, records: Sequence[ConsumerRecord]
    ) -> None:
        new = [record for record in records if record.offset >= held.next_offset]
        if not new:
            return  # fetched before the partition was claimed anew
        works = [_work(record, self._prefix) for record in new]
        next_ = new[-1].offset + 1
        move = OffsetMove(partition.topic, partition.partition, held.epoch, held.next_offset, next_)
        chunk = Chunk(move, works, asyncio.get_running_loop().create_future())
        held.next_offset = next_
        held.in_flight.append(chunk)
        chunk.stored.add_done_callback(lambda _: self._some_stored.set())
        if not held.has_room() and partition in consumer.assignment():
            consumer.pause(partition)
        await self._engine.consume(chunk)

    async def _settle_as_stored(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._some_stored.wait()
            self._some_stored.clear()
            self._settle(consumer)

    def _settle(self, consumer: AIOKafkaConsumer) -> None:
        """Follows up what was stored: Kafka's own offset, room for more, and partitions that were lost."""
        for partition, held in list(self._held.items()):
            while held.in_flight and held.in_flight[0].stored.done():
                chunk = held.in_flight.pop(0)
                if isinstance(chunk.stored.exception(), FenceLost):
                    log.info("partition_lost", topic=partition.topic, partition=partition.partition)
                    self._reclaim(consumer, partition)
                    break
                self._stored[partition] = chunk.move.next_
            if held.has_room() and partition in consumer.paused():
                consumer.resume(partition)

    def _reclaim(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Somebody else claimed it: if the group still gives it to us, claim it back and read again."""
        self._drop({partition})
        if partition in consumer.assignment():
            consumer.pause(partition)
            self._unclaimed.add(partition)

    def assigned(self, partitions: set[TopicPartition]) -> None:
        """Notes what is ours now. Partitions beyond our shards are left alone until the process is started again."""
        known = {partition for partition in partitions if Shard(partition.partition) in self._engine.tails}
        self._unclaimed |= known
        if known != partitions:
            log.warning("shards_changed", shards=len(self._engine.tails))
            self._shards_changed()

    def revoked(self, partitions: set[TopicPartition]) -> None:
        self._drop(partitions)

    def _drop(self, partitions: set[TopicPartition]) -> None:
        self._unclaimed -= partitions
        for partition in partitions:
            held = self._held.pop(partition, None)
            for chunk in held.in_flight if held else []:
                chunk.stored.add_done_callback(_seen)
        self._tell()

    def _tell(self) -> None:
        sync_events = self._prefix + channels.SYNC_EVENTS.topic
        self._owner_changed({Shard(p.partition) for p in self._held if p.topic == sync_events})


def _whose(error: BaseException) -> str:
    if isinstance(error, KafkaError):
        return "broker"
    return "stalled" if isinstance(error, ConsumerStalled) else "database"


async def _first_of(*coroutines: Coroutine[object, object, None]) -> None:
    """Runs all until the first ends, then cancels the others. Raises what that one raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _seen(stored: "asyncio.Future[None]") -> None:
    """A chunk of a partition that was taken away: whether it was stored is the next owner's to read."""
    if not stored.cancelled():
        stored.exception()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Only notes what the group says: the claiming is done by the reader's own task, where errors are seen."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._consumer.revoked(set(revoked))

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.assigned(set(assigned))


def _work(record: ConsumerRecord, prefix: str) -> Work:
    """A record as an input, or as what is wrong with it."""
    try:
        said = decode(record.key, record.value, record.headers, topic=record.topic.removeprefix(prefix))
    except BadRecord as bad:
        return Work(Unreadable(bad.code, bad.detail), record=record)
    submission = Submission(input=said.input, actor=said.actor, evidence=said.evidence, trace=said.trace)
    return Work(submission, record=record, origin=traces.origin())
