"""R8, P14: every deadline fires once, not early, hardly late, while workers are killed and their clocks jump."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from tests.faults.fleet import Process
from tests.faults.stage import Stage, Violation

AHEAD_S = 15
"""How far ahead each deadline lies: long enough to be killed before it, and at it."""
RULES = {"attempt_time": str(AHEAD_S), "reminders": str(AHEAD_S)}
WORKERS = 2
WAVES = 20
HOUR_S = 3600
JUMPS_S = (-HOUR_S, 0, HOUR_S)
JUMP_EVERY_S = 1.0
KILL_PAUSE_S = (2.0, 5.0)
BOTH = 0.25
"""How often both workers are killed at once."""
LATE_S = 5.0

# What opened each deadline beside what fired it: the version after.
FIRED = """
select
    c.connector_id, (opened.record::json -> 'connector' ->> 'deadline')::timestamptz as due, fired.at,
    fired.trigger::text
from transition opened
join connector c on c.id = opened.connector
left join transition fired on fired.connector = opened.connector and fired.version = opened.version + 1
where opened.trigger in ('start_reauth', 'sync_failed')
"""
TRIGGERS = {"auth_expired", "reminder_due"}


@dataclass
class Trouble:
    """What was done to the workers."""

    kills: int = 0
    jumps: int = 0
    nobody_ran: list[tuple[datetime, datetime]] = field(default_factory=list)
    """From when both were killed until one of them was ready again."""

    def could_fire(self, due: datetime) -> datetime:
        """When a deadline could be fired at the earliest: a service that isn't there fires nothing."""
        return max([due, *(back for gone, back in self.nobody_ran if gone <= due <= back)])


async def deadlines(stage: Stage, over_s: float) -> None:
    """Gives each connector of the load one deadline, in waves over so many seconds, and watches them fire."""
    clocks = [stage.fleet.supervisor.folder / f"clock-{number}" for number in range(WORKERS)]
    for clock in clocks:
        clock.write_text("0")
    workers = [await _start(stage, clock) for clock in clocks]
    await stage.registered()
    ids = list(stage.load.expected)
    stage.random.shuffle(ids)
    async with _trouble(stage, clocks, workers) as seen:
        for wave in range(WAVES):
            chosen = ids[wave::WAVES]
            half = len(chosen) // 2
            await stage.load.open_attempts(chosen[:half])
            await stage.load.fail_and_be_reminded(chosen[half:], reminders=1)
            await asyncio.sleep(over_s / WAVES)
        await asyncio.sleep(AHEAD_S)
        await stage.until_all_is_stored(60)
    told = await _judged(stage.fleet.dsn, len(ids), seen)
    stage.say(f"{len(ids)} deadlines, {seen.kills} kills, {seen.jumps} jumps, {told}")
    await stage.until_all_is_out(60)


async def _judged(dsn: str, wanted: int, trouble: Trouble) -> str:
    """That each fired once, none early, and how late they were. Raises `Violation`."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(FIRED)
        number = await connection.fetchval(
            "select count(*) from transition where trigger::text = any($1)", sorted(TRIGGERS)
        )
    finally:
        await connection.close()
    wrong = [str(dict(row)) for row in rows if row["trigger"] not in TRIGGERS or row["at"] < row["due"]]
    if wrong or number != wanted or len(rows) != wanted:
        raise Violation(f"{wanted} deadlines, {len(rows)} opened, {number} fired; early or by something else", wrong)
    late = sorted((row["at"] - trouble.could_fire(row["due"])).total_seconds() for row in rows)
    p99 = late[int(len(late) * 0.99)]
    told = f"late by p50 {late[len(late) // 2]:.2f} s, p99 {p99:.2f} s, at most {late[-1]:.2f} s"
    if p99 > LATE_S:
        raise Violation("deadlines fired late", [told])
    return told


async def _start(stage: Stage, clock: Path) -> Process:
    return await stage.fleet.start(launcher=("-m", "tests.faults.skewed", str(clock)))


@asynccontextmanager
async def _trouble(stage: Stage, clocks: Sequence[Path], workers: list[Process]) -> AsyncIterator[Trouble]:
    """As long as the block lasts, clocks jump by an hour and workers are killed and started again."""
    seen = Trouble()

    async def jump() -> None:
        while True:
            stage.random.choice(clocks).write_text(str(stage.random.choice(JUMPS_S)))
            seen.jumps += 1
            await asyncio.sleep(JUMP_EVERY_S)

    async def kill() -> None:
        while True:
            await asyncio.sleep(stage.random.uniform(*KILL_PAUSE_S))
            both = stage.random.random() < BOTH
            chosen = range(WORKERS) if both else [stage.random.randrange(WORKERS)]
            for number in chosen:
                workers[number].kill()
                seen.kills += 1
            began = datetime.now(UTC)
            starting = [asyncio.create_task(_start(stage, clocks[number])) for number in chosen]
            if both:
                await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
                seen.nobody_ran.append((began, datetime.now(UTC)))
            for number, started in zip(chosen, await asyncio.gather(*starting), strict=True):
                workers[number] = started

    troubles = [asyncio.create_task(jump()), asyncio.create_task(kill())]
    try:
        yield seen
    finally:
        for trouble in troubles:
            trouble.cancel()
        await asyncio.gather(*troubles, return_exceptions=True)
