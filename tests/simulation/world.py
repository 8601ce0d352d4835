"""One run: the parts, the host and the faults of a seed, until everything is at rest."""

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from schemas.ids import ConnectorId
from service.engine import door, fold
from service.engine.fold import Work
from service.engine.submission import Submission
from service.store.batch import Batch, Loaded
from tests.simulation.broker import Broker
from tests.simulation.clock import run
from tests.simulation.faults import Faults
from tests.simulation.network import Process, Trace, Weather
from tests.simulation.oracle import faults_of
from tests.simulation.replica import SHARDS, Replica, living
from tests.simulation.store import MemoryStore
from tests.simulation.workload import Host

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
STRIKES_S = 10.0
REST_S = 120.0
"""How long everything may take to come to rest once the faults are over."""


@dataclass(slots=True)
class Committed:
    """A batch that was stored, with the inputs that it was made of."""

    batch: Batch
    works: list[Work]
    read: dict[ConnectorId, int]
    """The revision at which each connector was read."""
    now: datetime
    unheard: bool = False
    """Whether the answer got lost: then who handed it in tries again."""

    def was_unheard(self) -> None:
        self.unheard = True


@dataclass(slots=True)
class World:
    """What is left when a run is over."""

    seed: int
    trace: Trace = field(default_factory=Trace)
    history: list[Committed] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What was violated, in words."""


class Run:
    def __init__(self, seed: int, store: type[MemoryStore], broker: type[Broker]) -> None:
        self.world = World(seed)
        self.rng = random.Random(seed)
        self.weather = Weather()
        self.store = store(SHARDS, self.clock, lambda: UUID(int=self.rng.getrandbits(128), version=4))
        self.broker = broker(SHARDS)
        self.replicas: list[Replica] = []
        self.buried: list[Replica] = []
        """Kept, since what waits in them for ever must not be collected."""
        self._made_of: dict[int, tuple[list[Work], dict[ConnectorId, int]]] = {}
        self._incarnations = 0

    def clock(self) -> datetime:
        return BEGIN + timedelta(seconds=asyncio.get_running_loop().time())

    async def __call__(self) -> World:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        trace = self.world.trace
        coordinator = asyncio.ensure_future(self.broker.coordinate())
        for place in range(2):
            self._start(place)
        host = Host(
            self.rng, self.store, self.broker, lambda: living(self.replicas), self.clock, trace, self._is_stored
        )
        faults = Faults(self.rng, self.replicas, self._start, self.store, self.broker, self.weather, trace)
        await asyncio.gather(host.run(self.rng.randint(20, 60), STRIKES_S), faults.run(STRIKES_S))
        await self._rest()
        self.world.faults += host.unexpected
        self.world.faults += faults_of(self.store, self.broker, self.world.history, host.nonsense, self.clock())
        coordinator.cancel()
        return self.world

    def _start(self, place: int) -> None:
        self._incarnations += 1
        rng = random.Random(self.rng.getrandbits(64))
        process = Process(f"{'AB'[place]}{self._incarnations}", rng, self.weather, self.world.trace)
        replica = Replica(process, self.store, self.broker, self._wrote)
        if place < len(self.replicas):
            self.buried.append(self.replicas[place])
            self.replicas[place] = replica
        else:
            self.replicas.append(replica)

    # What the door does is watched from the outside: which inputs a batch was made of, and which batches were stored.

    def folded(self, works: list[Work], loaded: dict[ConnectorId, Loaded], batch: Batch) -> None:
        self._made_of[id(batch)] = works, {id_: one.revision for id_, one in loaded.items()}

    def _wrote(self, batch: Batch, now: datetime) -> Callable[[], None]:
        works, read = self._made_of[id(batch)]
        committed = Committed(batch, works, read, now)
        self.world.history.append(committed)
        return committed.was_unheard

    def _is_stored(self, submission: Submission) -> bool:
        return any(work.submission is submission for committed in self.world.history for work in committed.works)

    # The end.

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + REST_S
        while (waits := self._waits()) and loop.time() < until:
            for replica in self.replicas:
                if replica.task.done():
                    error = replica.task.exception()
                    self.world.faults.append(f"{replica.process.name} ended: {error!r}")
                    return
            await asyncio.sleep(0.5)
        if waits:
            self.world.faults.append(f"doesn't come to rest: {waits}")

    def _waits(self) -> str | None:
        """What isn't done yet."""
        for partition, log in self.broker.logs.items():
            if ".events." in partition.topic or ".commands." in partition.topic:
                position = self.store.tables.partitions.get((partition.topic, partition.partition))
                if not partition.topic.endswith(".dlq") and (position is None or position.at < len(log)):
                    return f"{partition} is consumed up to {position}, of {len(log)}"
        for shard, row in self.store.shards.items():
            if row.published_seq != row.next_seq - 1:
                return f"shard {shard} is published up to {row.published_seq} of {row.next_seq - 1}"
        for id_, connector in self.store.tables.connectors.items():
            if connector.connector.deadline is not None:
                return f"{id_} waits for its deadline {connector.connector.deadline}"
        if self.store.tables.jobs:
            return f"jobs wait: {list(self.store.tables.jobs.values())}"
        return None


@contextmanager
def _watched(run_: Run) -> Iterator[None]:
    """The door's fold tells which inputs each batch was made of; what is logged goes into the trace."""

    def watched(works: list[Work], loaded: dict[ConnectorId, Loaded], *rest: object) -> object:
        batch, receipts = fold.fold(works, loaded, *rest)  # type: ignore[arg-type]
        run_.folded(list(works), loaded, batch)
        return batch, receipts

    def traced(logger: object, method: str, event: dict[str, object]) -> str:
        said = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
        run_.world.trace.add("log", f"{event['event']} {said}")
        if event["event"] == "job_broke" or (event["event"] == "batch_failed" and "UniqueViolation" not in said):
            run_.world.faults.append(f"{event['event']} {said} {sys.exc_info()[1]!r}")
        raise structlog.DropEvent

    configured, drawn = structlog.get_config(), random.getstate()
    structlog.configure(processors=[traced], cache_logger_on_first_use=False)
    door.fold = watched  # type: ignore[assignment]
    random.seed(run_.world.seed)
    try:
        yield
    finally:
        door.fold = fold.fold
        random.setstate(drawn)
        structlog.configure(**configured)


def simulate(seed: int, store: type[MemoryStore] = MemoryStore, broker: type[Broker] = Broker) -> World:
    """Runs a seed; the same seed is the same run."""
    run_ = Run(seed, store, broker)
    with _watched(run_):
        return run(run_())
