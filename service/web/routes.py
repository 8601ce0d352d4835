"""The routes of the window, which is there once a language."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service.oauth.limits import Pace
from service.telemetry import metrics
from service.texts.catalogue import texts
from service.texts.language import LANGUAGES, Language
from service.web.address import networks
from service.web.answering import Flow
from service.web.browser import Browser
from service.web.element import element
from service.web.following import Following
from service.web.pages import ASSETS, Pages
from service.web.report import Facts
from service.web.screen import Host
from service.web.screens import Screens
from service.web.window import Window

_ROOMS_PATHS = ("/connect", "/oauth/", "/reconnect/")

Speaking: TypeAlias = Callable[[web.Request], tuple[Screens, Pages]]
"""What makes and renders screens in the language of a request."""


def build_web(
    app: web.Application,
    *,
    flow: Flow,
    facts: Facts,
    public_url: str,
    host_name: str,
    frame_ancestors: Sequence[str],
    return_urls: Collection[str],
    host_origin: str | None,
    development: bool,
    trusted_proxies: Collection[str] = (),
    a_minute_from_an_address: int = 120,
) -> Speaking:
    """Adds the window's routes, and the middleware that guards every answer below their paths.

    Returns what shows pages to whoever asks.

    `host_origin` gets the script's message when it is done; a browser is sent to `return_urls` and there only.
    `a_minute_from_an_address` limits buttons and callbacks; `trusted_proxies` are networks whose word on whose address
    it is counts.
    Raises `ValueError` where the public address isn't https, save in development on loopback.
    """
    host = Host(host_name, host_origin, frozenset(return_urls))
    browser = Browser(public_url, development=development)
    pace = Pace("sign-ins from this address", a_minute_from_an_address)
    proxies = networks(trusted_proxies)
    following = Following(flow.marks)
    following.add_to(app)

    def window(language: Language) -> Window:
        said = texts(language)
        pages = Pages(said, host, browser, frame_ancestors=frame_ancestors, development=development)
        return Window(flow, browser, Screens(said, host), pages, pace, proxies, following, facts)

    windows = _Windows(browser, {language: window(language) for language in LANGUAGES})
    of = windows.of
    app.middlewares.append(windows.guarded)
    app.router.add_get("/connect/assets/{name}", ASSETS.answer)
    app.router.add_get("/connect/element.js", element)
    app.router.add_get("/connect/{handoff}", of(Window.start))
    app.router.add_post("/connect/{handoff}", of(Window.begin))
    app.router.add_get("/oauth/callback/{context}", of(Window.callback), allow_head=False)
    app.router.add_post("/oauth/callback/{context}", of(Window.posted))
    app.router.add_get("/oauth/callback/{context}/{attempt}", of(Window.carried), allow_head=False)
    app.router.add_get("/connect/attempts/{attempt}", of(Window.attempt))
    app.router.add_get("/connect/attempts/{attempt}/status", of(Window.status))
    app.router.add_get("/connect/attempts/{attempt}/events", of(Window.events), allow_head=False)
    app.router.add_post("/connect/attempts/{attempt}/again", of(Window.again))
    app.router.add_post("/connect/attempts/{attempt}/cancel", of(Window.cancel))
    app.router.add_get("/connect/attempts/{attempt}/report", of(Window.report))
    app.router.add_post("/connect/attempts/{attempt}/report", of(Window.ask_help))
    app.router.add_get("/connect/attempts/{attempt}/report/file", of(Window.report_file))
    app.router.add_get("/connect/attempts/{attempt}/shown", of(Window.what_was_shown))
    app.router.add_post("/connect/attempts/{attempt}/shown", of(Window.told))
    app.router.add_get("/connect/attempts/{attempt}/colleague", of(Window.colleague))
    app.router.add_post("/connect/attempts/{attempt}/colleague", of(Window.hand_on))
    return windows.speaking


_OUTCOMES = {303: "returned", 404: "unknown", 429: "too_many", 503: "unavailable", 500: "fault"}


def _count_callback(method: str, status: int) -> None:
    """Counts an answer to a browser. A form that was taken in comes again, with its browser."""
    if not (method == "POST" and status == 303):
        metrics.CALLBACKS.labels(_OUTCOMES.get(status, "refused")).inc()


@dataclass(frozen=True)
class _Windows:
    """A window a language: each request goes to the one of its own."""

    browser: Browser
    by_language: Mapping[Language, Window]

    def of(self, handler: Callable[[Window, web.Request], Awaitable[web.StreamResponse]]) -> Handler:
        """A handler of the window, for whichever language a request is in."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(self._window(request), request)

        return handle

    def speaking(self, request: web.Request) -> tuple[Screens, Pages]:
        """What shows pages to whoever asks."""
        window = self._window(request)
        return window.screens, window.pages

    @property
    def guarded(self) -> Middleware:
        """The room's middleware. A language that was asked for is kept for the visit."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith(_ROOMS_PATHS):
                return await handler(request)
            response = await self._window(request).answer(request, handler)
            if request.path.startswith("/oauth/callback/"):
                _count_callback(request.method, response.status)
            if (asked := self.browser.asked_for(request)) is not None:
                self.browser.give_language(response, asked)
            return response

        return guarded

    def _window(self, request: web.Request) -> Window:
        return self.by_language[self.browser.language(request)]
