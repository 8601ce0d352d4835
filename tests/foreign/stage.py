"""One real service whose provider is the foreign server, through its ports alone: host, person and provider."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from yarl import URL

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.embedded.child import Supervisor, free_port
from tests.foreign.server import Came, ForeignServer, foreign_server, sign_in
from tests.foreign.set_up import HERE
from tests.loop import eventually
from tests.window import Answer, Browser, Running, running

PROVIDERS = ("foreign", "foreign-pushed", "foreign-posted", "foreign-refusing", "foreign-away")


def settings_of(server: ForeignServer) -> dict[str, Any]:
    """The server as each of the descriptions beside this file has it."""
    pushing = server.pushing_client
    return {
        "foreign": server.settings(),
        "foreign-pushed": server.settings(client_id=pushing),
        "foreign-posted": server.settings(),
        "foreign-refusing": server.settings(client_id=pushing, client_secret="another-secret"),
        "foreign-away": server.settings(hosts={"foreign.example": "http://127.0.0.1:9"}),
    }


@dataclass
class Stage:
    """A tenant's connector to the foreign server."""

    running: Running
    server: ForeignServer
    provider: str = "foreign"
    account: str = field(default_factory=lambda: f"books-{uuid4().hex[:8]}")
    id: str = ""
    attempt: str = ""

    # What people and hosts do.

    async def begun(self, browser: Browser) -> str:
        """A new attempt, and its button; returns where the browser is sent to."""
        self.attempt, link = await self.running.opened(self.id)
        return await self.running.begun(browser, link)

    async def back(self, browser: Browser, *, account: str = "", consent: bool = True) -> Came:
        """Up to what the server sends the browser back with, not followed yet."""
        return await sign_in(await self.begun(browser), account or self.account, consent=consent)

    async def follow(self, browser: Browser, came: Came) -> Answer:
        """What a browser does with it, the host's confirmation of a new account included."""
        answer = await browser.get(came.url.raw_path_qs if came.form is None else await self.carried(came))
        if (token := URL(answer.location).query.get("completion_token")) is not None:
            status, told = await self.running.complete(self.attempt, token)
            assert status == 200, told
        return answer

    async def posted(self, came: Came, form: Mapping[str, str] | None = None) -> Answer:
        """A page of the server posts its form: across sites, so that no cookie of ours comes along."""
        headers = {"Sec-Fetch-Site": "cross-site", "Origin": self.server.url}
        return await self.running.browser().ask("POST", came.url.raw_path_qs, headers, form or came.form)

    async def carried(self, came: Came) -> str:
        """Where a posted answer sends its browser."""
        answer = await self.posted(came)
        assert answer.status == 303, answer
        return answer.location

    async def reconnect(self, *, account: str = "", consent: bool = True) -> None:
        """The whole way, to where the attempt has ended."""
        browser = self.running.browser()
        answer = await self.follow(browser, await self.back(browser, account=account, consent=consent))
        assert answer.status == 303, answer
        await eventually(self.ended, "the attempt ends")

    async def connected(self) -> None:
        """A connector after its first connection."""
        self.id = await self.running.registered(provider=self.provider)
        await self.reconnect()
        assert (await self.told())["reason"] == Reason.CONNECTED, await self.told()
        await self.running.loop.state(self.id, State.SYNCING)

    async def imported(self) -> str:
        """A connector with a grant that its host brought; returns the refresh token, which the checks have used."""
        self.id = await self.running.registered(provider=self.provider)
        brought = await self.server.granted(self.account)
        body = {"refresh_token": brought, "account_id": self.account}
        status, told = await self.running.api("POST", f"/v1/connectors/{self.id}/credential", body)
        assert status in (200, 201, 202), told
        self.attempt = told["attempt_id"]
        await eventually(self.ended, "the import is checked")
        assert (await self.told())["reason"] == Reason.CONNECTED
        return brought

    async def token(self, **body: object) -> tuple[int, Any]:
        return await self.running.api("POST", f"/v1/connectors/{self.id}/token", body)

    async def fresh_token(self) -> tuple[int, Any]:
        """The answer once the access token before has run out."""
        await self.running.loop.ages(self.id)
        return await self.token()

    # What is seen.

    async def told(self) -> dict[str, Any]:
        """The latest attempt, as the host sees it."""
        _, told = await self.running.api("GET", f"/v1/attempts/{self.attempt}")
        return dict(told)

    async def ended(self) -> bool:
        return bool((await self.told())["status"] == "ended")

    async def row(self) -> Any:
        return await self.running.loop.row(self.id)

    async def credential(self) -> Mapping[str, Any]:
        """The current credential, byte by byte."""
        return dict(await self.running.loop.current(self.id))


@asynccontextmanager
async def house(dsn: str, bootstrap: str, prefix: str, folder: Path) -> AsyncIterator[Stage]:
    """The service and the server; each test makes stages of its own from the one that it gets."""
    port = free_port()
    redirect_uris = [f"http://127.0.0.1:{port}/oauth/callback/{provider}" for provider in PROVIDERS]
    with closing(Supervisor()) as supervisor:
        async with foreign_server(supervisor, redirect_uris) as server:
            more = {"provider_folders": [HERE], "providers": settings_of(server)}
            async with running(dsn, bootstrap, prefix, folder, more=more, port=port) as service:
                yield Stage(service, server)
