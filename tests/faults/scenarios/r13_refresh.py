"""R13, P20: refresh tokens that work once, a provider that kills a grant for a reused one, replicas that are killed.

The grants are imported, each of a company of its own; some live in two connectors. Every access token is made old
again and again, workers ask all replicas for it at once, and a replica is killed at a random moment, and started again.
The provider counts what comes: the simulator here, and one that isn't ours in `tests/foreign/test_r13_foreign.py`.
"""

import asyncio
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeAlias

import aiohttp
import asyncpg

from schemas import channels
from schemas.reasons import Reason
from service.demo.client import Regrant
from service.demo.deployment import QUICKBOOKS, Deployment
from service.demo.embedded.child import Supervisor
from service.demo.events import HostEvents
from service.demo.simulator import Simulator
from service.demo.simulator.grants import IssuedTokens
from service.demo.simulator.seed import OLIVIA
from service.demo.simulator.world import ACCOUNTING, Role
from tests.faults.fleet import Fleet, Process
from tests.faults.stage import Say, nothing

LEASE_S = 2
"""In place of 15 s, so that a kill costs a test seconds only; the provider answers in a fraction of it."""
PROVIDER_TAKES_S = 0.03
ASKERS = 4
QUIET_S = 0.5, 2.5
"""Between a replica's start and its death."""
PATIENCE_S = 60.0
AGE = """
update credential set access_expires_at = now(), refreshed_at = now() - interval '1 hour'
where status = 'current' and connector = (select id from connector where connector_id = $1)
"""

_LAUNCHER = (
    "-c",
    "import datetime\nfrom service.oauth import refresh\n"
    f"refresh.REFRESH_LEASE = datetime.timedelta(seconds={LEASE_S})\n"
    "from service.cli import main; main()",
)


@dataclass(slots=True)
class Refreshes:
    """What came of it."""

    refreshes: int = 0
    """That the provider did."""
    kills: int = 0
    handed_out: int = 0
    presented: Counter[str] = field(default_factory=Counter, repr=False)
    """How often the provider saw each refresh token."""
    interrupted: int = 0
    """Refreshes that were taken over from a replica that died."""
    lost: list[str] = field(default_factory=list)
    """Connectors whose grant died."""
    in_the_window: int = 0
    """Of those, the ones that the service itself counts as lost between the provider's answer and its commit."""
    wrong: list[str] = field(default_factory=list)
    window_ms: list[float] = field(default_factory=list, repr=False)
    """From the provider's answer to our commit, of each refresh."""

    @property
    def repeated(self) -> int:
        """Refresh tokens that were sent again."""
        return sum(times - 1 for times in self.presented.values())

    def __str__(self) -> str:
        times = self.window_ms or [0.0]
        window = f"p50 {statistics.median(times):.1f} ms, max {max(times):.1f} ms"
        return (
            f"{self.refreshes} refreshes, {self.handed_out} tokens handed out, {self.kills} kills,"
            f" {self.interrupted} taken over, {self.repeated} sent again,"
            f" {len(self.lost)} lost ({self.in_the_window} in the window: {window})"
        )


class Issuer(Protocol):
    """The provider's side of it."""

    provider: str
    environment: Mapping[str, str]
    """The service's settings of this provider."""

    async def grant(self, number: int) -> tuple[str, str]:
        """An account and a refresh token of a grant of its own."""

    async def begin(self, told: Refreshes) -> None:
        """From now on a refresh token works once, a reused one kills its grant, and what comes is counted."""

    async def count(self, told: Refreshes) -> None:
        """Brings the counts up to date."""

    async def knows(self, token: str) -> bool:
        """Whether it issued that access token."""


Issuing: TypeAlias = Callable[[Supervisor], AbstractAsyncContextManager[Issuer]]
"""Starts the provider's side; it ends with the block."""


