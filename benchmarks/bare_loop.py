"""The bare loop, as a process: the store's own load and store on batches decided ahead. No Kafka, no pydantic.

It is the ceiling: what this SQL does on this database with these connections, when everything else is free. Told by
lines of JSON: it builds its next batches, says `ready`, runs them on `go` (one loop a shard), and says what came out.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import uvloop

from benchmarks.fleet import Fleet, connector_id
from benchmarks.workload import Workload
from schemas import channels
from schemas.ids import ConnectorId, ProviderId, Shard
from schemas.records import ProviderError
from service.engine.fold import Work, fold
from service.engine.submission import Judgement, Submission
from service.kafka.decode import decode
from service.store.batch import Batch, Loaded
from service.store.log import Watermark
from service.store.partitions import OffsetMove
from service.store.pool import open_pool
from service.store.postgres import PostgresStore
from statemachine import Rules

_LOAD = 2000
_POOL = 8
"""As many connections as a worker has."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a process of the loop does."""

    dsn: str
    connectors: int
    shard_of: list[int]
    shards: list[int]
    batch: int
    guarded: bool = True
    """With the fence, the offset and the watermark; without, nobody would notice a zombie, a repeat or a crash."""

    def written(self) -> bytes:
        return orjson.dumps(asdict(self)) + b"\n"


class _NoProviders:
    """What the fold asks about providers: these inputs never ask."""

    def knows(self, provider: ProviderId) -> bool:
        return True

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        raise AssertionError("a failure of these inputs brings its reason")


@dataclass(slots=True)
class _Ready:
    """A batch that only has to be stored."""

    ids: dict[ConnectorId, Shard]
    batch: Batch


class Shards:
    """The shards of one process: their inputs, their connectors as they are in the database, their offsets."""

    def __init__(self, task: Task, store: PostgresStore) -> None:
        self._task, self._store = task, store
        self._loaded: dict[ConnectorId, Loaded] = {}
        self._inputs = {shard: _works(task, shard) for shard in task.shards}
        self._offset = dict.fromkeys(task.shards, 0)
        self._epoch: dict[int, int] = {}
        self._relay_epoch: dict[int, int] = {}
        self._logged = dict.fromkeys(task.shards, 0)

    async def own(self) -> None:
        """Loads the connectors, and takes the partitions as a worker does."""
        mine = [number for number, shard in enumerate(self._task.shard_of) if shard in self._offset]
        for start in range(0, len(mine), _LOAD):
            ids = {
                ConnectorId(connector_id(number)): Shard(self._task.shard_of[number])
                for number in mine[start : start + _LOAD]
            }
            self._loaded |= (await self._store.load(ids, ids.__getitem__))[1]
        for shard in self._task.shards:
            owned = await self._store.claim_partition(channels.SYNC_EVENTS.topic, shard)
            self._epoch[shard], self._offset[shard] = owned.epoch, owned.at
            relay = await self._store.claim_relay(Shard(shard))
            self._relay_epoch[shard], self._logged[shard] = relay.epoch, relay.at

    def build(self, batches: int) -> dict[int, list[_Ready]]:
        """The next batches of each shard, decided by the fold itself."""
        return {shard: [self._next(shard) for _ in range(batches)] for shard in self._task.shards}

    def _next(self, shard: int) -> _Ready:
        works = [next(self._inputs[shard]) for _ in range(self._task.batch)]
        ids = {id_: Shard(shard) for work in works if (id_ := work.connector) is not None}
        loaded = {id_: self._loaded[id_] for id_ in ids}
        batch, _ = fold(works, loaded, datetime.now(UTC), Rules(), _NoProviders())
        for changed in batch.changed:
            after = changed.after
            self._loaded[after.id] = Loaded(changed.pk, changed.revision + 1, changed.shard, after)
        if self._task.guarded:
            first = self._offset[shard]
            self._offset[shard] = first + len(works)
            move = OffsetMove(channels.SYNC_EVENTS.topic, shard, self._epoch[shard], first, first + len(works))
            batch.offsets = [move]
            batch.watermarks = [Watermark(Shard(shard), self._relay_epoch[shard], self._logged[shard])]
            self._logged[shard] += len(batch.transitions)
        return _Ready(ids, batch)

    async def run(self, ready: Sequence[_Ready], took: list[float]) -> None:
        """Stores a shard's batches, one after the other."""
        for one in ready:
            began = time.perf_counter()
            now, _ = await self._store.load(one.ids, one.ids.__getitem__)
            await self._store.store(one.batch, now)
            took.append(time.perf_counter() - began)


def _works(task: Task, shard: int) -> Iterator[Work]:
    """A shard's inputs, each of its connectors in turn: what the worker decodes, decoded ahead."""
    mine = [number for number in range(task.connectors) if task.shard_of[number] == shard]
    workload = Workload(Fleet("", task.connectors, 0, task.shard_of), order=mine)
    while True:
        record = next(workload.records(1))
        said = decode(record.key, record.value, record.headers, topic=channels.SYNC_EVENTS.topic)
        yield Work(Submission(input=said.input, actor=said.actor, evidence=said.evidence, trace=said.trace))


def say(**what: Any) -> None:  # Any: what JSON can hold
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    stdin = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    task = Task(**orjson.loads(await stdin.readline()))
    pool = await open_pool(task.dsn, size=_POOL)
    shards = Shards(task, PostgresStore(pool, task.dsn))
    await shards.own()
    gc.freeze()
    gc.disable()
    say(owned=True)
    while line := await stdin.readline():  # ends when our parent does
        ready = shards.build(int(line))
        gc.collect()
        say(ready=sum(len(batches) for batches in ready.values()))
        await stdin.readline()
        took: list[float] = []
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(shards.run(batches, took) for batches in ready.values()))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        events = sum(len(one.batch.transitions) for batches in ready.values() for one in batches)
        say(events=events, wall=wall, cpu=cpu, took=took if task.batch == 1 else [])


if __name__ == "__main__":
    uvloop.run(main())
