"""What lies between a process and the world: time that passes, answers that get lost, and processes that are no more.

A request takes a while to arrive and its answer a while to come back. A process that is paused sends and hears nothing
until it goes on: a zombie's request may arrive long after others took over. A process that died hears nothing again,
and what it still tries reaches nobody.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg

from schemas.ids import AttemptId, ConnectorId, Generation, Shard
from schemas.lifecycle import Step
from service.store.batch import Batch, Loaded, ShardOf
from service.store.due import Due, Job
from service.store.log import Entry
from service.store.partitions import Position
from tests.simulation.store import MemoryStore

T = TypeVar("T")
Wrote = Callable[[Batch, datetime], Callable[[], None]]
"""Is told of a batch that was stored; answers whom to tell that nobody heard so."""


class Trace:
    """What happened, a line each: two runs of one seed have the same."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, who: str, what: str) -> None:
        now = asyncio.get_running_loop().time()
        self.lines.append(f"{now:9.4f} {who:4} {what}")


@dataclass(slots=True)
class Weather:
    """How things are just now: set by the schedule of faults."""

    error_rate: float = 0.0
    """How many of the database's calls fail, half of them after they took effect."""
    slow_rate: float = 0.02
    database_away: bool = False
    broker_away: bool = False


class Process:
    """One incarnation of a replica, as the world sees it."""

    def __init__(self, name: str, rng: random.Random, weather: Weather, trace: Trace) -> None:
        self.name = name
        self.rng = rng
        self.weather = weather
        self.trace = trace
        self.dead = False
        self.running = asyncio.Event()
        self.running.set()
        self._over = asyncio.Event()

    def dies(self) -> None:
        self.dead = True
        self.running.set()

    async def crosses(self) -> None:
        """The way to the world or back."""
        slow = self.rng.random() < self.weather.slow_rate
        await asyncio.sleep(self.rng.uniform(0.1, 1.0) if slow else self.rng.uniform(0.0005, 0.01))
        while not self.running.is_set() and not self.dead:
            await self.running.wait()
        if self.dead:
            await self._over.wait()  # for ever

    async def asks(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """A call of the database."""
        await self.crosses()
        fails = self.rng.random() < self.weather.error_rate
        after = fails and self.rng.random() < 0.5
        if self.weather.database_away or (fails and not after):
            self.trace.add(self.name, f"{what}: not reached")
            await self.crosses()
            raise asyncpg.ConnectionDoesNotExistError("not reached")
        try:
            answer = await call()
        except (Exception, asyncio.CancelledError) as error:
            self.trace.add(self.name, f"{what}: {type(error).__name__}")
            await self.crosses()
            raise
        self.trace.add(self.name, f"{what}{': unheard' if after else ''}")
        await self.crosses()
        if after:
            raise asyncpg.ConnectionDoesNotExistError("the answer got lost")
        return answer


class DistantStore:
    """The store as a process has it: `MemoryStore` behind a network."""

    def __init__(self, store: MemoryStore, process: Process, wrote: Wrote) -> None:
        self._store, self._process, self._wrote = store, process, wrote

    async def load(self, ids: Collection[ConnectorId], shard_of: ShardOf) -> tuple[datetime, dict[ConnectorId, Loaded]]:
        return await self._process.asks(f"load {' '.join(sorted(ids))}", lambda: self._store.load(ids, shard_of))

    async def steps(self, attempts: Collection[AttemptId]) -> dict[AttemptId, Step]:
        return await self._process.asks("steps", lambda: self._store.steps(attempts))

    async def store(self, batch: Batch, now: datetime) -> None:
        unheard: list[Callable[[], None]] = []

        async def stores() -> None:
            await self._store.store(batch, now)
            unheard.append(self._wrote(batch, now))

        moves = " ".join(f"{m.topic[11:15]}{m.partition}:{m.first}-{m.next_}/{m.epoch}" for m in batch.offsets)
        done = " ".join(f"{t.connector}/{t.version}" for t in batch.transitions)
        try:
            await self._process.asks(f"store [{moves}] [{done}]", stores)
        except asyncpg.ConnectionDoesNotExistError:
            for tell in unheard:
                tell()
            raise

    async def claim_partition(self, topic: str, partition: int) -> Position:
        call = f"claim {topic[11:15]}{partition}"
        return await self._process.asks(call, lambda: self._store.claim_partition(topic, partition))

    async def position(self, topic: str, partition: int) -> Position:
        return await self._process.asks("position", lambda: self._store.position(topic, partition))

    async def claim_relay(self, shard: Shard) -> Position:
        return await self._process.asks(f"claim relay {shard}", lambda: self._store.claim_relay(shard))

    async def unpublished(self, shard: Shard, after: int, limit: int) -> list[Entry]:
        call = f"unpublished {shard} after {after}"
        return await self._process.asks(call, lambda: self._store.unpublished(shard, after, limit))

    async def move_watermark(self, shard: Shard, epoch: int, seq: int) -> bool:
        call = f"watermark {shard} to {seq}/{epoch}"
        return await self._process.asks(call, lambda: self._store.move_watermark(shard, epoch, seq))

    async def listen(self, heard: Callable[[Shard], None]) -> None:
        await self._process.crosses()
        loop = asyncio.get_running_loop()

        def told(shard: Shard) -> None:
            loop.call_later(self._process.rng.uniform(0.001, 0.02), heard, shard)

        await self._store.listen(told)

    async def due(self, own: Sequence[Shard], lateness: timedelta, limit: int) -> list[Due]:
        return await self._process.asks("due", lambda: self._store.due(own, lateness, limit))

    async def lease_jobs(self, limit: int, lease: timedelta) -> list[Job]:
        return await self._process.asks("lease jobs", lambda: self._store.lease_jobs(limit, lease))

    async def renew(self, job: Job, lease: timedelta) -> None:
        await self._process.asks(f"renew {job.id}", lambda: self._store.renew(job, lease))

    async def postpone(self, job: Job, pause: timedelta) -> None:
        await self._process.asks(f"postpone {job.id}", lambda: self._store.postpone(job, pause))

    async def add_candidate(self, job: Job, generation: Generation) -> bool:
        return await self._process.asks(f"candidate {job.id}", lambda: self._store.add_candidate(job, generation))

    async def copy(self, job: Job) -> bool:
        return await self._process.asks(f"copy {job.id}", lambda: self._store.copy(job))

    async def finish(self, job: Job) -> None:
        await self._process.asks(f"finish {job.id}", lambda: self._store.finish(job))
