"""A broker in memory: topics, one consumer group with eager rebalances, and producers that are fenced by their id.

It answers as Apache Kafka does where the service relies on it: a group's member learns late that it was left out; a
record of a fenced producer is refused; a record that was sent may be written though nobody heard so.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError, ProducerFenced

from tests.simulation.network import Process

SESSION_S = 6.0
"""How long a member may be silent before the group goes on without it."""


@dataclass(frozen=True, slots=True)
class Record:
    """As a consumer gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Broker:
    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.logs: dict[TopicPartition, list[Record]] = defaultdict(list)
        self.grew = asyncio.Event()
        self.producer_epochs: dict[str, int] = defaultdict(int)
        self.committed: dict[TopicPartition, int] = {}
        self._members: dict[int, Consumer] = {}
        self._wanted = asyncio.Event()
        self._joined = 0
        self.generation = 0

    def append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> Record:
        log = self.logs[TopicPartition(topic, partition)]
        record = Record(topic, partition, len(log), key, value, tuple(headers))
        log.append(record)
        self.grew.set()
        self.grew.clear()
        return record

    def rebalance(self) -> None:
        self._wanted.set()

    def join(self, consumer: "Consumer") -> None:
        self._joined += 1
        consumer.member = self._joined
        self._members[consumer.member] = consumer
        self.rebalance()

    def leave(self, consumer: "Consumer") -> None:
        if self._members.pop(consumer.member, None) is not None:
            self.rebalance()

    def is_member(self, consumer: "Consumer") -> bool:
        return consumer.member in self._members

    async def coordinate(self) -> None:
        """The group's coordinator: everybody gives back all, then the partitions are dealt anew."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self.generation += 1
            members = list(self._members.values())
            revoking = [asyncio.ensure_future(member.gives_back()) for member in members]
            if revoking:
                _, late = await asyncio.wait(revoking, timeout=SESSION_S)
                for task in late:
                    task.cancel()
                for member, task in zip(members, revoking, strict=True):
                    if task in late:
                        self._members.pop(member.member, None)  # it finds out by itself
            members = [member for _, member in sorted(self._members.items())]
            for i, member in enumerate(members):
                first, last = i * self.partitions // len(members), (i + 1) * self.partitions // len(members)
                member.gets({TopicPartition(t, p) for t in member.topics for p in range(first, last)})


@dataclass(eq=False)
class Consumer:
    """The part of `AIOKafkaConsumer` that the service uses."""

    broker: Broker
    process: Process
    topics: list[str] = field(default_factory=list)
    member: int = 0

    def __post_init__(self) -> None:
        self._assigned: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._listener: object = None
        self._heartbeat: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.process.crosses()
        self._reach()

    def _reach(self) -> None:
        if self.process.weather.broker_away:
            raise KafkaConnectionError("the broker is away")

    def subscribe(self, topics: list[str], listener: object) -> None:
        self.topics, self._listener = list(topics), listener
        self.broker.join(self)
        self._heartbeat = asyncio.ensure_future(self._beat())

    async def stop(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._take({})
        await self.process.crosses()
        self.broker.leave(self)

    async def _beat(self) -> None:
        """Finds out that the group went on without this member, and joins it again."""
        while True:
            await asyncio.sleep(1.5)
            await self.process.crosses()
            if not self.broker.is_member(self):
                self.process.trace.add(self.process.name, "learns that its session is over")
                self._take({})
                self.broker.join(self)

    # What the coordinator does to it.

    async def gives_back(self) -> None:
        await self.process.crosses()
        self._take({})

    def gets(self, partitions: set[TopicPartition]) -> None:
        asyncio.ensure_future(self._gets(self.broker.generation, partitions)).set_name("assignment")

    async def _gets(self, generation: int, partitions: set[TopicPartition]) -> None:
        await self.process.crosses()
        if self.broker.generation == generation and self.broker.is_member(self):
            self._take(dict.fromkeys(sorted(partitions)))

    def _take(self, partitions: dict[TopicPartition, None]) -> None:
        if self._assigned:
            self._listener.on_partitions_revoked(list(self._assigned))  # type: ignore[attr-defined]
        self._assigned, self._paused = set(partitions), set()
        self._positions = {p: self.broker.committed.get(p, 0) for p in partitions}
        if partitions:
            told = " ".join(f"{p.topic[11:15]}{p.partition}" for p in partitions)
            self.process.trace.add(self.process.name, f"is assigned {told}")
            self._listener.on_partitions_assigned(list(partitions))  # type: ignore[attr-defined]

    # What the service asks.

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._assigned)

    def paused(self) -> frozenset[TopicPartition]:
        return frozenset(self._paused)

    def pause(self, *partitions: TopicPartition) -> None:
        self._own(partitions)
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._own(partitions)
        self._paused -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._own([partition])
        self._positions[partition] = offset

    def _own(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            if partition not in self._assigned:
                raise IllegalStateError(f"{partition} isn't assigned")

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self.broker.partitions))

    def highwater(self, partition: TopicPartition) -> int | None:
        return len(self.broker.logs[partition])

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await self.process.crosses()
        self._reach()
        return {partition: len(self.broker.logs[partition]) for partition in partitions}

    async def committed(self, partition: TopicPartition) -> int | None:
        await self.process.crosses()
        self._reach()
        return self.broker.committed.get(partition)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        await self.process.crosses()
        self._reach()
        self._own(list(offsets))
        self.broker.committed.update(offsets)
        await self.process.crosses()

    async def getmany(self, timeout_ms: int = 0, max_records: int | None = None) -> dict[TopicPartition, list[Record]]:
        """Waits ten times as long as it is asked to: a world that waits has fewer steps, and none of another kind."""
        fetched = self._ready(max_records or 500)
        if not fetched:
            try:
                async with asyncio.timeout(timeout_ms / 100):
                    await self.broker.grew.wait()
            except TimeoutError:
                pass
        await self.process.crosses()
        if self.process.weather.broker_away:
            return {}
        fetched = self._ready(max_records or 500)
        for partition, records in fetched.items():
            self._positions[partition] = records[-1].offset + 1
        return fetched

    def _ready(self, limit: int) -> dict[TopicPartition, list[Record]]:
        ready = {}
        for partition in sorted(self._assigned - self._paused):
            at = self._positions[partition]
            if records := self.broker.logs[partition][at : at + limit]:
                ready[partition] = records
        return ready


class Batch:
    """The part of `BatchBuilder` that the service uses."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]] = []

    def append(
        self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> object:
        self.records.append((key, value, headers))
        return object()

    def record_count(self) -> int:
        return len(self.records)

    def size(self) -> int:
        """A record is larger here, so that a transaction has several batches of a partition."""
        return 100_000 * len(self.records)

    def close(self) -> None:
        pass


@dataclass(eq=False)
class Producer:
    """The part of `AIOKafkaProducer` that the service uses."""

    broker: Broker
    process: Process
    transactional_id: str
    epoch: int = 0

    def __post_init__(self) -> None:
        self._sent: dict[TopicPartition, asyncio.Task[None]] = {}

    async def start(self) -> None:
        await self.process.crosses()
        self._reach()
        self.broker.producer_epochs[self.transactional_id] += 1
        self.epoch = self.broker.producer_epochs[self.transactional_id]
        self.process.trace.add(self.process.name, f"producer {self.transactional_id[-1]}/{self.epoch}")
        await self.process.crosses()

    async def stop(self) -> None:
        await self.process.crosses()

    def _reach(self) -> None:
        if self.process.weather.broker_away:
            raise KafkaConnectionError("the broker is away")

    def _fence(self) -> None:
        if self.broker.producer_epochs[self.transactional_id] != self.epoch:
            raise ProducerFenced

    async def begin_transaction(self) -> None:
        pass

    async def commit_transaction(self) -> None:
        await self.process.crosses()
        self._reach()
        self._fence()
        await self.process.crosses()

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Task[None]":
        """Sends; what is under way arrives even when nobody waits for it any more, unless the fence came first."""
        place = TopicPartition(topic, partition)
        sent = asyncio.ensure_future(self._send(batch, topic, partition, self._sent.get(place)))
        self._sent[place] = sent
        return sent

    async def _send(self, batch: Batch, topic: str, partition: int, earlier: "asyncio.Task[None] | None") -> None:
        """A partition's batches go one after the other; behind one that failed none is taken."""
        if earlier is not None:
            await asyncio.shield(earlier)
        await self.process.crosses()
        self._reach()
        self._fence()
        for key, value, headers in batch.records:
            self.broker.append(topic, partition, key, value, headers)
        told = " ".join((key or b"").decode(errors="replace") for key, _, _ in batch.records)
        self.process.trace.add(self.process.name, f"writes {topic}{partition}: {told}")
        await self.process.crosses()
