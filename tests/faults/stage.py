"""The stage of a run: servers, a fleet, a load and what came out, with the waiting that every run ends with."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import asyncpg

from service.demo.embedded import Supervisor
from tests.checker import check
from tests.faults.fleet import Fleet
from tests.faults.load import Load
from tests.faults.output import Output

LINES_OF_A_LOG = 60
"""What is shown of each process's log when a run fails."""

CHECK_PATIENCE_S = 30.0

Say: TypeAlias = Callable[[str], None]


def nothing(line: str) -> None:
    """Says nothing."""


class Violation(AssertionError):
    """A promise that was broken, with the lines that show it."""

    def __init__(self, what: str, lines: list[str]) -> None:
        super().__init__(f"{what}: {len(lines)}\n" + "\n".join(lines[:20]))


async def holds(dsn: str, bootstrap: str, prefix: str) -> None:
    """Has the checker read a database and its topics. Raises `Violation`."""
    report = await check(dsn, bootstrap, prefix, wait_s=CHECK_PATIENCE_S)
    if not report.holds:
        raise Violation("the checker", list(report.lines()))


@dataclass
class Stage:
    """What a scenario plays on."""

    fleet: Fleet
    load: Load
    random: random.Random
    say: Say = nothing
    output: Output = field(init=False)

    def __post_init__(self) -> None:
        self.output = Output(self.fleet.bootstrap, self.fleet.prefix)

    def __str__(self) -> str:
        """How far it is, on one line."""
        told = f"{self.load.sent} inputs, {self.load.transitions} transitions wanted, {self.output.distinct} read back"
        return f"{told}, {len(self.fleet.running)} of {len(self.fleet.processes)} processes run"

    async def registered(self, patience_s: float = 60) -> None:
        """Registers all connectors and waits until they are there: what follows comes by another topic."""
        await self.load.register()
        await self.until_all_is_stored(patience_s)

    async def until_all_is_stored(self, patience_s: float) -> float:
        """Waits until the database says what the oracle says. Returns the seconds; raises `Violation`."""
        began = time.monotonic()
        while differences := await self._differences():
            if time.monotonic() - began > patience_s:
                raise Violation("connectors aren't as they must be", differences)
            await asyncio.sleep(0.2)
        return time.monotonic() - began

    async def until_all_is_out(self, patience_s: float) -> float:
        """Waits until the topics say what the log says. Returns the seconds; raises `Violation`."""
        began = time.monotonic()
        while True:
            await self.output.read()
            wrongs = await self.output.wrongs(self.fleet.dsn)
            if self.output.inversions:
                raise Violation("versions came out of order", self.output.inversions)
            if not wrongs:
                return time.monotonic() - began
            if time.monotonic() - began > patience_s:
                raise Violation("the topics aren't as the log", wrongs)
            await asyncio.sleep(0.3)

    async def until_normal(self, patience_s: float = 60) -> float:
        """Waits until all is stored and out. Returns the seconds."""
        return await self.until_all_is_stored(patience_s) + await self.until_all_is_out(patience_s)

    async def holds(self) -> None:
        """Has the checker read the database and the topics. Raises `Violation`."""
        await holds(self.fleet.dsn, self.fleet.bootstrap, self.fleet.prefix)

    async def _differences(self) -> list[str]:
        try:
            return await self.load.differences(self.fleet.dsn)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return [f"the database is away: {type(error).__name__}"]


@asynccontextmanager
async def staged(
    dsn: str,
    bootstrap: str,
    prefix: str,
    *,
    seed: int,
    connectors: int,
    shards: int = 4,
    rules: dict[str, str] | None = None,
    service_dsn: str | None = None,
    say: Say = nothing,
    is_checked: bool = True,
    release: Path | None = None,
) -> AsyncIterator[Stage]:
    """A migrated stage without processes; the checker has the last word, unless it shall not (`is_checked`).

    `service_dsn` is how the service reaches the database, where it differs; `release` whose schema it begins with,
    where that isn't this version's.
    """
    with closing(Supervisor()) as supervisor:
        fleet = Fleet(supervisor, dsn, bootstrap, prefix, shards, rules or {})
        await fleet.migrate(release)
        if service_dsn is not None:
            fleet.environment["REGRANT_DATABASE__DSN"] = service_dsn
        async with Load(bootstrap, prefix, seed=seed, connectors=connectors) as load:
            stage = Stage(fleet, load, random.Random(seed), say)
            try:
                yield stage
                if is_checked:
                    await stage.holds()
            except Exception:
                for process in fleet.processes:
                    print(f"--- {process.log.name} ({process.child.pid}, running: {process.is_running})")
                    print(process.said(LINES_OF_A_LOG))
                raise
