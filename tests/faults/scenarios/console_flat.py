"""The console at length: people with live pages and people who look around; the api process's memory stays flat.

An api process of its own, before a fleet that moves all the time. Live pages come and go; the others ask one page after
the other, as fast as they are answered, so that minutes stand for hours of people.
"""

import asyncio
import contextlib
import itertools
import random
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import psutil
from yarl import URL

from benchmarks.insight import SHARDS, filled
from schemas.ids import ConnectorId
from schemas.lifecycle import ActorKind
from schemas.reasons import Reason
from service.app import console_link
from service.demo.embedded.child import Supervisor, free_port
from service.settings import load
from service.store.pool import open_pool
from service.vault.keys import generate_key_file
from statemachine import inputs
from tests.databases import created, named
from tests.faults.stage import Say, Violation
from tests.fleets import Herd, engine_on
from tests.window import Browser

CONNECTORS, TRANSITIONS = 20_000, 60_000
LIVE, WALKERS = 6, 4
A_LOOK_S = 20.0
"""How long a live page stays open."""
MOVES_A_SECOND = 20
WARM_SHARE = 0.5
"""Until then every page was shown, and each connection of the pool knows every statement."""
GROWS_MB = 5.0
"""More than that, between the warmed-up process and the end, is a leak; the allocator's own ups and downs are less."""
PAGES = (
    "/console",
    "/console/connectors",
    "/console/connectors?state=failed",
    "/console/connectors?q=customer+19",
    "/console/connectors/t7/c0010007",
    "/console/funnel",
    "/console/times",
    "/console/errors",
    "/console/expiring",
    "/console/providers",
    "/console/dead-letters",
)


@dataclass
class Seen:
    """What the visitors did, and the process's memory meanwhile."""

    began: float = field(default_factory=time.monotonic)
    pages: int = 0
    looks: int = 0
    events: int = 0
    rss_mb: list[tuple[float, float]] = field(default_factory=list)

    def between(self, begin_s: float, end_s: float) -> float:
        """The median memory of a part of the time."""
        return statistics.median(mb for at, mb in self.rss_mb if begin_s <= at - self.began <= end_s)


async def console_flat(dsn: str, bootstrap: str, seed: int, seconds: float, say: Say) -> None:
    """The console's pages and live streams, for as long as there is time: memory stays flat."""
    database = named(dsn, await created(dsn, "console_flat"))
    async with await open_pool(database) as pool:
        await filled(pool, CONNECTORS, TRANSITIONS)
    async with _api(database, bootstrap) as (origin, link, pid), engine_on(database, SHARDS) as (engine, pool):
        seen = Seen()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            browser = Browser(session, origin)
            opened = await browser.press(URL(link).path)
            assert opened.status == 303, opened
            herd = Herd(engine, pool, random.Random(seed))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                    tasks.create_task(_moving(herd))
                    tasks.create_task(_watched(pid, seen))
                    for number in range(LIVE):
                        tasks.create_task(_looking(browser, seen, A_LOOK_S * (1 + number / LIVE)))
                    for number in range(WALKERS):
                        tasks.create_task(_walking(browser, seen, number))
    warm, end = seen.between(seconds * WARM_SHARE, seconds * (WARM_SHARE + 0.1)), seen.between(seconds * 0.9, seconds)
    say(
        f"{seen.pages} pages, {seen.looks} live pages with {seen.events} events in {seconds:.0f} s;"
        f" memory {warm:.1f} MiB when warm, {end:.1f} MiB at the end"
    )
    if end - warm > GROWS_MB:
        told = [f"after {at - seen.began:.0f} s: {mb:.1f} MiB" for at, mb in seen.rss_mb[:: len(seen.rss_mb) // 15 + 1]]
        raise Violation("the console's memory grows", told)


@asynccontextmanager
async def _api(dsn: str, bootstrap: str) -> AsyncIterator[tuple[str, str, int]]:
    """An api process; its address, a link that opens its console, and its process id."""
    with tempfile.TemporaryDirectory() as name, contextlib.closing(Supervisor()) as supervisor:
        folder, port = Path(name), free_port()
        generate_key_file(folder / "keys")
        (folder / "jwt").touch(mode=0o600)
        (folder / "jwt").write_text(secrets.token_urlsafe(48))
        origin = f"http://127.0.0.1:{port}"
        environment = {
            "REGRANT_DEVELOPMENT": "true",
            "REGRANT_DATABASE__DSN": dsn,
            "REGRANT_KAFKA__BOOTSTRAP": bootstrap,
            "REGRANT_SHARDS": str(SHARDS),
            "REGRANT_HTTP__PUBLIC_URL": origin,
            "REGRANT_HTTP__PORT": str(port),
            "REGRANT_KEYS__FOLDER": str(folder / "keys"),
            "REGRANT_JWT__ISSUER": "https://host.example",
            "REGRANT_JWT__AUDIENCE": "regrant",
            "REGRANT_JWT__HS256_KEY_FILE": str(folder / "jwt"),
            "REGRANT_WEB__HOST_NAME": "Soak",
            "REGRANT_LOG__LEVEL": "warning",
        }
        link = await console_link(load(environment), "Kim from support")
        program = [sys.executable, "-m", "service.cli", "serve", "--role", "api"]
        child = supervisor.start(program, log=folder / "log", env=environment)
        try:
            await _listens(origin)
            yield origin, link, child.pid
        finally:
            await supervisor.end(child, signal.SIGTERM, 20)


async def _listens(origin: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(120):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{origin}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.2)


async def _moving(herd: Herd) -> None:
    """Connectors that fail and recover, in turn."""
    some = [ConnectorId(f"c{number:07}") for number in range(CONNECTORS // 2, CONNECTORS // 2 + 500)]
    for turn in itertools.count():
        for id_ in some:
            now = datetime.now(UTC)
            broke = inputs.SyncFailed(connector=id_, occurred=now, reason=Reason.TOKEN_REFUSED, generation=None)
            worked = inputs.SyncSucceeded(connector=id_, occurred=now, generation=None)
            await herd.say(worked if turn % 2 else broke, ActorKind.HOST)
            await asyncio.sleep(1 / MOVES_A_SECOND)


async def _looking(browser: Browser, seen: Seen, for_s: float) -> None:
    """A live page that is opened and closed again and again."""
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    no_limit = aiohttp.ClientTimeout(total=None)
    while True:
        async with browser.session.get(f"{browser.origin}/console/live", headers=cookie, timeout=no_limit) as stream:
            if stream.status == 429:  # the closed ones are still counted: a browser comes back, too
                await asyncio.sleep(1)
                continue
            assert stream.status == 200, stream
            seen.looks += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(for_s):
                    async for line in stream.content:
                        seen.events += line.startswith(b"event:")


async def _walking(browser: Browser, seen: Seen, first: int) -> None:
    """One page after the other."""
    for page in itertools.cycle(PAGES[first:] + PAGES[:first]):
        answer = await browser.get(page)
        assert answer.status == 200, (page, answer.status, answer.text[:500])
        seen.pages += 1


async def _watched(pid: int, seen: Seen) -> None:
    process = psutil.Process(pid)
    while True:
        seen.rss_mb.append((time.monotonic(), process.memory_info().rss / 2**20))
        await asyncio.sleep(1)
