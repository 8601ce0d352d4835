"""The routes of the window. Each reads its request, asks the flow, and shows what it says.

A GET changes nothing, save the callback, which only the browser that began may use, once. A callback that comes as a
form changes nothing: it is brought to that browser.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeAlias
from uuid import UUID

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from schemas.ids import AttemptId
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.submission import Busy
from service.oauth.callback import MAX_QUERY
from service.oauth.form_post import Carried
from service.oauth.limits import Pace, TooMany
from service.oauth.pushed import ProviderAway
from service.oauth.window import SHOWN_BY_PROVIDERS, Begun, Dead, HandedOn, Returned, WindowView
from service.store.pool import TRANSIENT
from service.texts.catalogue import shown, texts
from service.texts.language import LANGUAGES, Language
from service.vault.keys import NoKey
from service.web.address import Network, address_of, networks
from service.web.browser import Browser
from service.web.element import element
from service.web.following import HEADERS, Following, Told, TooManyStreams
from service.web.pages import RETRY_S, Form, Pages, asset
from service.web.picture import picture
from service.web.report import Facts, Report, report
from service.web.saying import attempt_path
from service.web.screen import Host, Screen
from service.web.screens import Screens

_HANDOFF = re.compile(r"[A-Za-z0-9_-]{20,200}")
_CARRIED = re.compile(r"answer=([A-Za-z0-9_-]{20,7500})")
_FORM = "application/x-www-form-urlencoded"
_ROOMS_PATHS = ("/connect", "/oauth/", "/reconnect/")

Speaking: TypeAlias = Callable[[web.Request], tuple[Screens, Pages]]
"""What makes and renders screens in the language of a request."""
LONGEST_NAME = 100
"""Of a colleague, in characters."""

log = structlog.get_logger(__name__)


class Flow(Protocol):
    """What the window needs of `service.oauth.flow.Flow`."""

    async def look(self, handoff: Secret, browser: Secret | None) -> WindowView | Returned | Dead: ...
    async def begin(self, handoff: Secret, browser: Secret | None) -> Begun | Returned | Dead: ...
    async def callback(self, context: str, raw_query: str, browser: Secret | None) -> Returned | Dead: ...
    def takes_posts(self, context: str) -> bool: ...
    async def posted(self, context: str, raw_body: str) -> Carried | Dead: ...
    async def carried(
        self, context: str, attempt: AttemptId, sealed: str, browser: Secret | None
    ) -> Returned | Dead: ...
    async def view(self, attempt: AttemptId, browser: Secret | None) -> WindowView | Dead: ...
    async def marks(self, ids: Collection[AttemptId]) -> Mapping[AttemptId, str]: ...
    async def newest(self, context: str, browser: Secret) -> AttemptId | None: ...
    async def again(self, attempt: AttemptId, browser: Secret) -> Begun | Returned | Dead: ...
    async def give_up(
        self, attempt: AttemptId, browser: Secret, reason: Reason = Reason.CANCELLED
    ) -> WindowView | Dead: ...
    async def ask_help(self, attempt: AttemptId, browser: Secret) -> WindowView | Dead: ...
    async def hand_on(self, attempt: AttemptId, browser: Secret, colleague: str) -> HandedOn | Returned | Dead: ...


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

    def window(language: Language) -> _Window:
        said = texts(language)
        pages = Pages(said, host, browser, frame_ancestors=frame_ancestors, development=development)
        return _Window(flow, browser, Screens(said, host), pages, pace, proxies, following, facts)

    windows = _Windows(browser, {language: window(language) for language in LANGUAGES})
    of = windows.of
    app.middlewares.append(windows.guarded)
    app.router.add_get("/connect/assets/{name}", asset)
    app.router.add_get("/connect/element.js", element)
    app.router.add_get("/connect/{handoff}", of(_Window.start))
    app.router.add_post("/connect/{handoff}", of(_Window.begin))
    app.router.add_get("/oauth/callback/{context}", of(_Window.callback), allow_head=False)
    app.router.add_post("/oauth/callback/{context}", of(_Window.posted))
    app.router.add_get("/oauth/callback/{context}/{attempt}", of(_Window.carried), allow_head=False)
    app.router.add_get("/connect/attempts/{attempt}", of(_Window.attempt))
    app.router.add_get("/connect/attempts/{attempt}/status", of(_Window.status))
    app.router.add_get("/connect/attempts/{attempt}/events", of(_Window.events), allow_head=False)
    app.router.add_post("/connect/attempts/{attempt}/again", of(_Window.again))
    app.router.add_post("/connect/attempts/{attempt}/cancel", of(_Window.cancel))
    app.router.add_get("/connect/attempts/{attempt}/report", of(_Window.report))
    app.router.add_post("/connect/attempts/{attempt}/report", of(_Window.ask_help))
    app.router.add_get("/connect/attempts/{attempt}/report/file", of(_Window.report_file))
    app.router.add_get("/connect/attempts/{attempt}/shown", of(_Window.what_was_shown))
    app.router.add_post("/connect/attempts/{attempt}/shown", of(_Window.told))
    app.router.add_get("/connect/attempts/{attempt}/colleague", of(_Window.colleague))
    app.router.add_post("/connect/attempts/{attempt}/colleague", of(_Window.hand_on))
    return windows.speaking


# What the absence of the database or of a key and a full queue have in common: the same request may succeed soon.
_PASSING: tuple[type[BaseException], ...] = (*TRANSIENT, Busy, NoKey)


@dataclass(frozen=True)
class _Window:
    flow: Flow
    browser: Browser
    screens: Screens
    pages: Pages
    pace: Pace
    proxies: tuple[Network, ...]
    following: Following
    facts: Facts

    async def start(self, request: web.Request) -> web.Response:
        handoff = _handoff(request)
        found = await self.flow.look(handoff, self.browser.window(request)) if handoff else Dead.UNKNOWN
        if isinstance(found, Dead):
            return self._dead(found)
        if isinstance(found, Returned):
            return _see_other(f"/connect/attempts/{found.attempt}")
        return self.pages.page(self.screens.start(found), self._form(request))

    async def begin(self, request: web.Request) -> web.Response:
        self._count(request)
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        handoff = _handoff(request)
        found = await self.flow.begin(handoff, self.browser.window(request)) if handoff else Dead.UNKNOWN
        return self._onward(request, found)

    async def callback(self, request: web.Request) -> web.Response:
        self._count(request)
        raw_query = request.raw_path.partition("?")[2]
        if not raw_query.isascii():
            return self._dead(Dead.BAD_REQUEST)
        context, browser = request.match_info["context"], self.browser.window(request)
        found = await self.flow.callback(context, raw_query, browser)
        if found is Dead.UNKNOWN and browser and (newest := await self.flow.newest(context, browser)):
            return self._dead(Dead.STALE_ANSWER, newest)
        return self._back(found)

    async def posted(self, request: web.Request) -> web.Response:
        """A callback as a form. It comes from another site, so no proof of a click can be asked for, and none is."""
        context = request.match_info["context"]
        if not self.flow.takes_posts(context):
            raise web.HTTPMethodNotAllowed("POST", ["GET"])
        self._count(request)
        found = await self.flow.posted(context, await _form_of(request))
        if isinstance(found, Dead):
            return self._dead(found)
        return _see_other(f"/oauth/callback/{context}/{found.attempt}?answer={found.sealed}")

    async def carried(self, request: web.Request) -> web.Response:
        self._count(request)
        attempt, answer = _attempt(request), _CARRIED.fullmatch(request.raw_path.partition("?")[2])
        if attempt is None or answer is None:
            return self._dead(Dead.UNKNOWN)
        context, browser = request.match_info["context"], self.browser.window(request)
        return self._back(await self.flow.carried(context, attempt, answer[1], browser))

    def _back(self, found: Returned | Dead) -> web.Response:
        if isinstance(found, Dead):
            return self._dead(found)
        if found.completion_url is not None:
            return _see_other(found.completion_url.reveal())
        return _see_other(f"/connect/attempts/{found.attempt}")

    async def attempt(self, request: web.Request) -> web.Response:
        found = await self._view(request)
        if isinstance(found, Dead):
            return self._dead(found)
        screen = self.screens.attempt(found, datetime.now(UTC))
        live = "" if screen.final else f"/connect/attempts/{found.attempt}/status"
        return self.pages.page(screen, self._form(request), status_address=live)

    async def status(self, request: web.Request) -> web.Response:
        """The changing part of the page, for the script; 404 where the page itself would lead nowhere."""
        form = self._form(request)
        told = await self._told(request, form)
        if told is None:
            return _gone()
        etag = f'"{told.mark}"'
        unchanged = request.headers.get("If-None-Match") == etag
        response = (
            web.Response(status=304) if unchanged else web.Response(body=told.body, content_type="application/json")
        )
        response.headers["ETag"] = etag
        response.headers["Content-Language"] = self.pages.language
        if form.cookie is not None:
            self.browser.give_form(response, form.cookie)
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The same as a stream that goes on as the attempt does; refused where it can't be, and the script asks."""
        form, attempt = self._form(request), _attempt(request)
        if attempt is None or await self._told(request, form) is None:
            return _gone()
        response = web.StreamResponse(headers=HEADERS)
        self.pages.guard(response)
        if form.cookie is not None:
            self.browser.give_form(response, form.cookie)
        try:
            await self.following.stream(
                request, attempt, address_of(request, self.proxies), response, lambda: self._told(request, form)
            )
        except TooManyStreams:
            return web.Response(status=429, headers={"Retry-After": "60"})
        except Exception:  # the border: what has begun can't become a page any more, it can only end
            if not response.prepared:
                raise
            log.exception("window_fault", route=_route(request))
        return response

    async def _told(self, request: web.Request, form: Form) -> Told | None:
        found = await self._view(request)
        if isinstance(found, Dead):
            return None
        screen = self.screens.attempt(found, datetime.now(UTC))
        shown = {
            "title": self.pages.title(screen),
            "said": self._said(screen),
            "final": screen.final,
            "html": self.pages.panel(screen, form),
        }
        return Told(orjson.dumps(shown), screen.final)

    async def again(self, request: web.Request) -> web.Response:
        self._count(request)
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = _attempt(request), self.browser.window(request)
        found = await self.flow.again(attempt, browser) if attempt and browser else Dead.UNKNOWN
        return self._onward(request, found)

    async def cancel(self, request: web.Request) -> web.Response:
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = _attempt(request), self.browser.window(request)
        found = await self.flow.give_up(attempt, browser) if attempt and browser else Dead.UNKNOWN
        if isinstance(found, Dead):
            return self._dead(found, self._attempt_of(request))
        return _see_other(f"/connect/attempts/{found.attempt}")

    # The pages that ask.

    async def what_was_shown(self, request: web.Request) -> web.Response:
        found = await self._view(request)
        if isinstance(found, Dead):
            return self._dead(found)
        if not found.live:
            return _see_other(f"/connect/attempts/{found.attempt}")  # which asks by itself, or says what happened
        return self.pages.page(self.screens.what_was_shown(found), self._form(request))

    async def told(self, request: web.Request) -> web.Response:
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = _attempt(request), self.browser.window(request)
        if attempt is None or browser is None:
            return self._dead(Dead.UNKNOWN)
        answer = await self.browser.answer(request, "reason")
        reason = next((one for one in SHOWN_BY_PROVIDERS if one == answer), None)
        if reason is None:
            return _see_other(request.path)
        found = await self.flow.give_up(attempt, browser, reason)
        return self._dead(found) if isinstance(found, Dead) else _see_other(f"/connect/attempts/{attempt}")

    async def colleague(self, request: web.Request) -> web.Response:
        found = await self._view(request)
        if isinstance(found, Dead):
            return self._dead(found)
        return self.pages.page(self.screens.hand_on(found), self._form(request))

    async def hand_on(self, request: web.Request) -> web.Response:
        """Shows the link in the answer itself: it is kept nowhere."""
        self._count(request)
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = _attempt(request), self.browser.window(request)
        if attempt is None or browser is None:
            return self._dead(Dead.UNKNOWN)
        name = shown(await self.browser.answer(request, "name"))[:LONGEST_NAME]
        if not name:
            return _see_other(request.path)
        found = await self.flow.hand_on(attempt, browser, name)
        if isinstance(found, HandedOn):
            return self.pages.page(self.screens.handed_on(found))
        return self._onward(request, found)

    # Help.

    async def report(self, request: web.Request) -> web.Response:
        """The support report, for the browser that may see the attempt."""
        found = await self._reported(request)
        return self._dead(found) if isinstance(found, Dead) else self.pages.report(*found, self._form(request))

    async def ask_help(self, request: web.Request) -> web.Response:
        """Sends it to the host, by event."""
        self._count(request)
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = _attempt(request), self.browser.window(request)
        found = await self.flow.ask_help(attempt, browser) if attempt and browser else Dead.UNKNOWN
        return self._dead(found) if isinstance(found, Dead) else _see_other(attempt_path(found.attempt, "report"))

    async def report_file(self, request: web.Request) -> web.Response:
        found = await self._reported(request)
        return self._dead(found) if isinstance(found, Dead) else self.pages.report_file(*found)

    async def _reported(self, request: web.Request) -> tuple[Report, str] | Dead:
        """The report and the picture of the screen that the person sees."""
        found = await self._view(request)
        if isinstance(found, Dead):
            return found
        now = datetime.now(UTC)
        screen = self.screens.attempt(found, now)
        facts = await self.facts.of(found.attempt)
        return report(found, screen, facts, self.pages.language, now), picture(screen, self.pages.direction)

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handler's answer, with the headers that each has; every error is a page of ours."""
        response = await self._answer(request, handler)
        self.pages.guard(response)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as refused:
            response = self.pages.page(self.screens.trouble("method"), status=405)
            response.headers["Allow"] = refused.headers["Allow"]
            return response
        except web.HTTPNotFound:
            return self._dead(Dead.UNKNOWN)
        except web.HTTPException as refused:
            return self.pages.page(self.screens.dead(Dead.BAD_REQUEST), status=refused.status)
        except TooMany as refused:
            response = self._trouble(request, "too_many", 429)
            response.headers["Retry-After"] = str(refused.retry_after_s)
            return response
        except ProviderAway as away:
            response = self._trouble(request, "provider_away", 503)
            response.headers["Retry-After"] = str(away.retry_after_s)
            return response
        except _PASSING as error:
            log.warning("window_unavailable", route=_route(request), error=type(error).__name__)
            return self._trouble(request, "unavailable", 503)
        except Exception:  # the border: whatever it was, a person sits before it and gets a page
            log.exception("window_fault", route=_route(request))
            return self._trouble(request, "fault", 500)

    def _count(self, request: web.Request) -> None:
        """Raises `TooMany`: before the database is asked, since strangers may come here."""
        self.pace.take(address_of(request, self.proxies))

    async def _view(self, request: web.Request) -> WindowView | Dead:
        attempt = _attempt(request)
        return await self.flow.view(attempt, self.browser.window(request)) if attempt else Dead.UNKNOWN

    def _attempt_of(self, request: web.Request) -> AttemptId | None:
        """The attempt that the address names, where the browser can have begun it."""
        return _attempt(request) if "attempt" in request.match_info and self.browser.window(request) else None

    def _form(self, request: web.Request) -> Form:
        return Form(*self.browser.form(request))

    def _onward(self, request: web.Request, found: Begun | Returned | Dead) -> web.Response:
        """To the provider; or to the attempt's page, which says why not."""
        if isinstance(found, Dead):
            return self._dead(found, self._attempt_of(request))
        if isinstance(found, Returned):
            return _see_other(f"/connect/attempts/{found.attempt}")
        response = _see_other(found.url)
        self.browser.give_window(response, found.browser)
        return response

    def _dead(self, dead: Dead, own: AttemptId | None = None) -> web.Response:
        """`own` is an attempt of this browser's, where it is known to be one."""
        return self.pages.page(self.screens.dead(dead, own), status=_DEAD_STATUS.get(dead, 404))

    def _said(self, screen: Screen) -> str:
        """What a screen reader says when the page has changed: how far it is, or how it ended."""
        done, stop = [line.label for line in screen.lines if line.status == "done"], self.pages.full_stop
        said = (screen.title, *(screen.words if screen.final else done[-1:]))
        return " ".join(f"{text.rstrip('.…。')}{stop}" for text in said)

    def _trouble(self, request: web.Request, kind: str, status: int) -> web.Response:
        address = _page_of(request)
        screen = self.screens.trouble(kind, address, self._attempt_of(request))
        if status not in (429, 503):
            return self.pages.page(screen, status=status)
        response = self.pages.page(screen, status=status, retry_address=address)
        response.headers["Retry-After"] = str(RETRY_S)
        return response


