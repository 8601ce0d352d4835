"""The host application: the settings page with its connectors, and the backend behind it.

The signed-in person is always Olivia: the demo has no login of its own, but the backend knows its people by a session
cookie as any host does, and confirms attempts for that person only.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from jinja2 import Environment, PackageLoader, StrictUndefined

from schemas.lifecycle import Step
from service.demo.client import Refused, Regrant
from service.demo.host.board import Board, Update, updates
from service.demo.host.controls import CONTROLS, Controls
from service.demo.sync_engine import SyncEngine

TENANT = "drivewell-inc"
PERSON = {"id": "u-olivia", "name": "Olivia Marsh"}
SUPPORT = {"id": "s-sam", "name": "Sam from support"}
SESSION = "drivewell-session"
HEARTBEAT_S = 15

_ROOM = files("service.demo.host")
_ASSETS = {"host.css": "text/css", "host.js": "text/javascript", "icon.svg": "image/svg+xml"}


def _security(regrant: str) -> dict[str, str]:
    """The headers of every page: nothing from anywhere but here, save regrant's one script."""
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'self'; script-src 'self' {regrant}; "
        "img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


@dataclass(slots=True)
class HostApp:
    """The host's web application on a port of its own."""

    regrant: Regrant
    board: Board
    sync_engine: SyncEngine
    controls: Controls
    port: int
    listen: str = "127.0.0.1"
    _sessions: set[str] = field(default_factory=set)
    _pages: Environment = field(init=False)

    def __post_init__(self) -> None:
        self._pages = Environment(
            loader=PackageLoader("service.demo.host"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters["ago"] = _ago

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostApp"]:
        """Listens. Raises OSError when the port is taken."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.listen, self.port).start()
            yield self
        finally:
            self.board.close()
            await runner.cleanup()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_guarded(_security(self.regrant.url))])
        add = app.router
        add.add_get("/", self.home)
        add.add_get("/connections", self.page)
        add.add_get("/connections/complete", self.complete)
        add.add_get("/connections/reconnect", self.reconnect)
        add.add_get("/connections/events", self.events)
        add.add_post("/connections/{connector}/attempts", self.open_attempt)
        add.add_post("/connections/{connector}/sync", self.sync_now)
        add.add_post("/attempts/{attempt}/cancel", self.cancel_attempt)
        add.add_post("/demo/{control}", self.control)
        add.add_get("/console", self.console)
        add.add_get("/assets/{name}", asset)
        add.add_get("/healthz", healthy)
        return app

    # Pages.

    async def home(self, request: web.Request) -> web.Response:
        return _see_other("/connections")

    async def page(self, request: web.Request) -> web.Response:
        html = self._render(
            "connections.html",
            regrant=self.regrant.url,
            rows=self._rows(),
            notices=self.board.notices,
            person=PERSON,
            controls=CONTROLS,
            companies=await self.controls.companies(),
        )
        response = web.Response(text=html, content_type="text/html", headers={"Cache-Control": "no-store"})
        if not self._is_signed_in(request):
            self._sign_in(response)
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the list as it is, then each row and the notifications whenever they change."""
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await stream.prepare(request)
        with self.board.watching() as queue, suppress(ConnectionError):
            for row in self._rows():
                await stream.write(self._event(Update("row", row.id)))
            await stream.write(self._event(Update("notices")))
            async for update in updates(queue, HEARTBEAT_S):
                await stream.write(b": still here\n\n" if update is None else self._event(update))
        return stream

    def _event(self, update: Update) -> bytes:
        match update.kind:
            case "row" if update.connector in self.board.rows:
                row = self.board.rows[update.connector]
                data = {"id": row.id, "html": self._render("row.html", row=row)}
            case "notices":
                data = {"html": self._render("notices.html", notices=self.board.notices)}
            case _:
                data = {"id": update.connector}
        return f"event: {update.kind}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"

    async def console(self, request: web.Request) -> web.Response:
        """Drivewell's own staff, on to regrant's console by a fresh link: a host has its login before this."""
        link = await self.regrant.for_whole_fleet().post("/v1/console/links", {"person": SUPPORT})
        return _see_other(link["url"])

    # The connect window.

    async def open_attempt(self, request: web.Request) -> web.Response:
        """Opens an attempt for the signed-in person: JSON for the script, else straight on to the link."""
        self._must_be_signed_in(request)
        connector = request.match_info["connector"]
        body = {"person": PERSON, "return_url": f"{self.url}/connections"}
        answer = await self.regrant.call("POST", f"/v1/connectors/{connector}/attempts", body)
        by_script = "application/json" in request.headers.get("Accept", "")
        if not answer.is_good:
            said = {"detail": f"{answer.body.get('title')}. {answer.body.get('action', '')}"}
            return _json(said, answer.status) if by_script else _see_other("/connections")
        url = answer.body["handoff"]["url"]
        if not by_script:
            return _see_other(url)
        return _json({"attempt_id": answer.body["attempt_id"], "url": url}, 201)

    async def reconnect(self, request: web.Request) -> web.Response:
        """Where the link of a notification leads: to a fresh handoff, for who is signed in here.

        A host has its login before this, so that no scanner of mails opens attempts. The demo's list signs in instead.
        """
        connector = request.query.get("connector_id")
        if connector is None or not self._is_signed_in(request):
            return _see_other("/connections")
        body = {"person": PERSON, "return_url": f"{self.url}/connections"}
        answer = await self.regrant.call("POST", f"/v1/connectors/{quote(connector, safe='')}/attempts", body)
        return _see_other(answer.body["handoff"]["url"] if answer.is_good else "/connections")

    async def cancel_attempt(self, request: web.Request) -> web.Response:
        """The window was closed: gives the attempt up, where nobody can be in the middle of it."""
        self._must_be_signed_in(request)
        path = f"/v1/attempts/{request.match_info['attempt']}"
        attempt = await self.regrant.call("GET", path)
        if attempt.is_good and attempt.body["status"] == "open" and attempt.body["step"] != Step.PROVIDER_PAGE:
            await self.regrant.call("POST", f"{path}/cancel")
        return web.Response(status=204)

    async def complete(self, request: web.Request) -> web.Response:
        """The window comes by for a new account: regrant is told who is signed in here, in this very browser."""
        self._must_be_signed_in(request)
        attempt = request.query.get("attempt_id", "")
        body = {"completion_token": request.query.get("completion_token", ""), "person_id": PERSON["id"]}
        answer = await self.regrant.call("POST", f"/v1/attempts/{attempt}/complete", body)
        if answer.status in (403, 404, 422):
            return web.Response(text=self._render("refused.html"), status=403, content_type="text/html")
        return _see_other(f"{self.regrant.url}/connect/attempts/{attempt}")

    # The rest of the backend.

    async def sync_now(self, request: web.Request) -> web.Response:
        self._must_be_signed_in(request)
        run = await self.sync_engine.sync_now(request.match_info["connector"], TENANT)
        return _json({"invoices": run.invoices})

    async def control(self, request: web.Request) -> web.Response:
        """A button of the demo's panel; what it did, in a sentence."""
        self._must_be_signed_in(request)
        name, realm = request.match_info["control"], request.query.get("realm", "")
        if name not in CONTROLS:
            raise web.HTTPNotFound
        said = await self.controls.use(name, realm)
        if CONTROLS[name].then_sync:
            await self._sync_all_of(realm)
        return _json({"said": said})

    async def _sync_all_of(self, realm: str) -> None:
        """What the schedule would do in a while: the connectors of a company are synced."""
        listed = (await self.regrant.get("/v1/connectors"))["connectors"]
        of_realm = [c["connector_id"] for c in listed if (c.get("account") or {}).get("id") == realm]
        await asyncio.gather(*(self.sync_engine.sync_now(connector, TENANT) for connector in of_realm))

    def _rows(self) -> list[Any]:
        return sorted(self.board.rows.values(), key=lambda row: (row.name, row.id))

    def _render(self, name: str, **values: object) -> str:
        return self._pages.get_template(name).render(**values)

    def _sign_in(self, response: web.Response) -> None:
        session = secrets.token_urlsafe(24)
        self._sessions.add(session)
        response.set_cookie(SESSION, session, httponly=True, samesite="Lax", path="/")

    def _is_signed_in(self, request: web.Request) -> bool:
        return request.cookies.get(SESSION) in self._sessions

    def _must_be_signed_in(self, request: web.Request) -> None:
        if not self._is_signed_in(request):
            raise web.HTTPForbidden(text="Nobody is signed in at Drivewell in this browser.")


def _guarded(security: dict[str, str]) -> Middleware:
    """Every answer has the headers, no other site's page presses a button here, and trouble is told."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise web.HTTPForbidden(text="This isn't a click on a page of Drivewell.")
        try:
            response = await handler(request)
        except (aiohttp.ClientError, TimeoutError, Refused) as error:
            return _json({"detail": f"regrant or the provider didn't answer as expected: {type(error).__name__}"}, 502)
        if not response.prepared:
            response.headers.update(security)
        return response

    return guarded


async def asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound
    return web.Response(body=(_ROOM / "static" / name).read_bytes(), content_type=_ASSETS[name], charset="utf-8")


async def healthy(request: web.Request) -> web.Response:
    return web.Response(text="ok")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _see_other(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})


def _ago(then: datetime) -> str:
    """How long ago, in a word or two."""
    seconds = max((datetime.now(UTC) - then).total_seconds(), 0)
    for length, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {word} ago"
    return "just now"
