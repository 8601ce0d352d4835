"""R4: what comes out is complete and in order, while workers are killed and long transactions are held open."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.faults.stage import Stage, Violation

SHARE = 0.1
"""Of the connectors that a round says something about: the load comes evenly, as a fleet's does, not in waves."""
REPEATS_ALLOWED = 0.01
KILL_PAUSE_S = (6.0, 12.0)
"""Longer than the group's session: a worker that is killed while it still catches up repeats what it caught up."""
HOLD_S = 5.0


async def order_and_completeness(
    stage: Stage,
    transitions: int,
    *,
    at_most_s: float = math.inf,
    workers: int = 2,
    rounds_a_second: float = 16.0,
) -> None:
    """Drives the load until the oracle counts `transitions`, under kills, and checks all of the output.

    Raises `Violation`; repeats beyond the allowance count as one.
    """
    ends = time.monotonic() + at_most_s
    for _ in range(workers):
        await stage.fleet.start()
    await stage.registered()
    async with _kills(stage) as kills, _held_open(stage.fleet.dsn):
        while stage.load.transitions < transitions and time.monotonic() < ends:
            await asyncio.gather(stage.load.round(SHARE), asyncio.sleep(1 / rounds_a_second))
    await stage.until_normal(120)
    output = stage.output
    stage.say(f"{output.distinct} transitions, {output.repeats} repeats, {len(kills)} kills")
    if output.repeats > REPEATS_ALLOWED * output.distinct:
        raise Violation("repeats", [f"{output.repeats} of {output.distinct} came again in {len(kills)} kills"])


@asynccontextmanager
async def _kills(stage: Stage) -> AsyncIterator[list[int]]:
    """As long as the block lasts, a worker is killed every few seconds and another one started."""
    killed: list[int] = []

    async def go_on() -> None:
        while True:
            await asyncio.sleep(stage.random.uniform(*KILL_PAUSE_S))
            victim = stage.random.choice(stage.fleet.running)
            victim.kill()
            killed.append(victim.child.pid)
            await stage.fleet.start()

    task = asyncio.create_task(go_on())
    try:
        yield killed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _held_open(dsn: str) -> AsyncIterator[None]:
    """As long as the block lasts, some transaction that has written is open: an outbox read by age would miss rows."""

    async def hold() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("create table if not exists held (at timestamptz)")
            while True:
                async with connection.transaction(isolation="repeatable_read"):
                    await connection.execute("insert into held values (now())")
                    await asyncio.sleep(HOLD_S)
        finally:
            await connection.close()

    task = asyncio.create_task(hold())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
