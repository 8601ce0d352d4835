"""The running simulator: three hosts on three ports, each of which can be stopped and started alone."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from types import TracebackType

from aiohttp import web

from service.demo.simulator.accounts import accounts_app
from service.demo.simulator.addresses import Addresses
from service.demo.simulator.api import api_app
from service.demo.simulator.clock import AdjustableClock
from service.demo.simulator.control import control_app
from service.demo.simulator.described import described_api_app, described_oauth_app
from service.demo.simulator.faults import Faults, Host
from service.demo.simulator.grants import Mint
from service.demo.simulator.id_token import IdTokenSigner
from service.demo.simulator.journal import Journal
from service.demo.simulator.oauth import oauth_app
from service.demo.simulator.play import Play
from service.demo.simulator.seed import seed as drivewell
from service.demo.simulator.state import State
from service.demo.simulator.visits import Visits
from service.demo.simulator.world import Client, World, WorldSettings

# A host that goes down cuts whom it is answering; a moment is left for the answer of the control API.
_CUT_AFTER_S = 0.2


class Simulator:
    """Start it with `await Simulator.start()`; stop it with `await simulator.stop()`, or use `async with`.

    `world`, `faults`, `journal` and `clock` are what tests take hold of; the control API does the same by HTTP.
    """

    def __init__(
        self, build_world: Callable[[], World], clock: AdjustableClock, bind: str, play: Play | None = None
    ) -> None:
        self._build_world = build_world
        self._bind = bind
        self._ports: dict[Host, int] = {}
        self._runners: dict[Host, web.AppRunner] = {}
        self._outages: set[asyncio.Task[None]] = set()
        self._outages_over = asyncio.Event()
        self.clock = clock
        self.faults = Faults()
        self.journal = Journal()
        self._state = State(
            world=build_world(),
            clock=clock,
            faults=self.faults,
            journal=self.journal,
            signer=IdTokenSigner(),
            visits=Visits(),
            addresses=Addresses("", "", ""),
            play=play,
        )

    @classmethod
    async def start(
        cls,
        host: str = "127.0.0.1",
        ports: tuple[int, int, int] = (0, 0, 0),
        *,
        client: Client | None = None,
        play: Play | None = None,
        seed: Callable[[World], None] | None = None,
        settings: Callable[[], WorldSettings] | None = None,
        clock: AdjustableClock | None = None,
        mint: Mint = lambda: secrets.token_urlsafe(48),
    ) -> Simulator:
        """Listen on `ports` (accounts, oauth, api; 0: any free one). OSError if one is taken.

        The registered client outlives a reset; `seed` and `settings` make the world anew at each. With `play`, another
        provider than Intuit, from its description.
        """
        known_client, time = client or Client(), clock or AdjustableClock()

        def build_world() -> World:
            made = settings or (play.world_settings if play else WorldSettings)
            world = World(clock=time, client=known_client, settings=made(), mint=mint)
            (seed or (play.seed if play else drivewell))(world)
            return world

        simulator = cls(build_world, time, host, play)
        simulator._ports = dict(zip(Host, ports, strict=True))
        try:
            for each in Host:
                await simulator.up(each)
        except OSError:
            await simulator.stop()
            raise
        shown = {"::1": "[::1]", "0.0.0.0": "127.0.0.1"}.get(host, host)
        urls = (f"http://{shown}:{simulator._ports[each]}" for each in Host)
        simulator._state.addresses = Addresses(*urls)
        return simulator

    @property
    def addresses(self) -> Addresses:
        return self._state.addresses

    @property
    def world(self) -> World:
        """The world of now; a reset makes another one."""
        return self._state.world

    async def down(self, host: Host | str) -> None:
        """Close a host's port and its open connections: callers are refused. Nothing if it is down already."""
        runner = self._runners.pop(Host(host), None)
        if runner is not None:
            await runner.cleanup()

    async def up(self, host: Host | str) -> None:
        """Listen again, on the same port. OSError if somebody else took it."""
        host = Host(host)
        if host in self._runners:
            return
        # A new application each time: aiohttp's can't be started twice. What lasts is in the state.
        runner = web.AppRunner(self._app(host), access_log=None, shutdown_timeout=_CUT_AFTER_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._bind, self._ports[host]).start()
        except OSError:
            await runner.cleanup()
            raise
        self._ports[host] = runner.addresses[0][1]
        self._runners[host] = runner

    def down_for(self, host: Host | str, seconds: float) -> None:
        """Down at once, and up again by itself."""
        self._outages.add(asyncio.get_running_loop().create_task(self._outage(Host(host), seconds)))

    async def _outage(self, host: Host, seconds: float) -> None:
        await self.down(host)
        try:
            async with asyncio.timeout(seconds):
                await self._outages_over.wait()
        except TimeoutError:
            pass  # it lasted as long as it was to last
        await self.up(host)

    async def _end_outages(self) -> None:
        """Not cancelled, since a host half down would keep its port: told to end, and waited for."""
        outages, self._outages = self._outages, set()
        self._outages_over.set()
        await asyncio.gather(*outages)
        self._outages_over.clear()

    async def reset(self) -> None:
        """The seeded world again: no grants, faults or counts; all hosts up. The clock and the client stay."""
        await self._end_outages()
        self.faults.lift_all()
        self._state.visits.clear()
        self._state.world = self._build_world()
        self.journal.clear()
        for host in Host:
            await self.up(host)

    async def stop(self) -> None:
        self.faults.lift_all()
        try:
            await self._end_outages()
        finally:
            for host in Host:
                await self.down(host)

    async def __aenter__(self) -> Simulator:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _app(self, host: Host) -> web.Application:
        match host:
            case Host.ACCOUNTS:
                app = accounts_app(self._state)
                app.add_subapp("/_sim", control_app(self._state, self))
                return app
            case Host.OAUTH:
                return described_oauth_app(self._state) if self._state.play else oauth_app(self._state)
            case Host.API:
                return described_api_app(self._state) if self._state.play else api_app(self._state)
