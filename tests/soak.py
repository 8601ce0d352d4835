"""The faults at length: `python -m tests.soak --minutes 30 [--only r04,r05] [--seed N]`, which is `make soak`.

The scenarios are those of the tests, on servers of their own, at the size that reliability.md asks for as far as the
time allows. What a run does follows from its seed; how the machine schedules it doesn't, so a replay is a likely one.
"""

import argparse
import asyncio
import logging
import random
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres, Supervisor
from service.store.migrate import migrate
from tests.databases import database_on
from tests.faults.cluster import three_brokers
from tests.faults.postgres import Primary, SmallDisk, Standby, failover_dsn
from tests.faults.proxy import before
from tests.faults.scenarios import kills_at_length, r06_loss
from tests.faults.scenarios.console_flat import console_flat
from tests.faults.scenarios.migrations import OF_THE_FIRST_RELEASE, fill, hold_nobody_up
from tests.faults.scenarios.r04_output import order_and_completeness
from tests.faults.scenarios.r05_rebalance import a_zombie_relay, rebalances
from tests.faults.scenarios.r08_deadlines import AHEAD_S, RULES, deadlines
from tests.faults.stage import Stage, Violation, staged
from tests.years import simulated

TRANSITIONS, DEADLINES, CONNECTORS = 1_000_000, 10_000, 1_000_000
YEARS_OF, LIVES_TOGETHER = 10_000, 250
"""Connectors that live for six years, and how many of them in one database: so the time allows for some, or all."""
BROKERS_AWAY_S, DATABASE_AWAY_S, DISK_FULL_S = 600.0, 120.0, 60.0
SETTLE_S = 60.0
"""Kept of each scenario's time for its start and its end."""