@dataclass(slots=True)
class Simulated:
    """The simulator, which plays Intuit; the former refresh token is taken for the length of the grace."""

    simulator: Simulator
    environment: Mapping[str, str]
    grace: timedelta
    provider: str = QUICKBOOKS

    async def grant(self, number: int) -> tuple[str, str]:
        world, realm = self.simulator.world, f"77{number:06}"
        if realm not in world.companies:
            world.add_company(realm, f"Company {number}")
            world.set_role(OLIVIA, realm, Role.MASTER_ADMIN)
        tokens = world.grant_without_pages(OLIVIA, realm, frozenset({ACCOUNTING}))
        assert tokens.refresh_token is not None
        return realm, tokens.refresh_token

    async def begin(self, told: Refreshes) -> None:
        world = self.simulator.world
        settings = world.settings.grants
        settings.rotation_interval, settings.previous_token_life = timedelta(), self.grace
        settings.reuse_detection = True
        self.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=PROVIDER_TAKES_S)
        refresh = world.grants.refresh

        def seen(value: str) -> IssuedTokens:
            told.presented[value] += 1
            tokens = refresh(value)
            told.refreshes += 1
            return tokens

        world.grants.refresh = seen  # type: ignore[method-assign]  # to see every refresh token that comes

    async def count(self, told: Refreshes) -> None:
        """It counts as they come."""

    async def knows(self, token: str) -> bool:
        return self.simulator.world.grants.grant_for_access_token(token) is not None


