"""Where the endings are played: the demo's platform, a real browser, and hands on everything that can go wrong.

Each test has a company of its own at the provider and a connector of its own, so that none is in another's way.
"""

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from playwright.async_api import Browser, BrowserContext, Error, Page, TimeoutError
from yarl import URL

from schemas.lifecycle import State
from service.demo.host.app import PERSON, TENANT
from service.demo.platform import Platform
from service.demo.simulator import Simulator
from service.demo.simulator import person as at_the_provider
from service.demo.simulator.play import Play
from service.demo.simulator.seed import OLIVIA, PASSWORD, SAM
from service.demo.simulator.world import ACCOUNTING, Role
from service.oauth.description import load_descriptions
from tests.browser.endings.oracle import assert_helpful
from tests.browser.endings.table import BY_NAME
from tests.faults.proxy import Proxy
from tests.loop import eventually
from tests.platforms import platform_on

SCREENS = Path("build/screens/endings")
WINDOW = {"width": 480, "height": 720}
QUICKBOOKS, XERO = "quickbooks-online", "xero"
RULES = {"backoff_base": "PT0.2S", "backoff_cap": "PT0.5S"}
COMPANIES = ("Harbour Couriers", "Blue Fern Dental", "Otto's Garage", "Lakeside School", "Paper & Pine", "Café Zoë")


@dataclass(slots=True)
class Stage:
    """The platform with its database behind a proxy, and a browser before it."""

    platform: Platform
    database: Proxy
    pool: "asyncpg.Pool[asyncpg.Record]"
    browser: Browser
    xero: Simulator
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # What is set up.

    @property
    def simulator(self) -> Simulator:
        return self.platform.simulator

    def company(self) -> tuple[str, str]:
        """A new company at the provider that Olivia administers, and where Sam is a standard user: its id and name."""
        number = next(self._numbers)
        realm, name = f"91303577665{number:05d}", COMPANIES[number % len(COMPANIES)]
        world = self.simulator.world
        world.add_company(realm, name)
        world.set_role(OLIVIA, realm, Role.COMPANY_ADMIN)
        world.set_role(SAM, realm, Role.STANDARD)
        return realm, name

    async def registered(self, *, provider: str = QUICKBOOKS) -> "Books":
        """A connector that was never connected, and a company for it."""
        realm, name = self.company()
        id_ = f"books-{realm}"
        said = {"connector_id": id_, "provider": provider, "name": f"Books of {name}"}
        await self.platform.regrant.post("/v1/connectors", said)
        return Books(self, id_, realm, name)

    async def connected(self) -> "Books":
        """A connector that works: its grant was brought by the host."""
        books = await self.registered()
        tokens = self.simulator.world.grant_without_pages(OLIVIA, books.realm, frozenset({ACCOUNTING}))
        brought = {"refresh_token": tokens.refresh_token, "account_id": books.realm}
        await self.platform.regrant.post(f"/v1/connectors/{books.id}/credential", brought)
        await books.state(State.HEALTHY)
        return books

    async def failed(self) -> "Books":
        """A connector whose sign-in no longer works."""
        books = await self.connected()
        known = self.simulator.world.grants
        known.expire_access_tokens(books.realm)
        known.expire_refresh_tokens(books.realm)
        await self.platform.sync_engine.sync_now(books.id, TENANT)
        await books.state(State.FAILED)
        return books

    async def a_link(self) -> tuple["Books", str]:
        """A connector that works, and a link to edit its credentials."""
        books = await self.connected()
        return books, await books.opened()

    # The browser.

    @asynccontextmanager
    async def window(self, **how: Any) -> AsyncIterator[Page]:
        """A page in a browser of somebody's own."""
        async with self.somebody(**how) as context:
            yield await context.new_page()

    @asynccontextmanager
    async def somebody(self, *, at_the_host: bool = True, **how: Any) -> AsyncIterator[BrowserContext]:
        """A browser with cookies of its own, of somebody who is signed in at the host, or not."""
        context = await self.browser.new_context(viewport=WINDOW, locale="en-GB", **how)  # type: ignore[arg-type]
        try:
            if at_the_host:
                await self.signs_in_at_the_host(context)
            yield context
        finally:
            await context.close()

    async def signs_in_at_the_host(self, context: BrowserContext) -> None:
        await context.request.get(self.platform.host.url)

    async def sees(self, page: Page, name: str) -> None:
        """Waits until the page shows that ending, holds it against the oracle and the table, and takes its picture."""
        ending = BY_NAME[name]
        try:
            await page.locator(f"[data-screen='{ending.screen}']").wait_for(timeout=15_000)
        except TimeoutError:
            text = await page.locator("body").inner_text()
            raise AssertionError(f"never shown: {ending.screen}; {page.url} shows: {text}") from None
        await assert_helpful(page)
        assert await page.locator("h1").inner_text() == ending.title
        assert await page.locator(".primary-button").inner_text() == ending.button
        SCREENS.mkdir(parents=True, exist_ok=True)
        path = SCREENS / f"{name}.png"
        try:
            await page.screenshot(path=path)
        except Error:  # Chromium now and then can't take one on a busy machine: then it is asked once more
            await page.screenshot(path=path)


