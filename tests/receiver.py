"""A host's endpoint for webhooks, as real as one: it checks each signature with the standard's own reader."""

import asyncio
import base64
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from schemas import channels
from service.http.access import runner_of
from tests.planted.marking import MARKER

Answering = Callable[[dict[str, Any]], Awaitable[int | web.Response]]
"""The status for an event, or a whole answer."""


def new_secret() -> str:
    """A signing secret, which carries the tests' marker inside."""
    return "whsec_" + base64.b64encode(f"{MARKER}{secrets.token_urlsafe(16)}".encode()).decode()


async def accept(event: dict[str, Any]) -> int:
    return 204


@dataclass
class Receiver:
    """Takes what is sent, in the order in which it comes."""

    secret: str = field(default_factory=new_secret, repr=False)
    answering: Answering = accept
    tried: list[tuple[str, int]] = field(default_factory=list)
    """The id and the status of each request."""
    taken: list[dict[str, Any]] = field(default_factory=list)
    """The events that were accepted, repeats of an id dropped as consumers do."""
    ids: set[str] = field(default_factory=set)
    url: str = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        event: dict[str, Any] = Webhook(self.secret).verify(body, dict(request.headers))
        answer = await self.answering(event)
        status = answer if isinstance(answer, int) else answer.status
        id_ = request.headers["webhook-id"]
        self.tried.append((id_, status))
        if 200 <= status < 300 and id_ not in self.ids:
            self.ids.add(id_)
            self.taken.append(event)
        return web.Response(status=answer) if isinstance(answer, int) else answer

    def versions(self) -> dict[str, list[int]]:
        """The versions of each connector's transitions, in the order in which they were accepted."""
        seen: dict[str, list[int]] = defaultdict(list)
        for event in self.taken:
            if event["type"] == channels.TRANSITION.type:
                seen[event["data"]["connector_id"]].append(event["data"]["version"])
        return dict(seen)

    def tries_of(self, connector: str) -> int:
        return sum(id_.startswith(f"{connector}/") for id_, _ in self.tried)

    @asynccontextmanager
    async def served(self, port: int = 0) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_post("/hook", self.take)
        runner = runner_of(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()


def refusing(connector: str, status: int = 500) -> Answering:
    """Refuses one connector's events."""

    async def answer(event: dict[str, Any]) -> int:
        return status if event["data"]["connector_id"] == connector else 204

    return answer


async def never(event: dict[str, Any]) -> int:
    await asyncio.Event().wait()
    raise AssertionError
