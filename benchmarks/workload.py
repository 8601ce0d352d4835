"""The inputs: sync events as a host writes them, and what must have become of every connector once all are handled.

`transitions` is the worst case: every input is a transition. `fleet` is a real one: 95 % are successes of healthy
connectors, which are observations.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from benchmarks.fleet import Fleet, connector_id, visiting_order
from schemas import channels

Mix: TypeAlias = Literal["transitions", "fleet"]
Header: TypeAlias = tuple[str, bytes]

FAILURES_OF_A_FLEET = 0.025
"""With the recovery after each, five of a hundred inputs are transitions."""
STEP = timedelta(microseconds=200)
"""Between the starts of two runs: a connector's runs only go forward."""
_BATCH_BYTES = 900_000


@dataclass(frozen=True, slots=True)
class Record:
    """One input record."""

    partition: int
    key: bytes
    value: bytes
    headers: list[Header]


@dataclass(slots=True)
class Workload:
    """A seeded stream of inputs over a fleet, and the state that they lead to."""

    fleet: Fleet
    mix: Mix = "transitions"
    hot: bool = False
    """Half of all inputs are about one connector."""
    versions: dict[str, int] = field(default_factory=dict)
    """By connector: the version it ends with. A connector that isn't here has still version 1."""
    failed: set[str] = field(default_factory=set)
    transitions: int = 0
    inputs: int = 0
    order: list[int] = field(default_factory=list)
    """The numbers of the connectors, in the order of their turns; all in a seeded order where none is given."""
    _random: random.Random = field(default_factory=lambda: random.Random(11))
    _base: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=2))

    def records(self, count: int) -> Iterator[Record]:
        """The next `count` records, with times that have passed."""
        for _ in range(count):
            at = self._base + self.inputs * STEP
            yield self.next(at, str(self.inputs))

    def next(self, at: datetime, event_id: str) -> Record:
        """The next record, of a run that began at `at`."""
        number = self._number()
        id_ = connector_id(number)
        fails = self._fails(id_)
        self.inputs += 1
        time = at.isoformat().encode()
        message = channels.SYNC_FAILED if fails else channels.SYNC_SUCCEEDED
        value = b'{"started_at":"' + time + (b'","reason":"token_refused"}' if fails else b'"}')
        headers = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_type", message.type.encode()),
            ("ce_id", event_id.encode()),
            ("ce_source", b"/bench/sync-engine"),
            ("ce_subject", id_.encode()),
            ("ce_time", time),
        ]
        return Record(self.fleet.shard_of[number], id_.encode(), value, headers)

    def state_of(self, id_: str) -> str:
        return "failed" if id_ in self.failed else "healthy"

    def _number(self) -> int:
        if self.hot and self.inputs % 2:
            return 0
        if not self.order:
            self.order = visiting_order(self.fleet.connectors)
        return self.order[self.inputs % len(self.order)]

    def _fails(self, id_: str) -> bool:
        """Whether the next run of the connector fails; keeps what follows from it."""
        if id_ in self.failed:
            self.failed.remove(id_)
            self._moved(id_)
            return False
        if self.mix == "fleet" and self._random.random() >= FAILURES_OF_A_FLEET:
            return False
        self.failed.add(id_)
        self._moved(id_)
        return True

    def _moved(self, id_: str) -> None:
        self.versions[id_] = self.versions.get(id_, 1) + 1
        self.transitions += 1


async def preload(bootstrap: str, topic: str, records: Iterator[Record]) -> None:
    """Writes records as fast as the broker takes them, each to its key's partition, in order."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=_BATCH_BYTES, max_request_size=4_000_000)
    await producer.start()
    try:
        open_: dict[int, BatchBuilder] = {}
        for record in records:
            batch = open_.get(record.partition)
            if batch is None or not fits(batch, record):
                if batch is not None:
                    await _send(producer, batch, topic, record.partition)
                batch = open_[record.partition] = producer.create_batch()
                assert fits(batch, record)
        for partition, batch in open_.items():
            await _send(producer, batch, topic, partition)
        await producer.flush()
    finally:
        await producer.stop()


def fits(batch: BatchBuilder, record: Record) -> bool:
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is not None


async def _send(producer: AIOKafkaProducer, batch: BatchBuilder, topic: str, partition: int) -> None:
    batch.close()
    await producer.send_batch(batch, topic, partition=partition)