@dataclass(slots=True)
class Books:
    """A connector of a test's own, and its company at the provider."""

    stage: Stage
    id: str
    realm: str
    company: str

    # The host's side.

    async def opened(self, *, name: str = PERSON["name"]) -> str:
        """The link of a new attempt."""
        body = {"person": {**PERSON, "name": name}, "return_url": f"{self.stage.platform.host.url}/connections"}
        answer = await self.stage.platform.regrant.post(f"/v1/connectors/{self.id}/attempts", body)
        return str(answer["handoff"]["url"])

    async def told(self, method: str, path: str = "") -> None:
        answer = await self.stage.platform.regrant.call(method, f"/v1/connectors/{self.id}{path}")
        assert answer.is_good, answer

    async def state(self, state: State) -> None:
        async def there() -> bool:
            return bool(await self.stage.pool.fetchval(STATE_OF, self.id) == state)

        await eventually(there, f"{self.id} is {state}")

    async def history(self) -> list[Mapping[str, Any]]:
        return list((await self.stage.platform.regrant.get(f"/v1/connectors/{self.id}/history"))["entries"])

    async def time_runs_out(self) -> None:
        """By the database's clock."""
        await self.stage.pool.execute("update connector set deadline = now() where connector_id = $1", self.id)

    # The person's side.

    async def pressed(self, page: Page, link: str) -> None:
        """Opens the link and presses its button; the browser is at the provider then."""
        await page.goto(link)
        await page.locator("[data-primary] button").click()
        await page.wait_for_url(f"{self.stage.simulator.addresses.accounts}/**")

    async def signed_in(self, page: Page, link: str, **how: Any) -> str:
        """The same, and through the provider's pages: the callback's address, not opened yet."""
        await self.pressed(page, link)
        return await self.through_the_provider(page, **how)

    async def through_the_provider(self, page: Page, *, email: str = OLIVIA, company: str = "", **how: Any) -> str:
        """From the provider's first page to the callback, without a browser: its pages aren't what is looked at."""
        choice = company or self.company
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            callback = await at_the_provider.sign_in(
                session, page.url, email=email, password=PASSWORD, company=choice, **how
            )
        return str(callback)

    async def reconnects(self, page: Page, link: str, **how: Any) -> None:
        """The whole way, up to the answer's page."""
        await page.goto(await self.signed_in(page, link, **how))


STATE_OF = "select state::text from connector where connector_id = $1"


@asynccontextmanager
async def stage_on(database: str, bootstrap: str, prefix: str, browser: Browser) -> AsyncIterator[Stage]:
    """The stage, on these servers."""
    parts = URL(database)
    proxy = Proxy(parts.host or "127.0.0.1", parts.port or 5432)
    await proxy.accept()
    play = Play(load_descriptions()[XERO])  # type: ignore[index]
    async with await Simulator.start(play=play) as xero, asyncpg.create_pool(database, min_size=1, max_size=2) as pool:
        settings = {"REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__ACCOUNTS_MAY_REPEAT": "false", **_as(XERO, play, xero)}
        async with platform_on(proxy.dsn(database), bootstrap, prefix, RULES, settings) as platform:
            xero.world.client.redirect_uris.add(f"{platform.deployment.url}/oauth/callback/{XERO}")
            yield Stage(platform, proxy, pool, browser, xero)
    await proxy.close()


def _as(provider: str, play: Play, simulator: Simulator) -> dict[str, str]:
    """The simulator in that provider's place, as variables."""
    client, prefix = simulator.world.client, f"REGRANT_PROVIDERS__{provider.upper()}__"
    return {
        f"{prefix}CLIENT_ID": client.client_id,
        f"{prefix}CLIENT_SECRET": client.client_secret,
        f"{prefix}HOSTS": json.dumps(play.hosts(simulator.addresses)),
        f"{prefix}ALLOW_LOOPBACK_HTTP": "true",
    }
