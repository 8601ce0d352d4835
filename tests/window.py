"""A person's browser and a host's backend before the whole running service: real HTTP, PostgreSQL, a simulated Intuit.

Nothing of the service is called but by its port. What a test wants to know is asked of the database and the simulator.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import aiohttp
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey
from yarl import URL

from schemas.ids import ConnectorId
from schemas.lifecycle import State
from schemas.routes import Scope
from service.app import web_app
from service.demo.embedded.child import free_port
from service.demo.simulator import person as at_the_provider
from service.demo.simulator.seed import OLIVIA, PASSWORD
from service.http.access import runner_of
from tests.loop import Loop, running_loop

ALL_SCOPES = " ".join(scope.value for scope in Scope)
OWNER = {"id": "u-olivia", "name": "Olivia"}
QUICKBOOKS = "quickbooks-online"
FORM = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


def host_token(key: bytes, tenant: str, *, alg: str = "HS256", **changes: Any) -> str:
    """A token of the host's for that tenant, good for a minute, with these claims changed."""
    claims = {
        "iss": "https://host.example",
        "aud": "regrant",
        "sub": "backend",
        "exp": int(time.time()) + 60,
        "tenant": tenant,
        "scope": ALL_SCOPES,
        **changes,
    }
    return jwt.encode({"alg": alg}, claims, OctKey.import_key(key), algorithms=[alg])


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


@dataclass
class Browser:
    """A browser that follows nothing by itself, and lies where a test wants it to."""

    session: aiohttp.ClientSession
    origin: str
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, address: str, **headers: str) -> Answer:
        return await self.ask("GET", address, headers)

    async def press(self, page: str, to: str = "", **headers: str) -> Answer:
        """Presses the button of a page, as a person does: the page first, and its form's proof with it."""
        shown = await self.get(page)
        csrf = FORM.search(shown.text)
        assert csrf is not None, f"{page} has no form: {shown.status}"
        given = {"Sec-Fetch-Site": "same-origin", "Origin": self.origin, **headers}
        return await self.ask("POST", to or page, given, {"csrf": csrf[1]})

    async def ask(
        self, method: str, address: str, headers: Mapping[str, str] = {}, data: Mapping[str, str] | None = None
    ) -> Answer:
        url = URL(address if address.startswith("http") else self.origin + address, encoded=True)
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        given = {**headers, **(cookie if self.cookies else {})}
        async with self.session.request(method, url, headers=given, data=data, allow_redirects=False) as answer:
            self.cookies |= {name: morsel.value for name, morsel in answer.cookies.items()}
            return Answer(answer.status, dict(answer.headers), await answer.text())

    async def sign_in(self, authorize: str, *, company: str | None = "Drivewell Inc", **how: Any) -> str:
        """Goes through the provider's pages; returns the path and query of the callback, not opened yet."""
        given: dict[str, Any] = {"email": OLIVIA, "password": PASSWORD, **how}
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            url = await at_the_provider.sign_in(session, authorize, company=company, **given)
        return url.raw_path_qs


