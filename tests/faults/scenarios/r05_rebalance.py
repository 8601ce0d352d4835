"""R5: workers come and go, and one sleeps past its session and goes on as if nothing had happened."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.faults.fleet import Process
from tests.faults.stage import Stage, Violation

WORKERS = 3
REBALANCE_EVERY_S = 5.0
SESSION_S = 6.0
"""How long the group waits for a member that says nothing."""
ASLEEP_S = SESSION_S + 3
TAKE_OVER_PATIENCE_S = 60.0
"""The session, and what a sleeper's open transaction may hold: `idle_in_transaction_session_timeout` ends that."""
SHARE, ROUNDS_A_SECOND = 0.1, 15.0
BUSY_SHARE = 0.3
"""For the zombie: a relay that is busy when it falls asleep has something to say when it wakes."""


async def rebalances(stage: Stage, seconds: float) -> None:
    """Three workers; every five seconds one more comes, or goes; one of the three sleeps and wakes, again and again."""
    for _ in range(WORKERS):
        await stage.fleet.start()
    await stage.registered()
    ends = time.monotonic() + seconds
    async with loaded(stage), asyncio.TaskGroup() as tasks:
        tasks.create_task(_come_and_go(stage, ends))
        tasks.create_task(_sleep_and_wake(stage.fleet.processes[0], ends))
    await stage.until_normal(90)
    stage.say(f"{stage.output.distinct} transitions, {stage.output.repeats} repeats")


async def a_zombie_relay(stage: Stage, *, times: int = 2) -> None:
    """A worker sleeps while its relays are busy; when others have published newer versions it wakes."""
    await stage.fleet.start()
    await stage.fleet.start()
    await stage.registered()
    await stage.until_all_is_out(30)
    async with loaded(stage, BUSY_SHARE):
        for turn in range(times):
            sleeper = stage.fleet.processes[turn % 2]
            before = await _relay_epochs(stage.fleet.dsn)
            await asyncio.sleep(stage.random.uniform(0.5, 1.5))
            sleeper.freeze()
            await _taken_over(stage, before)
            sleeper.thaw()
            await asyncio.sleep(SESSION_S / 2)  # it goes on where it stopped, and finds out
    await stage.until_normal(60)


@asynccontextmanager
async def loaded(stage: Stage, share: float = SHARE, rounds_a_second: float = ROUNDS_A_SECOND) -> AsyncIterator[None]:
    """As long as the block lasts, the host goes on talking; what it began to say, it says to its end."""
    stop = asyncio.Event()

    async def talk() -> None:
        while not stop.is_set():
            await asyncio.gather(stage.load.round(share), asyncio.sleep(1 / rounds_a_second))

    talking = asyncio.create_task(talk())
    try:
        yield
    finally:
        stop.set()
        await talking


async def _come_and_go(stage: Stage, ends: float) -> None:
    extra: Process | None = None
    while time.monotonic() < ends:
        began = time.monotonic()
        if extra is None:
            extra = await stage.fleet.start()
        else:
            if (code := await extra.drain()) != 0:
                raise Violation("a worker that was told to end ended with", [str(code), extra.said(40)])
            extra = None
        await asyncio.sleep(max(0.0, began + REBALANCE_EVERY_S - time.monotonic()))


async def _sleep_and_wake(sleeper: Process, ends: float) -> None:
    while time.monotonic() + ASLEEP_S < ends:
        await asyncio.sleep(REBALANCE_EVERY_S)
        sleeper.freeze()
        await asyncio.sleep(ASLEEP_S)
        sleeper.thaw()
        await asyncio.sleep(REBALANCE_EVERY_S)


async def _taken_over(stage: Stage, before: dict[int, int]) -> None:
    """Waits until other relays have published behind the sleeping one's back."""
    deadline = time.monotonic() + TAKE_OVER_PATIENCE_S
    while True:
        now = await _relay_epochs(stage.fleet.dsn)
        if all(now[shard] > epoch for shard, epoch in before.items()):
            break
        if time.monotonic() > deadline:
            raise Violation("shards that nobody took over", [f"{before} before, {now} now"])
        await asyncio.sleep(0.1)
    seen = stage.output.records
    while stage.output.records < seen + 200:
        await stage.output.read()
        await asyncio.sleep(0.1)


async def _relay_epochs(dsn: str) -> dict[int, int]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row["shard"]: row["relay_epoch"] for row in await connection.fetch("select * from shard")}
    finally:
        await connection.close()