@dataclass(slots=True)
class _Run:
    fleet: Fleet
    issuer: Issuer
    database: asyncpg.Pool
    session: aiohttp.ClientSession
    chance: random.Random
    told: Refreshes
    processes: list[Process]
    wanted: int
    ids: list[str] = field(default_factory=list)

    def host(self, process: Process) -> Regrant:
        return self.fleet.host(self.session, process)

    @property
    def done(self) -> bool:
        return self.told.refreshes >= self.wanted or len(self.told.lost) == len(self.ids) > 0

    async def import_all(self, companies: int, shared: int) -> None:
        """Grants of as many companies, brought by the host. The first `shared` of them live in two connectors each."""
        await asyncio.gather(*(self._begin(number, number < shared) for number in range(companies)))

    async def _begin(self, number: int, shared: bool) -> None:
        id_, twin = f"c{number:03}", f"c{number:03}-twin"
        await self._import(number, id_)
        if not shared:
            return
        await self._import(number, twin)
        failed = {"reason": Reason.TOKEN_REFUSED, "generation": 1}
        async with HostEvents(self.fleet.bootstrap, self.fleet.prefix) as events:
            await events.say(channels.SYNC_EVENTS, channels.SYNC_FAILED, twin, failed)
        await self._is(twin, "failed", 1)
        await self._import(number, id_)  # another grant, which repairs the twin
        await self._is(twin, "syncing", 2)

    async def _is(self, id_: str, state: str, generation: int) -> None:
        so = "select state::text = $2 and generation = $3 from connector where connector_id = $1"
        async with asyncio.timeout(PATIENCE_S):
            while not await self.database.fetchval(so, id_, state, generation):
                await asyncio.sleep(0.05)

    async def _import(self, number: int, id_: str) -> None:
        host = self.host(self.processes[0])
        account, refresh_token = await self.issuer.grant(number)
        registered = {"connector_id": id_, "provider": self.issuer.provider, "name": f"Company {number}"}
        await host.post("/v1/connectors", registered)
        body = {"refresh_token": refresh_token, "account_id": account}
        attempt = await host.post(f"/v1/connectors/{id_}/credential", body)
        async with asyncio.timeout(PATIENCE_S):
            while (told := await host.get(f"/v1/attempts/{attempt['attempt_id']}"))["status"] == "open":
                await asyncio.sleep(0.1)
        assert told["reason"] == "connected", told
        if id_ not in self.ids:
            self.ids.append(id_)

    async def keep_old(self, id_: str) -> None:
        """One connector's workers: whenever its token is old, they ask everywhere at once."""
        while not self.done and id_ not in self.told.lost:
            await self.database.execute(AGE, id_)
            answers = await asyncio.gather(*(self._asked(id_) for _ in range(ASKERS)))
            if None in answers:
                self.told.lost.append(id_)
            self.told.handed_out += len([answer for answer in answers if answer])
            await self.issuer.count(self.told)

    async def _asked(self, id_: str) -> str | None:
        """A token that the provider takes; `None` where a person is asked. Asks until one of both comes."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                host = self.host(self.chance.choice(self.processes))
                answer = await host.call("POST", f"/v1/connectors/{id_}/token", {})
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            if answer.code == "no_credential":
                return None
            if not answer.is_good:
                await asyncio.sleep(0.1)
                continue
            token: str = answer.body["access_token"]
            if not await self.issuer.knows(token):
                self.told.wrong.append(f"{id_}: a token that nobody issued")
            return token
        self.told.wrong.append(f"{id_}: no answer within {PATIENCE_S:g} s")
        return ""

    async def kill(self) -> None:
        while not self.done:
            await asyncio.sleep(self.chance.uniform(*QUIET_S))
            place = self.chance.randrange(len(self.processes))
            self.processes[place].kill()
            self.told.kills += 1
            self._read_window(self.processes[place])
            self.processes[place] = await self.fleet.start("all", launcher=_LAUNCHER)

    def _read_window(self, process: Process) -> None:
        self.told.window_ms += [float(ms) for ms in re.findall(r'window_ms"?[=:] ?([\d.]+)', process.log.read_text())]

    async def settle(self) -> None:
        """Reads what the provider, the database and the logs say in the end."""
        await self.issuer.count(self.told)
        for process in self.processes:
            self._read_window(process)
        count = "select count(*) from audit where what = $1"
        self.told.interrupted = await self.database.fetchval(count, "refresh_taken_over")
        self.told.in_the_window = await self.database.fetchval(count, "grant_lost_in_window")
        failed = "select connector_id from connector where state <> 'syncing' and connector_id <> all($1::text[])"
        for row in await self.database.fetch(failed, self.told.lost):
            self.told.wrong.append(f"{row['connector_id']}: failed, and none of its askers knows")


async def refreshes_under_kills(
    dsn: str,
    bootstrap: str,
    prefix: str,
    *,
    seed: int,
    refreshes: int,
    replicas: int = 2,
    connectors: int = 10,
    shared: int = 0,
    grace: timedelta,
    say: Say = nothing,
) -> Refreshes:
    """So many refreshes, while replicas are killed; the former refresh token is taken for the length of the grace.

    `shared` of the grants live in two of the connectors each.
    """

    @asynccontextmanager
    async def simulated(supervisor: Supervisor) -> AsyncIterator[Issuer]:
        async with await Simulator.start() as simulator:
            made = Deployment(
                supervisor,
                "r13",
                port=0,
                host_url="http://127.0.0.1:9",
                simulator=simulator,
                bootstrap=bootstrap,
                dsn=dsn,
                topic_prefix=prefix,
            )
            provider = {name: value for name, value in made.environment.items() if name.startswith("REGRANT_PROVIDERS")}
            yield Simulated(simulator, provider, grace)

    return await refreshes_of(
        simulated,
        dsn,
        bootstrap,
        prefix,
        seed=seed,
        refreshes=refreshes,
        replicas=replicas,
        connectors=connectors,
        shared=shared,
        say=say,
    )


async def refreshes_of(
    issuing: Issuing,
    dsn: str,
    bootstrap: str,
    prefix: str,
    *,
    seed: int,
    refreshes: int,
    replicas: int = 2,
    connectors: int = 10,
    shared: int = 0,
    say: Say = nothing,
) -> Refreshes:
    """So many refreshes at whatever provider `issuing` starts, while replicas are killed."""
    told = Refreshes()
    async with _running(issuing, dsn, bootstrap, prefix, seed, told, refreshes, replicas) as run:
        await run.import_all(connectors - shared, shared)
        await run.issuer.begin(told)
        async with asyncio.TaskGroup() as tasks:
            for id_ in run.ids:
                tasks.create_task(run.keep_old(id_))
            tasks.create_task(run.kill())
        await run.settle()
    say(str(told))
    return told


@asynccontextmanager
async def _running(
    issuing: Issuing, dsn: str, bootstrap: str, prefix: str, seed: int, told: Refreshes, wanted: int, replicas: int
) -> AsyncIterator[_Run]:
    with closing(Supervisor()) as supervisor:
        async with (
            issuing(supervisor) as issuer,
            asyncpg.create_pool(dsn, min_size=1, max_size=4) as database,
            aiohttp.ClientSession() as session,
        ):
            fleet = Fleet(supervisor, dsn, bootstrap, prefix)
            fleet.environment.update(issuer.environment)
            await fleet.migrate()
            processes = [await fleet.start("all", launcher=_LAUNCHER) for _ in range(replicas)]
            yield _Run(fleet, issuer, database, session, random.Random(seed), told, processes, wanted)