@dataclass
class Running:
    """The service behind its port, its database and its provider."""

    loop: Loop
    origin: str
    session: aiohttp.ClientSession
    key: bytes

    def browser(self) -> Browser:
        return Browser(self.session, self.origin)

    # The host's backend.

    async def api(
        self, method: str, path: str, body: object = None, *, tenant: str = "drivewell", **headers: str
    ) -> tuple[int, Any]:
        status, told, _ = await self.api_with_headers(method, path, body, tenant=tenant, **headers)
        return status, told

    async def api_with_headers(
        self, method: str, path: str, body: object = None, *, tenant: str = "drivewell", **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        given = {"Authorization": f"Bearer {host_token(self.key, tenant)}", **headers}
        async with self.session.request(method, URL(self.origin + path, encoded=True), json=body, headers=given) as a:
            return a.status, await a.json(content_type=None), dict(a.headers)

    async def registered(self, *, tenant: str = "drivewell", provider: str = QUICKBOOKS) -> ConnectorId:
        id_ = ConnectorId(f"c-{uuid4().hex[:8]}")
        body = {"connector_id": id_, "provider": provider, "name": "Books"}
        status, told = await self.api("POST", "/v1/connectors", body, tenant=tenant)
        assert status == 201, told
        return id_

    async def opened(
        self, id_: str, *, tenant: str = "drivewell", person: Mapping[str, str] = OWNER
    ) -> tuple[str, str]:
        """A new attempt: its id, and the path of its link."""
        status, told = await self.api("POST", f"/v1/connectors/{id_}/attempts", {"person": person}, tenant=tenant)
        assert status == 201, told
        return told["attempt_id"], URL(told["handoff"]["url"]).path

    async def complete(
        self, attempt: str, token: str, *, person: str = OWNER["id"], tenant: str = "drivewell"
    ) -> tuple[int, Any]:
        body = {"completion_token": token, "person_id": person}
        return await self.api("POST", f"/v1/attempts/{attempt}/complete", body, tenant=tenant)

    # Ways that people go.

    async def begun(self, browser: Browser, link: str) -> str:
        """Presses the link's button; returns the provider's address that the browser is sent to."""
        answer = await browser.press(link)
        assert answer.status == 303, answer
        return answer.location

    async def back(self, id_: str, browser: Browser | None = None, **how: Any) -> tuple[str, Browser, str]:
        """Up to the callback, which isn't opened yet: the attempt, the browser, and the callback's path and query."""
        browser = browser or self.browser()
        attempt, link = await self.opened(id_, tenant=how.pop("tenant", "drivewell"))
        return attempt, browser, await browser.sign_in(await self.begun(browser, link), **how)

    async def connected(self, *, tenant: str = "drivewell", **how: Any) -> ConnectorId:
        """A connector whose account is pinned, and whose first credential is in use."""
        id_ = await self.registered(tenant=tenant)
        attempt, browser, callback = await self.back(id_, tenant=tenant, **how)
        answer = await browser.get(callback)
        token = URL(answer.location).query["completion_token"]
        status, told = await self.complete(attempt, token, tenant=tenant)
        assert status == 200, told
        await self.loop.state(id_, State.SYNCING)
        return id_

    # What is seen.

    @property
    def exchanges(self) -> int:
        """How often the token endpoint was asked."""
        return self.loop.simulator.journal.by_endpoint["token"]

    async def audited(self, what: str) -> int:
        count: int = await self.loop.pool.fetchval("select count(*) from audit where what = $1", what)
        return count

    async def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table."""
        tables = await self.loop.pool.fetch(
            "select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = 'public'"
        )
        return {
            t["name"]: [dict(row) for row in await self.loop.pool.fetch(f"select * from {t['name']}")] for t in tables
        }


Services: TypeAlias = Callable[..., AbstractAsyncContextManager["Running"]]
"""Starts a service as `running` does, with settings beside the tests' own."""


@asynccontextmanager
async def running(
    database: str,
    bootstrap: str,
    prefix: str,
    folder: Path,
    *,
    rules: dict[str, object] | None = None,
    more: Mapping[str, Any] | None = None,
    port: int | None = None,
) -> AsyncIterator[Running]:
    """The service behind a port of its own. It has no Kafka worker: what is published isn't asked here."""
    port = port or free_port()
    origin = f"http://127.0.0.1:{port}"
    alone = {QUICKBOOKS: {"accounts_may_repeat": False}}
    changed = {"providers": alone, **(more or {}), "http": {"public_url": origin, **(more or {}).get("http", {})}}
    async with running_loop(database, bootstrap, prefix, folder, rules, worker=False, more=changed) as loop:
        for provider in loop.service.providers:
            loop.simulator.world.client.redirect_uris.add(f"{origin}/oauth/callback/{provider}")
        runner = runner_of(web_app(loop.service, "api", asyncio.Event()))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        key_file = loop.service.settings.jwt.hs256_key_file
        assert key_file is not None
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                yield Running(loop, origin, session, key_file.read_bytes().strip())
        finally:
            await runner.cleanup()
