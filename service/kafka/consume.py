"""Consuming: records become inputs, in order within a partition, into the engine.

Kafka's group only hints who works on which partition; the fence in Postgres decides. So a partition that is assigned
starts paused, is claimed in the database, is read from the offset that the database knows, and only then resumes.
Kafka's own committed offset follows, for lag tools.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas import channels
from schemas.ids import Shard
from service.engine.door import Chunk, Engine
from service.engine.fold import Unreadable, Work
from service.engine.submission import Submission
from service.kafka.cloudevents import BadRecord
from service.kafka.decode import decode
from service.store.partitions import FenceLost, OffsetMove
from service.store.pool import TRANSIENT

log = structlog.get_logger()

FETCH_CAP = 500
"""Records of one fetch."""
IN_FLIGHT_CAP = 2
"""Chunks of a partition that may be on their way to the database; then the partition is paused, not buffered."""

OwnerChanged = Callable[[set[Shard]], None]
"""Told which shards this process works on, whenever that changes."""


@dataclass(slots=True)
class _Held:
    """A partition that this process has claimed."""

    epoch: int
    next_offset: int
    in_flight: list[Chunk] = field(default_factory=list)


class Consumer:
    """Reads the input topics into the engine until cancelled."""

    def __init__(
        self,
        engine: Engine,
        prefix: str,
        make_consumer: Callable[[], AIOKafkaConsumer],
        owner_changed: OwnerChanged,
    ) -> None:
        self._engine = engine
        self._prefix = prefix
        self._make_consumer = make_consumer
        self._owner_changed = owner_changed
        self._held: dict[TopicPartition, _Held] = {}
        self._unclaimed: set[TopicPartition] = set()

    async def run(self) -> None:
        """Consumes until cancelled; a consumer that breaks is made anew."""
        pause = 0.2
        while True:
            consumer = self._make_consumer()
            try:
                await consumer.start()
                consumer.subscribe(
                    [self._prefix + channel.topic for channel in channels.INPUTS], listener=_Listener(self)
                )
                await self._read(consumer)
            except (KafkaError, *TRANSIENT) as error:
                log.warning("consumer_restarts", error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5)
            finally:
                self._drop(set(self._held) | self._unclaimed)
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._claim(consumer)
            await self._settle(consumer)
            fetched = await consumer.getmany(timeout_ms=50, max_records=FETCH_CAP)
            for partition, records in fetched.items():
                held = self._held.get(partition)
                if held is not None:
                    await self._hand_in(consumer, partition, held, records)

    async def _claim(self, consumer: AIOKafkaConsumer) -> None:
        for partition in sorted(self._unclaimed):
            position = await self._engine.store.claim_partition(partition.topic, partition.partition)
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
        if len(held.in_flight) >= IN_FLIGHT_CAP and partition in consumer.assignment():
            consumer.pause(partition)
        await self._engine.consume(chunk)

    async def _settle(self, consumer: AIOKafkaConsumer) -> None:
        """Follows up what was stored: Kafka's own offset, room for more, and partitions that were lost."""
        stored: dict[TopicPartition, int] = {}
        for partition, held in list(self._held.items()):
            while held.in_flight and held.in_flight[0].stored.done():
                chunk = held.in_flight.pop(0)
                if isinstance(chunk.stored.exception(), FenceLost):
                    log.info("partition_lost", topic=partition.topic, partition=partition.partition)
                    self._reclaim(consumer, partition)
                    break
                stored[partition] = chunk.move.next_
            if len(held.in_flight) < IN_FLIGHT_CAP and partition in consumer.paused():
                consumer.resume(partition)
        mine = {partition: offset for partition, offset in stored.items() if partition in consumer.assignment()}
        if mine:
            try:
                await consumer.commit(mine)
            except (CommitFailedError, IllegalStateError, KafkaError) as error:
                log.info("offsets_not_followed", error=type(error).__name__)  # only lag tools read them

    def _reclaim(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Somebody else claimed it: if the group still gives it to us, claim it back and read again."""
        self._drop({partition})
        if partition in consumer.assignment():
            consumer.pause(partition)
            self._unclaimed.add(partition)

    def assigned(self, consumer_partitions: set[TopicPartition]) -> None:
        self._unclaimed |= consumer_partitions

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
    return Work(submission, record=record)