@dataclass
class Run:
    """One scenario's time, seed and mouth."""

    name: str
    seconds: float
    seed: int
    stage: Stage | None = None
    """Where it plays now, for the line a minute."""

    @property
    def load_s(self) -> float:
        """The seconds for the load itself."""
        return max(self.seconds - SETTLE_S, self.seconds / 2)

    def say(self, line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {self.name}: {line}", flush=True)

    @asynccontextmanager
    async def on(
        self, dsn: str, bootstrap: str, connectors: int, *, rules: dict[str, str] | None = None, through: str = ""
    ) -> AsyncIterator[Stage]:
        """A stage of this run. `through` is how the service reaches the database, where it differs."""
        async with staged(
            dsn,
            bootstrap,
            "soak.",
            seed=self.seed,
            connectors=connectors,
            shards=8,
            rules=rules,
            service_dsn=through or None,
            say=self.say,
        ) as stage:
            self.stage = stage
            yield stage


async def r04(run: Run) -> None:
    """R4: the output is complete and in order: up to a million transitions, four workers, kills, open transactions."""
    async with _one_of_each() as (postgres, kafka), run.on(postgres.dsn, kafka.bootstrap, 2000) as stage:
        await order_and_completeness(stage, TRANSITIONS, at_most_s=run.load_s, workers=4, rounds_a_second=5)


async def r05(run: Run) -> None:
    """R5: three brokers, three workers, a rebalance every five seconds, a sleeper, and zombies of the relay."""
    async with three_brokers() as cluster, _postgres() as db, run.on(db.dsn, cluster.bootstrap, 500) as stage:
        await rebalances(stage, run.load_s * 0.8)
    async with _one_of_each() as (postgres, kafka), run.on(postgres.dsn, kafka.bootstrap, 500) as stage:
        await a_zombie_relay(stage, times=max(2, int(run.load_s * 0.2 / 15)))


async def r06(run: Run) -> None:
    """R6: brokers, database, a commit's answer, the primary and the disk are lost, and come back."""
    away_s = run.load_s / 8
    async with (
        three_brokers() as cluster,
        _postgres() as postgres,
        before(postgres.dsn) as proxy,
        run.on(postgres.dsn, cluster.bootstrap, 500, through=proxy.dsn(postgres.dsn)) as stage,
    ):
        await stage.fleet.start()
        await stage.fleet.start()
        await stage.registered()
        await r06_loss.one_of_three_brokers_is_killed(stage, cluster, min(20, away_s))
        await r06_loss.commits_are_stored_and_nobody_is_told(stage, proxy, 20)
        await r06_loss.the_database_crashes(stage, postgres, min(DATABASE_AWAY_S, away_s))
    async with _one_of_each() as (postgres, kafka), run.on(postgres.dsn, kafka.bootstrap, 500) as stage:
        process = await stage.fleet.start("all")
        await stage.registered()
        await r06_loss.the_broker_is_killed(stage, kafka, min(30, away_s))
        await r06_loss.memory_stays_while_the_brokers_are_away(stage, process, kafka, min(BROKERS_AWAY_S, 3 * away_s))
    await _disk_and_primary(run, away_s)


async def _disk_and_primary(run: Run, away_s: float) -> None:
    with closing(Supervisor()) as supervisor:
        kafka, small = EmbeddedKafka(supervisor), SmallDisk(supervisor)
        await asyncio.gather(kafka.start(), small.start())
        async with run.on(small.dsn, kafka.bootstrap, 300) as stage:
            await stage.fleet.start()
            await stage.registered()
            await r06_loss.the_disk_is_full(stage, small, min(DISK_FULL_S, away_s))
    with closing(Supervisor()) as supervisor:
        kafka, primary = EmbeddedKafka(supervisor), Primary(supervisor)
        await asyncio.gather(kafka.start(), primary.start())
        standby = Standby(supervisor, primary)
        await standby.start()
        await primary.wait_for(standby)
        async with run.on(failover_dsn(primary, standby), kafka.bootstrap, 300) as stage:
            await stage.fleet.start()
            await stage.registered()
            await r06_loss.the_standby_takes_over(stage, primary, standby)


async def r08(run: Run) -> None:
    """R8, P14: up to ten thousand deadlines over kills and clocks that jump by an hour: each once, in time."""
    over_s = max(run.load_s - AHEAD_S, 10)
    count = min(DEADLINES, int(over_s * 40))
    async with _one_of_each() as (postgres, kafka), run.on(postgres.dsn, kafka.bootstrap, count, rules=RULES) as stage:
        await deadlines(stage, over_s)


async def p21(run: Run) -> None:
    """P21: up to ten thousand connectors live for six years by a moved clock: each end warned of, no renewal."""
    ends_at = time.monotonic() + run.load_s
    async with _postgres() as postgres:
        for lived in range(LIVES_TOGETHER, YEARS_OF + 1, LIVES_TOGETHER):
            async with database_on(postgres.dsn) as dsn:
                seen = await simulated(dsn, LIVES_TOGETHER, run.seed + lived, lambda _: None)
            run.say(f"{lived} connectors: {seen}")
            if time.monotonic() > ends_at:
                break


async def migrations(run: Run) -> None:
    """Each migration since the first release on a million connectors, while others write: nobody is held up."""
    async with _postgres() as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        await migrate(connection, shards=4, known=OF_THE_FIRST_RELEASE)
        await fill(postgres.dsn, CONNECTORS)
        run.say(f"{CONNECTORS} connectors are there")
        await hold_nobody_up(postgres.dsn, connection, CONNECTORS)
        await connection.close()


def _on_one_of_each(play: kills_at_length.AtLength) -> "Scenario":
    """A scenario that makes its databases and topics itself, on servers of its own."""

    async def scenario(run: Run) -> None:
        async with _one_of_each() as (postgres, kafka):
            await play(postgres.dsn, kafka.bootstrap, run.seed, run.load_s, run.say)

    scenario.__doc__ = play.__doc__
    return scenario


Scenario: TypeAlias = Callable[[Run], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {
    "r04": r04,
    "r05": r05,
    "r06": r06,
    "r08": r08,
    "p21": p21,
    "console": _on_one_of_each(console_flat),
    "migrations": migrations,
    **{play.__name__: _on_one_of_each(play) for play in kills_at_length.ALL},
}


@asynccontextmanager
async def _postgres() -> AsyncIterator[EmbeddedPostgres]:
    with closing(Supervisor()) as supervisor:
        postgres = EmbeddedPostgres(supervisor)
        await postgres.start()
        yield postgres


@asynccontextmanager
async def _one_of_each() -> AsyncIterator[tuple[EmbeddedPostgres, EmbeddedKafka]]:
    with closing(Supervisor()) as supervisor:
        postgres, kafka = EmbeddedPostgres(supervisor), EmbeddedKafka(supervisor)
        await asyncio.gather(postgres.start(), kafka.start())
        yield postgres, kafka


async def soak(minutes: float, names: Sequence[str], seed: int) -> int:
    """Runs the scenarios one after the other, each for its share of the time. Returns how many were violated."""
    print(f"seed {seed}; again: python -m tests.soak --minutes {minutes:g} --only {','.join(names)} --seed {seed}")
    violations = 0
    for name in names:
        run = Run(name, minutes * 60 / len(names), seed)
        run.say((SCENARIOS[name].__doc__ or "").strip())
        violations += await _violated(run)
    print(f"violations: {violations}", flush=True)
    return violations


async def _violated(run: Run) -> bool:
    telling = asyncio.create_task(_tell_each_minute(run))
    try:
        await SCENARIOS[run.name](run)
    except Violation as violation:
        run.say(f"VIOLATED: {violation}")
        return True
    except Exception:  # whatever else goes wrong is a failure of this scenario, and the others still run
        run.say(f"FAILED: {traceback.format_exc()}")
        return True
    finally:
        telling.cancel()
    run.say(f"holds: {run.stage}")
    return False


async def _tell_each_minute(run: Run) -> None:
    while True:
        await asyncio.sleep(60)
        run.say(str(run.stage))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="for all scenarios together (%(default)g)")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="which, by commas: %(default)s")
    parser.add_argument("--seed", type=int, help="of a run that is to be repeated")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers that are away are what this is about
    names = [name.strip() for name in arguments.only.split(",")]
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**9)
    return 1 if asyncio.run(soak(arguments.minutes, names, seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
