"""The bare loop from outside: passes of batches that are built before the clock starts, in one or two processes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks.bare_loop import Task
from benchmarks.fleet import Fleets
from benchmarks.measure import Point, PointFailed, Span
from benchmarks.processes import spent

BATCH = 500
"""As the door's cap."""
_ANSWER_S = 120
_PASS_S = 1.0
_MOST_INPUTS = 80_000
"""A pass's batches lie in memory, 3 kB an input."""


@dataclass(slots=True)
class _Child:
    """One process of the loop."""

    process: asyncio.subprocess.Process

    async def tell(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        await self.process.stdin.drain()

    async def hear(self) -> dict[str, Any]:  # Any: what JSON can hold
        assert self.process.stdout is not None
        async with asyncio.timeout(_ANSWER_S):
            line = await self.process.stdout.readline()
        if not line:
            raise PointFailed(f"bare loop: a process ended with {await self.process.wait()}")
        heard: dict[str, Any] = orjson.loads(line)
        return heard


@dataclass(slots=True)
class Pass:
    """What one pass did."""

    events: int
    wall: float
    client_s: float
    postgres_s: float
    took: list[float]


async def run(
    fleets: Fleets,
    span: Span,
    *,
    processes: int = 1,
    connectors: int = 1000,
    shards: int = 4,
    batch: int = BATCH,
    guarded: bool = True,
) -> Point:
    """One point of the bare loop: transitions a second until durable. The first passes are discarded."""
    counted: list[Pass] = []
    async with _children(fleets, processes, connectors, shards, batch, guarded) as children:
        count, discarded, measured = max(2, 4000 // (batch * shards)), 0.0, 0.0
        while measured < span.seconds:
            done = await _pass(fleets, children, count)
            if discarded < span.discard_s / 2:
                discarded += done.wall
            else:
                counted.append(done)
                measured += done.wall
            most = max(2, _MOST_INPUTS // (batch * shards))
            count = min(most, max(2, int(count * _PASS_S / done.wall)))
    events = sum(one.events for one in counted)
    name = f"bare set-based loop, {processes} process{'es' if processes > 1 else ''}"
    return Point(
        name=name if guarded else f"{name}, without fence, offset and watermark",
        rate=round(events / measured, 1),
        window_s=round(measured, 2),
        client_us=round(sum(one.client_s for one in counted) / events * 1e6, 1),
        postgres_us=round(sum(one.postgres_s for one in counted) / events * 1e6, 1),
        kafka_us=0.0,
        rss_mb=0.0,
        first_s=0.0,
        settings={"processes": processes, "connectors": connectors, "shards": shards, "batch": batch},
    )


async def lone(fleets: Fleets, count: int) -> list[float]:
    """How long each of `count` inputs takes alone on the idle database, in seconds: one load, one transaction."""
    async with _children(fleets, 1, 1000, 1, 1, True) as children:
        await _pass(fleets, children, 200)
        return (await _pass(fleets, children, count)).took


@asynccontextmanager
async def _children(
    fleets: Fleets, processes: int, connectors: int, shards: int, batch: int, guarded: bool
) -> AsyncIterator[list[_Child]]:
    fleet = await fleets.of(connectors, shards)
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(fleets.copy(fleet))
        children = [await stack.enter_async_context(_child()) for _ in range(processes)]
        for number, child in enumerate(children):
            mine = [shard for shard in range(shards) if shard % processes == number]
            await child.tell(Task(dsn, connectors, fleet.shard_of, mine, batch, guarded).written())
        for child in children:
            await child.hear()
        yield children


@asynccontextmanager
async def _child() -> AsyncIterator[_Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.bare_loop",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    try:
        yield _Child(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _pass(fleets: Fleets, children: Sequence[_Child], batches: int) -> Pass:
    """All processes build, and start together."""
    for child in children:
        await child.tell(b"%d\n" % batches)
    for child in children:
        await child.hear()
    before = spent((), fleets.servers.postgres.pid, None)
    for child in children:
        await child.tell(b"go\n")
    said = [await child.hear() for child in children]
    used = spent((), fleets.servers.postgres.pid, None).since(before)
    return Pass(
        events=sum(one["events"] for one in said),
        wall=max(one["wall"] for one in said),
        client_s=sum(one["cpu"] for one in said),
        postgres_s=used.postgres,
        took=[seconds for one in said for seconds in one["took"]],
    )
