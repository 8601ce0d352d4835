"""The person's way through the window: the link, the button, the provider's answer, and the attempt's page.

A GET changes nothing, save the callback, which only the browser that began may use, once. A callback that comes as a
form changes nothing: it is brought to that browser.
"""

from datetime import UTC, datetime

import orjson
import structlog
from aiohttp import web

from service.oauth.window import Dead, Returned
from service.web.address import address_of
from service.web.answering import see_other
from service.web.beside import Beside
from service.web.following import HEADERS, Told, TooManyStreams
from service.web.pages import Form
from service.web.received import CARRIED, attempt_of, form_of, handoff_of, route_of
from service.web.screen import Screen

log = structlog.get_logger(__name__)


class Window(Beside):
    """All handlers. Each reads its request, asks the flow, and shows what it says."""

    async def start(self, request: web.Request) -> web.Response:
        handoff = handoff_of(request)
        found = await self.flow.look(handoff, self.browser.window(request)) if handoff else Dead.UNKNOWN
        if isinstance(found, Dead):
            return self._dead(found)
        if isinstance(found, Returned):
            return see_other(f"/connect/attempts/{found.attempt}")
        return self.pages.page(self.screens.start(found), self._form(request))

    async def begin(self, request: web.Request) -> web.Response:
        self._count(request)
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        handoff = handoff_of(request)
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
        found = await self.flow.posted(context, await form_of(request))
        if isinstance(found, Dead):
            return self._dead(found)
        return see_other(f"/oauth/callback/{context}/{found.attempt}?answer={found.sealed}")

    async def carried(self, request: web.Request) -> web.Response:
        self._count(request)
        attempt, answer = attempt_of(request), CARRIED.fullmatch(request.raw_path.partition("?")[2])
        if attempt is None or answer is None:
            return self._dead(Dead.UNKNOWN)
        context, browser = request.match_info["context"], self.browser.window(request)
        return self._back(await self.flow.carried(context, attempt, answer[1], browser))

    def _back(self, found: Returned | Dead) -> web.Response:
        if isinstance(found, Dead):
            return self._dead(found)
        if found.completion_url is not None:
            return see_other(found.completion_url.reveal())
        return see_other(f"/connect/attempts/{found.attempt}")

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
        form, attempt = self._form(request), attempt_of(request)
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
            log.exception("window_fault", route=route_of(request))
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
        attempt, browser = attempt_of(request), self.browser.window(request)
        found = await self.flow.again(attempt, browser) if attempt and browser else Dead.UNKNOWN
        return self._onward(request, found)

    async def cancel(self, request: web.Request) -> web.Response:
        if doubt := await self.browser.doubt(request):
            return self._trouble(request, doubt, 403)
        attempt, browser = attempt_of(request), self.browser.window(request)
        found = await self.flow.give_up(attempt, browser) if attempt and browser else Dead.UNKNOWN
        if isinstance(found, Dead):
            return self._dead(found, self._attempt_of(request))
        return see_other(f"/connect/attempts/{found.attempt}")

    def _said(self, screen: Screen) -> str:
        """What a screen reader says when the page has changed: how far it is, or how it ended."""
        done, stop = [line.label for line in screen.lines if line.status == "done"], self.pages.full_stop
        said = (screen.title, *(screen.words if screen.final else done[-1:]))
        return " ".join(f"{text.rstrip('.…。')}{stop}" for text in said)


def _gone() -> web.Response:
    return web.Response(body=b'{"final":true}', status=404, content_type="application/json")