@dataclass(frozen=True)
class _Windows:
    """A window a language: each request goes to the one of its own."""

    browser: Browser
    by_language: Mapping[Language, _Window]

    def of(self, handler: Callable[[_Window, web.Request], Awaitable[web.StreamResponse]]) -> Handler:
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
            if (asked := self.browser.asked_for(request)) is not None:
                self.browser.give_language(response, asked)
            return response

        return guarded

    def _window(self, request: web.Request) -> _Window:
        return self.by_language[self.browser.language(request)]


_DEAD_STATUS = {Dead.BAD_REQUEST: 400, Dead.LOGIN_DOES_NOT_HELP: 409, Dead.VERIFICATION_RUNNING: 409}


def _gone() -> web.Response:
    return web.Response(body=b'{"final":true}', status=404, content_type="application/json")


def _handoff(request: web.Request) -> Secret | None:
    value = request.match_info["handoff"]
    return Secret(value) if _HANDOFF.fullmatch(value) else None


async def _form_of(request: web.Request) -> str:
    """The body of an answer as it came; empty, which is none, where it isn't a plain form or has a query beside it."""
    plain = request.content_type == _FORM and request.charset in (None, "utf-8", "UTF-8")
    if not plain or request.query_string or "Content-Encoding" in request.headers:
        return ""
    if (request.content_length or 0) > MAX_QUERY:
        return ""
    body = await request.read()
    return body.decode() if body.isascii() else ""


def _attempt(request: web.Request) -> AttemptId | None:
    try:
        return AttemptId(UUID(request.match_info["attempt"]))
    except ValueError:  # no id at all leads where an unknown one leads
        return None


def _page_of(request: web.Request) -> str:
    """Where a page of this request can be had by GET: its own address, or the attempt's. Empty: its own."""
    attempt = _attempt(request) if "attempt" in request.match_info else None
    return f"/connect/attempts/{attempt}" if attempt and request.method == "POST" else ""


def _route(request: web.Request) -> str:
    """The route's pattern: never the path, which holds a handoff, nor the query, which holds a code."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def _see_other(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})
