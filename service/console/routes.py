"""The console's addresses. Each page is one function of a visit: it asks the API and fills its template."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from schemas.problems import ProblemCode
from service.console import commands, connector, insight, letters, listing, live, overview, providers, webhooks
from service.console.doors import Doors
from service.console.pages import ASSETS, Pages
from service.console.snapshots import SNAPSHOTS, Snapshots
from service.console.visit import Json, Told, Visit
from service.http.api import Api
from service.http.auth import Authenticator
from service.http.console import Sessions
from service.http.problems import ApiProblem, problem_of, problem_response, trace_id
from service.web.browser import Browser

Page: TypeAlias = Callable[[Visit], Awaitable[web.StreamResponse]]

_ONE = "/console/connectors/{tenant}/{connector}"
_LETTER = "/console/dead-letters/{letter}"

PAGES: tuple[tuple[str, Page], ...] = (
    ("/console", overview.overview),
    ("/console/live", live.fleet),
    ("/console/connectors", listing.connectors),
    (_ONE, connector.connector),
    (f"{_ONE}/live", live.connector),
    (f"{_ONE}/bundle", connector.bundle),
    (f"{_ONE}/link", commands.ask_for_link),
    (f"{_ONE}/disconnect", commands.ask_to_disconnect),
    ("/console/funnel", insight.funnel),
    ("/console/times", insight.times),
    ("/console/errors", insight.errors),
    ("/console/expiring", insight.expiring),
    ("/console/providers", providers.providers),
    ("/console/providers/{provider}", providers.provider),
    ("/console/dead-letters", letters.letters),
    (_LETTER, letters.letter),
    ("/console/webhooks", webhooks.webhooks),
)
COMMANDS: tuple[tuple[str, Page], ...] = (
    (f"{_ONE}/link", commands.send_link),
    (f"{_ONE}/verify", commands.verify_again),
    (f"{_ONE}/disconnect", commands.disconnect),
    (f"{_LETTER}/replay", letters.replay),
    (f"{_LETTER}/drop", letters.drop),
    ("/console/webhooks/{endpoint}/given-up/{given_up_id}/send", webhooks.send),
)


def build_console(
    app: web.Application,
    api: Api,
    authenticator: Authenticator,
    sessions: Sessions,
    *,
    public_url: str,
    development: bool,
) -> None:
    """Adds the console to an application that has the API, and the middleware that guards its answers."""
    browser = Browser(public_url, development=development)
    pages = Pages(secure=browser.secure)
    doors = Doors(sessions, authenticator, browser, pages)
    console = _Console(api, doors, browser, pages, public_url)
    app[SNAPSHOTS] = Snapshots()
    app.middlewares.append(console.guarded)
    app.router.add_get("/console/assets/{name}", ASSETS.answer)
    app.router.add_get("/console/open/{ticket}", doors.look)
    app.router.add_post("/console/open/{ticket}", doors.open)
    app.router.add_post("/console/leave", doors.leave)
    for address, page in PAGES:
        app.router.add_get(address, console.showing(page), allow_head=False)
    for address, page in COMMANDS:
        app.router.add_post(address, console.doing(page))


class _Console:
    def __init__(self, api: Api, doors: Doors, browser: Browser, pages: Pages, public_url: str) -> None:
        self._api, self._doors, self._browser, self._pages = api, doors, browser, pages
        self._public_url = public_url

    def showing(self, page: Page) -> Handler:
        """A page for whoever is signed in."""

        async def show(request: web.Request) -> web.StreamResponse:
            visit = await self._visit(request)
            return await self._answered(visit, page) if visit else self._signed_out(request)

        return show

    def doing(self, page: Page) -> Handler:
        """A command of whoever is signed in: a click on a page of ours, or nothing (S10)."""

        async def do(request: web.Request) -> web.StreamResponse:
            visit = await self._visit(request)
            if visit is None:
                return self._signed_out(request)
            if await self._browser.doubt(request):
                return visit.problem(_DOUBTED | {"trace_id": trace_id(request)})
            return await self._answered(visit, page)

        return do

    @web.middleware
    async def guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Headers for every answer; trouble as a page, also for those who aren't signed in."""
        if request.path != "/console" and not request.path.startswith("/console/"):
            return await handler(request)
        began = time.perf_counter()
        try:
            response = await handler(request)
        except Exception as error:  # the border: whatever it was, a person gets a page
            told = self._told(request, error)
            words = f"{told['detail']} {told['action']}".strip()
            response = self._doors.closed(request, told["title"], words, status=told["status"], trace=told["trace_id"])
        if not response.prepared:
            self._pages.guard(response)
            response.headers["Server-Timing"] = f"page;dur={(time.perf_counter() - began) * 1000:.1f}"
        return response

    async def _visit(self, request: web.Request) -> Visit | None:
        viewer = await self._doors.viewer(request)
        return Visit(request, viewer, self._api, self._pages, self._browser) if viewer else None

    async def _answered(self, visit: Visit, page: Page) -> web.StreamResponse:
        try:
            return await page(visit)
        except Told as told:
            return visit.problem(told.problem)
        except ApiProblem as problem:
            return visit.problem(self._told(visit.request, problem))

    def _signed_out(self, request: web.Request) -> web.Response:
        return self._doors.closed(request, "You aren't signed in", _SIGNED_OUT, status=401)

    def _told(self, request: web.Request, error: Exception) -> Json:
        trace = trace_id(request)
        response = problem_response(problem_of(error, request.path, trace), trace, self._public_url)
        assert isinstance(response.body, bytes)
        told: Json = orjson.loads(response.body)
        return told


_SIGNED_OUT = (
    "The console opens by a link that your platform makes for you, or that regrant console prints on the command line."
)
_DOUBTED: Json = {
    "title": "That click didn't come from this page",
    "detail": "Nothing was done.",
    "action": "Allow cookies for this address, go back, reload the page and press the button again.",
    "status": 403,
    "code": ProblemCode.MALFORMED_REQUEST.value,
    "retryable": False,
}
