"""The window in one language: what each of its handlers has, and how an error becomes a page of ours."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from schemas.ids import AttemptId
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.submission import Busy
from service.oauth.form_post import Carried
from service.oauth.limits import Pace, TooMany
from service.oauth.pushed import ProviderAway
from service.oauth.window import Begun, Dead, HandedOn, Returned, WindowView
from service.store.pool import TRANSIENT
from service.vault.keys import NoKey
from service.web.address import Network, address_of
from service.web.browser import Browser
from service.web.following import Following
from service.web.pages import RETRY_S, Form, Pages
from service.web.received import attempt_of, page_of, route_of
from service.web.report import Facts
from service.web.screens import Screens

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


# What the absence of the database or of a key and a full queue have in common: the same request may succeed soon.
_PASSING: tuple[type[BaseException], ...] = (*TRANSIENT, Busy, NoKey)


@dataclass(frozen=True)
class Answering:
    """What a request is answered with."""

    flow: Flow
    browser: Browser
    screens: Screens
    pages: Pages
    pace: Pace
    proxies: tuple[Network, ...]
    following: Following
    facts: Facts

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
            log.warning("window_unavailable", route=route_of(request), error=type(error).__name__)
            return self._trouble(request, "unavailable", 503)
        except Exception:  # the border: whatever it was, a person sits before it and gets a page
            log.exception("window_fault", route=route_of(request))
            return self._trouble(request, "fault", 500)

    def _count(self, request: web.Request) -> None:
        """Raises `TooMany`: before the database is asked, since strangers may come here."""
        self.pace.take(address_of(request, self.proxies))

    async def _view(self, request: web.Request) -> WindowView | Dead:
        attempt = attempt_of(request)
        return await self.flow.view(attempt, self.browser.window(request)) if attempt else Dead.UNKNOWN

    def _attempt_of(self, request: web.Request) -> AttemptId | None:
        """The attempt that the address names, where the browser can have begun it."""
        return attempt_of(request) if "attempt" in request.match_info and self.browser.window(request) else None

    def _form(self, request: web.Request) -> Form:
        return Form(*self.browser.form(request))

    def _onward(self, request: web.Request, found: Begun | Returned | Dead) -> web.Response:
        """To the provider; or to the attempt's page, which says why not."""
        if isinstance(found, Dead):
            return self._dead(found, self._attempt_of(request))
        if isinstance(found, Returned):
            return see_other(f"/connect/attempts/{found.attempt}")
        response = see_other(found.url)
        self.browser.give_window(response, found.browser)
        return response

    def _dead(self, dead: Dead, own: AttemptId | None = None) -> web.Response:
        """`own` is an attempt of this browser's, where it is known to be one."""
        return self.pages.page(self.screens.dead(dead, own), status=_DEAD_STATUS.get(dead, 404))

    def _trouble(self, request: web.Request, kind: str, status: int) -> web.Response:
        address = page_of(request)
        screen = self.screens.trouble(kind, address, self._attempt_of(request))
        if status not in (429, 503):
            return self.pages.page(screen, status=status)
        response = self.pages.page(screen, status=status, retry_address=address)
        response.headers["Retry-After"] = str(RETRY_S)
        return response


_DEAD_STATUS = {Dead.BAD_REQUEST: 400, Dead.LOGIN_DOES_NOT_HELP: 409, Dead.VERIFICATION_RUNNING: 409}


def see_other(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address})
