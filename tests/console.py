"""The console before a lively fleet, without Kafka; and a person there, as a browser without script."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
from aiohttp import web
from yarl import URL

from service.app import assemble, console_link, web_app
from service.demo.embedded.child import free_port
from service.demo.simulator import Simulator
from service.http.access import runner_of
from service.settings import Settings
from service.store.migrate import migrate
from service.store.pool import Pool
from service.vault.keys import generate_key_file
from tests.fleets import Herd
from tests.loop import QUICKBOOKS, settings_for
from tests.receiver import new_secret
from tests.window import FORM, Answer, Browser, Running

KIM = {"id": "s-kim", "name": "Kim from support"}
NOWHERE = "127.0.0.1:1"


@dataclass
class Console:
    """A running console, and the connectors that it shows."""

    origin: str
    settings: Settings
    pool: Pool
    herd: Herd

    async def link(self, name: str = "Kim from support") -> str:
        """What `regrant console` prints."""
        return await console_link(self.settings, name)


@asynccontextmanager
async def console_on(dsn: str, folder: Path, *, connectors: int = 60, steps: int = 900) -> AsyncIterator[Console]:
    """The API's role on a database whose connectors have lived for so many inputs."""
    keys, port = folder / "keys", free_port()
    generate_key_file(keys)
    client = SimpleNamespace(client_id="simulated", client_secret="simulated")
    addresses = SimpleNamespace(**dict.fromkeys(("accounts", "oauth", "api"), f"http://{NOWHERE}"))
    provider = cast("Simulator", SimpleNamespace(addresses=addresses, world=SimpleNamespace(client=client)))
    origin = f"http://127.0.0.1:{port}"
    secret = folder / "whsec"
    secret.write_text(new_secret())
    more: dict[str, Any] = {
        "http": {"public_url": origin},
        "providers": {QUICKBOOKS: {}, "xero": {"hosts": {}}},
        "webhooks": {"crm": {"url": "https://crm.example/hooks", "secret_files": [secret]}},
    }
    settings = settings_for(dsn, NOWHERE, "t.", keys, provider, {}, more)
    connection = await asyncpg.connect(dsn)
    await migrate(connection, shards=settings.shards)
    await connection.close()
    async with assemble(settings) as service:
        tasks = [asyncio.create_task(service.engine.run()), asyncio.create_task(service.counter.run())]
        runner = runner_of(web_app(service, "api", asyncio.Event()), 0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        herd = Herd(service.engine, service.pool, random.Random(11), providers=(QUICKBOOKS, "xero"))
        try:
            await herd.live(steps, connectors)
            yield Console(origin, settings, service.pool, herd)
        finally:
            await runner.cleanup()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def link_for(service: Running, *, tenant: str = "*") -> str:
    """The path of a new link."""
    status, told = await service.api("POST", "/v1/console/links", {"person": KIM}, tenant=tenant)
    assert status == 201, told
    return URL(told["url"]).path


async def signed_in(service: Running, *, tenant: str = "*") -> Browser:
    """Somebody who has opened the console."""
    browser = service.browser()
    answer = await browser.press(await link_for(service, tenant=tenant))
    assert (answer.status, answer.location) == (303, "/console"), answer
    return browser


async def proof(browser: Browser, page: str) -> dict[str, str]:
    """What a form of that page holds."""
    csrf = FORM.search((await browser.get(page)).text)
    assert csrf is not None, page
    return {"csrf": csrf[1]}


async def press(browser: Browser, page: str, to: str, fields: Mapping[str, str] = {}) -> Answer:
    """Presses a button of a page of the console."""
    given = {**await proof(browser, page), **fields}
    return await browser.ask("POST", to, {"Sec-Fetch-Site": "same-origin"}, given)
