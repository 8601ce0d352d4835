"""The stage of the providers' stories: one real service over HTTP, and the simulator as each of the providers.

The simulator knows a provider from its description alone. A story has a tenant and a connector of its own, so that all
of them can use one service.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from aiohttp import web
from yarl import URL

from schemas.ids import ProviderId
from schemas.lifecycle import State
from service.app import Service, assemble, web_app
from service.demo.client import AUDIENCE, ISSUER, Answer, Regrant
from service.demo.embedded.child import free_port
from service.demo.person import Person, Screen
from service.demo.simulator import Simulator
from service.demo.simulator.play import Play
from service.demo.simulator.seed import OLIVIA, PASSWORD
from service.engine.deadlines import fire_deadlines
from service.engine.jobs import run_jobs
from service.http.access import runner_of
from service.oauth.description import Description, load_descriptions
from service.settings import Settings
from service.store import migrate
from service.vault.keys import generate_key_file
from tests.loop import eventually
from tests.providers.examples import example_of, write_examples

WHO = {"id": "u-olivia", "name": "Olivia"}
COMPLETION_URL = "http://127.0.0.1:9/complete"
"""Nobody listens there: the story plays the host itself."""
EXAMPLE = example_of("ledgerly.yaml")
DESCRIPTIONS: Mapping[ProviderId, Description] = {**load_descriptions(), EXAMPLE.id: EXAMPLE}
"""The catalogue, and the example of the page that says how to add one."""


@dataclass
class Theatre:
    """The service, and a simulator a provider."""

    service: Service
    session: aiohttp.ClientSession
    url: str
    jwt_key: Path
    simulators: Mapping[ProviderId, Simulator]

    def stage(self, provider: ProviderId) -> "Stage":
        tenant = f"t-{uuid4().hex[:12]}"
        regrant = Regrant(self.session, self.url, tenant, self.jwt_key)
        return Stage(self, DESCRIPTIONS[provider], self.simulators[provider], regrant)


@dataclass
class Stage:
    """One provider, and a tenant with a connector to it."""

    theatre: Theatre
    description: Description
    simulator: Simulator
    regrant: Regrant
    connector: str = ""

    # The host.

    async def connected(self) -> None:
        """A connector after its first connection, with Drivewell's account."""
        self.connector = f"c-{uuid4().hex[:12]}"
        body = {"connector_id": self.connector, "provider": self.description.id, "name": "Drivewell"}
        await self.regrant.post("/v1/connectors", body)
        async with self.person() as person:
            page = await self.come_back(person, await self.go(person))
            assert (await person.wait(await person.look(page), 20)).name == "connected"
        await self.is_in(State.SYNCING)

    async def handoff(self) -> str:
        opened = await self.regrant.post(f"/v1/connectors/{self.connector}/attempts", {"person": WHO})
        return str(opened["handoff"]["url"])

    async def come_back(self, person: Person, callback: URL) -> URL:
        """Opens the callback; where the host has to confirm, it does. Returns the attempt's page."""
        async with person.session.get(callback, allow_redirects=False) as answer:
            assert answer.status == 303, (answer.status, await answer.text())
            page = callback.join(URL(answer.headers["Location"], encoded=True))
        if str(page).startswith(COMPLETION_URL):
            attempt, token = page.query["attempt_id"], page.query["completion_token"]
            body = {"completion_token": token, "person_id": WHO["id"]}
            await self.regrant.post(f"/v1/attempts/{attempt}/complete", body)
            page = URL(f"{self.theatre.url}/connect/attempts/{attempt}")
        return page

    async def token(self) -> Answer:
        """The answer to a sync engine that asks when the access token is over."""
        await self.theatre.service.pool.execute(
            "update credential set access_expires_at = now() where status = 'current'"
            " and connector = (select id from connector where connector_id = $1)",
            self.connector,
        )
        return await self.regrant.call("POST", f"/v1/connectors/{self.connector}/token", {})

    # The person.

    def person(self, email: str = OLIVIA) -> Person:
        return Person(email, PASSWORD, (self.theatre.url,))

    async def go(self, person: Person, *, company: str | None = "Drivewell Inc", consent: bool = True) -> URL:
        """From the link through the provider's pages; returns the callback, not opened yet."""
        authorize = await person.press(await person.look(await self.handoff()))
        return await person.sign_in(authorize, company=company, consent=consent)

    async def reconnect(
        self, *, email: str = OLIVIA, company: str | None = "Drivewell Inc", consent: bool = True
    ) -> Screen:
        """The person's whole way, to where the window doesn't change any more."""
        async with self.person(email) as person:
            page = await self.come_back(person, await self.go(person, company=company, consent=consent))
            return await person.wait(await person.look(page), 20)

    # What is seen.

    @property
    def account(self) -> str:
        """Drivewell's id at the provider."""
        return self.description.identity.examples[0]

    @property
    def exchanges(self) -> int:
        """How often the token endpoint was asked."""
        return self.simulator.journal.by_endpoint["token"]

    async def row(self) -> Any:  # Any: an asyncpg row
        query = "select * from connector where connector_id = $1"
        return await self.theatre.service.pool.fetchrow(query, self.connector)

    async def credential(self) -> dict[str, Any]:
        """The current credential, byte by byte."""
        row = await self.theatre.service.pool.fetchrow(
            "select k.* from credential k join connector c on c.id = k.connector"
            " where c.connector_id = $1 and k.status = 'current'",
            self.connector,
        )
        return dict(row)

    async def is_in(self, *states: State) -> Any:
        async def there() -> Any:
            row = await self.row()
            return row if row["state"] in states else None

        return await eventually(there, f"{self.connector} in {', '.join(states)}")


