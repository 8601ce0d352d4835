"""A platform: one deployment of regrant with everything around it: the provider, the host, its sync engine."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from service.demo.client import Regrant
from service.demo.deployment import Deployment
from service.demo.embedded.child import Supervisor
from service.demo.events import HostEvents
from service.demo.host.app import TENANT, HostApp
from service.demo.host.board import Board
from service.demo.host.controls import Controls
from service.demo.person import Person
from service.demo.simulator import Simulator
from service.demo.steps import Steps
from service.demo.sync_engine import SyncEngine

HOST_READY_S = 30


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the database and the brokers of one platform are."""

    dsn: str
    bootstrap: str
    topic_prefix: str


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of what people open: the host's pages, regrant, and the provider's pages."""

    host: int
    regrant: int
    provider: int


@dataclass(frozen=True, slots=True)
class Platform:
    """A running platform."""

    name: str
    deployment: Deployment
    simulator: Simulator
    regrant: Regrant
    host: HostApp
    events: HostEvents
    sync_engine: SyncEngine

    def person(self, email: str, password: str) -> Person:
        """Somebody at a browser of their own."""
        return Person(email, password, (self.deployment.url, self.host.url))


@asynccontextmanager
async def running_platform(
    supervisor: Supervisor,
    steps: Steps,
    name: str,
    servers: "asyncio.Future[Servers] | asyncio.Task[Servers]",
    ports: Ports,
    rules: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    listen: str = "127.0.0.1",
) -> AsyncIterator[Platform]:
    """Starts the parts, side by side where they allow it; each step turns green after its probe passed.

    `settings` are variables of regrant's environment that differ from the demo's. What people open has addresses on
    127.0.0.1, whatever it listens on.
    """
    async with aiohttp.ClientSession() as session:
        async with steps.step(f"{name}: simulated Intuit") as step:
            simulator = await Simulator.start(listen, (ports.provider, 0, 0))
            step.done(f"{simulator.addresses.accounts}")
        try:
            at = await servers
            host_url = f"http://127.0.0.1:{ports.host}"
            deployment = Deployment(
                supervisor,
                name,
                port=ports.regrant,
                host_url=host_url,
                simulator=simulator,
                bootstrap=at.bootstrap,
                dsn=at.dsn,
                topic_prefix=at.topic_prefix,
                rules=rules,
                settings={"REGRANT_HTTP__HOST": listen, **(settings or {})},
            )
            async with steps.step(f"{name}: keys, database and topics") as step:
                deployment.make_keys()
                await deployment.migrate()
                step.done("migrated")
            async with steps.step(f"{name}: regrant") as step:
                await deployment.start()
                step.done(deployment.url)
            try:
                async with _with_the_host(session, steps, name, deployment, simulator, ports.host, listen) as platform:
                    yield platform
            except Exception:
                steps.complain(f"{name}: regrant's last words", deployment.said())
                raise
            finally:
                await deployment.stop()
        finally:
            await simulator.stop()


@asynccontextmanager
async def _with_the_host(
    session: aiohttp.ClientSession,
    steps: Steps,
    name: str,
    deployment: Deployment,
    simulator: Simulator,
    port: int,
    listen: str,
) -> AsyncIterator[Platform]:
    regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)
    bootstrap, prefix = deployment.bootstrap, deployment.topic_prefix
    async with HostEvents(bootstrap, prefix) as events:
        engine = SyncEngine(bootstrap, prefix, simulator.addresses.api, session, events, {TENANT: regrant})
        board = Board(regrant, bootstrap, prefix)
        controls = Controls(session, f"{simulator.addresses.accounts}/_sim")
        host = HostApp(regrant, board, engine, controls, port, listen)
        following = [
            asyncio.create_task(board.follow(), name="Drivewell's consumer"),
            asyncio.create_task(engine.serve(), name="the sync engine"),
        ]
        for task in following:
            task.add_done_callback(lambda ended: _told_why(ended, steps))
        try:
            async with host.running():
                async with steps.step(f"{name}: Drivewell and its sync engine") as step:
                    await board.load()
                    await _ready(following, board.following, engine.following)
                    step.done(host.url)
                yield Platform(name, deployment, simulator, regrant, host, events, engine)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)


def _told_why(ended: "asyncio.Task[None]", steps: Steps) -> None:
    """These run until they are cancelled: one that ends by itself has broken."""
    if not ended.cancelled() and (error := ended.exception()) is not None:
        steps.complain(ended.get_name(), repr(error))


async def _ready(tasks: "list[asyncio.Task[None]]", *signals: asyncio.Event) -> None:
    """Waits for the signals; a task that broke first says why."""
    async with asyncio.timeout(HOST_READY_S):
        for signal in signals:
            while not signal.is_set():
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)
