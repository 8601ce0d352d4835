"""SIGTERM under load (R9): Kafka records and people's callbacks are on their way whenever the process is asked to end.

A callback that reaches no listening server is opened again, as a browser does. One that was taken must be answered, and
must end well: an exchange that a clean end interrupts is a person's login lost.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.embedded.child import Supervisor
from service.demo.person import Person
from tests.faults.lane import Books, Lane, lane_on
from tests.faults.stage import holds
from tests.faults.victims import template

COMPANIES = ("Drivewell Inc", "Drivewell Leasing LLC", "Drivewell Canada ULC", "Acme Ltd")
QUIET_CONNECTORS = 30
RECORD_EVERY_S = 0.01
SLOW_PROVIDER_S = 0.1
"""So that exchanges are on their way when the end comes."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Shutdowns:
    """What came of it."""

    exit_codes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """How long each end took."""
    callbacks: int = 0
    turned_away: int = 0
    """Callbacks that reached no listening server, and were opened again."""
    dropped: list[str] = field(default_factory=list)
    """Callbacks that were taken and not answered, or whose exchange came to nothing."""
    records: int = 0


@dataclass(slots=True)
class _Load:
    lane: Lane
    told: Shutdowns
    said: dict[str, int] = field(default_factory=dict)
    over: bool = False

    # Kafka.

    async def report(self) -> None:
        """The sync engine: each connector fails and succeeds in turn."""
        for number in range(QUIET_CONNECTORS):
            await self.lane.command(
                Books(f"quiet-{number}"),
                channels.REGISTER,
                tenant_id="drivewell",
                provider="quickbooks-online",
                name="Books",
                connected=True,
            )
            self.said[f"quiet-{number}"] = 0
        await self.lane.until(self._all_there, "the quiet connectors are there")
        chance = random.Random(len(self.said))
        while not self.over:
            id_ = chance.choice(list(self.said))
            self.said[id_] += 1
            run = {"started_at": (BEGAN + timedelta(seconds=self.said[id_])).isoformat()}
            if self.said[id_] % 2:
                await self.lane.say(Books(id_), channels.SYNC_FAILED, reason=Reason.TOKEN_REFUSED, **run)
            else:
                await self.lane.say(Books(id_), channels.SYNC_SUCCEEDED, **run)
            self.told.records += 1
            await asyncio.sleep(RECORD_EVERY_S)

    async def _all_there(self) -> bool:
        count = "select count(*) from connector where connector_id like 'quiet-%'"
        return bool(await self.lane.database.fetchval(count) == QUIET_CONNECTORS)

    async def as_said(self) -> bool:
        """Whether each connector made one transition for each thing that was said of it."""
        rows = await self.lane.database.fetch("select connector_id, version from connector")
        versions = {row["connector_id"]: row["version"] for row in rows}
        return all(versions[id_] == said + 1 for id_, said in self.said.items())

    # People.

    async def reconnect(self, company: str) -> None:
        """Somebody who signs in again and again."""
        books = Books(f"busy-{company.replace(' ', '-')}", company)
        await self.lane.register(books)
        await self.lane.bring_back(books)
        while not self.over:
            async with self.lane.person() as person:
                callback = await self.lane.begin(books, person)
                page = await self._come_back(person, callback)
                screen = await self.lane.ending(person, page)
                if screen.name != "connected":
                    self.told.dropped.append(f"{books.id}: the window says {screen.name}")
            if (await self.lane.row(books))["state"] != State.SYNCING:
                self.told.dropped.append(f"{books.id}: {(await self.lane.row(books))['state']}")
            await self.lane.bring_back(books)

    async def _come_back(self, person: Person, callback: URL) -> URL:
        self.told.callbacks += 1
        jar = person.session.cookie_jar
        while True:
            # A connection of its own: on a kept one, a server that ends can't be told from one that never listened.
            async with aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(force_close=True)) as once:
                try:
                    async with once.get(callback, allow_redirects=False) as answer:
                        if answer.status == 303:
                            return callback.join(URL(answer.headers["Location"], encoded=True))
                        self.told.dropped.append(f"{answer.status} for a callback")
                except aiohttp.ClientConnectorError:
                    self.told.turned_away += 1
                except aiohttp.ClientError as error:
                    self.told.dropped.append(f"{type(error).__name__} ({error}) for a callback")
            await asyncio.sleep(0.02)


async def stop_under_load(server: str, bootstrap: str, *, seed: int, stops: int) -> Shutdowns:
    """Ends the process so many times, at moments from the seed, under load; the next one starts each time."""
    told, chance = Shutdowns(), random.Random(seed)
    async with _loaded(server, bootstrap, told) as load:
        for _ in range(stops):
            await _is_ready(load.lane)
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            victim, began = load.lane.victim, time.monotonic()
            victim.stop()
            told.exit_codes.append(await asyncio.wait_for(asyncio.shield(victim.ended), 60))
            told.seconds.append(time.monotonic() - began)
    return told


@asynccontextmanager
async def _loaded(server: str, bootstrap: str, told: Shutdowns) -> AsyncIterator[_Load]:
    """A lane under load; at the end the load ends, and all that was said must be there."""
    with closing(Supervisor()) as supervisor:
        async with AsyncExitStack() as stack:
            born_of = await stack.enter_async_context(template(supervisor))
            lane = await stack.enter_async_context(lane_on(server, bootstrap, supervisor, born_of))
            lane.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=SLOW_PROVIDER_S)
            await lane.start()
            await stack.enter_async_context(lane.kept_alive())
            load = _Load(lane, told)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.report())
                for company in COMPANIES:
                    tasks.create_task(load.reconnect(company))
                await lane.until(lambda: _under_way(told), "the load is on")
                yield load
                load.over = True
            await lane.until(load.as_said, "everything that was said is there, once")
            sent = {code: n for code in lane.codes if (n := lane.simulator.journal.exchanges_of(code)) != 1}
            await holds(lane.deployment.dsn, lane.deployment.bootstrap, lane.deployment.topic_prefix)
            told.dropped += [f"a code was sent {n} times" for n in sent.values()]


async def _under_way(told: Shutdowns) -> bool:
    return told.callbacks >= len(COMPANIES) and told.records > 0


async def _is_ready(lane: Lane) -> None:
    async def ready() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{lane.deployment.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await lane.until(ready, "the next process is ready")