def _settings(dsn: str, folder: Path, port: int, simulators: Mapping[ProviderId, Simulator]) -> Settings:
    jwt_key = folder / "jwt.key"
    jwt_key.write_text(secrets.token_urlsafe(48))
    jwt_key.chmod(0o600)
    generate_key_file(folder / "keys")
    url = f"http://127.0.0.1:{port}"
    providers = {}
    for id_, simulator in simulators.items():
        simulator.world.client.redirect_uris.add(f"{url}/oauth/callback/{id_}")
        probe = DESCRIPTIONS[id_].admin.probe
        providers[id_] = {
            "client_id": simulator.world.client.client_id,
            "client_secret": simulator.world.client.client_secret,
            "hosts": Play(DESCRIPTIONS[id_]).hosts(simulator.addresses),
            "allow_loopback_http": True,
            "extra_scopes": [probe.scope] if probe and probe.scope else [],
        }
    return Settings.model_validate(
        {
            "database": {"dsn": dsn},
            "kafka": {"bootstrap": "127.0.0.1:9"},  # nothing of a story goes there
            "shards": 2,
            "http": {"public_url": url, "port": port},
            "keys": {"folder": folder / "keys"},
            "jwt": {"issuer": ISSUER, "audience": AUDIENCE, "hs256_key_file": jwt_key},
            "web": {"host_name": "Drivewell", "completion_url": COMPLETION_URL},
            "providers": providers,
            "provider_folders": [write_examples(folder / "providers")],
            "rules": {"backoff_base": "0.2"},
            "limits": {"address": 100_000, "tenant": 100_000},  # all come from this machine
            "development": True,
        }
    )


@asynccontextmanager
async def theatre(dsn: str, folder: Path) -> AsyncIterator[Theatre]:
    """The service as `serve --role api` runs it with its deadlines, every provider set up, on an empty database."""
    async with AsyncExitStack() as stack:
        simulators = {
            id_: await stack.enter_async_context(await Simulator.start(play=Play(description)))
            for id_, description in DESCRIPTIONS.items()
        }
        settings = _settings(dsn, folder, free_port(), simulators)
        connection = await asyncpg.connect(dsn)
        await migrate.migrate(connection, shards=settings.shards)
        await connection.close()
        service = await stack.enter_async_context(assemble(settings))
        runner = runner_of(web_app(service, "api", asyncio.Event()))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", settings.http.port).start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        tasks = [
            asyncio.create_task(work)
            for work in (
                service.engine.run(),
                run_jobs(service.engine, service.handlers),
                fire_deadlines(service.engine),
            )
        ]
        try:
            yield Theatre(service, session, settings.http.public_url, folder / "jwt.key", simulators)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
