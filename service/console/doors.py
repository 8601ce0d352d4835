"""Who comes in: by a one-time link and the session that it becomes, or by the bearer token of the host's own proxy."""

import re
from dataclasses import replace

from aiohttp import web

from schemas.lifecycle import ActorKind
from schemas.routes import Scope
from schemas.secret import Secret
from service.console.pages import Pages
from service.console.visit import Viewer, see_other
from service.http.auth import Authenticator
from service.http.console import IDLE, Sessions
from service.web.browser import Browser

_SHAPE = re.compile(r"[A-Za-z0-9_-]{40,100}")


class Doors:
    """Finds who a request is from; opens and closes sessions."""

    def __init__(self, sessions: Sessions, authenticator: Authenticator, browser: Browser, pages: Pages) -> None:
        self._sessions = sessions
        self._authenticator = authenticator
        self._browser = browser
        self._pages = pages
        self._cookie = f"{'__Host-' if browser.secure else ''}regrant-console"

    async def viewer(self, request: web.Request) -> Viewer | None:
        """Who it is; `None` where nobody is signed in. Raises `ApiProblem` for a bearer token that doesn't count."""
        if "Authorization" in request.headers:
            caller = await self._authenticator.caller(request)
            caller.check(Scope.CONSOLE_OPEN)
            return Viewer(caller.subject or "operator", replace(caller, kind=ActorKind.OPERATOR), leaves=False)
        session = self._value(request.cookies.get(self._cookie, ""))
        found = await self._sessions.find(session) if session else None
        return Viewer(found.name, found.caller, leaves=True) if found else None

    async def look(self, request: web.Request) -> web.Response:
        """What a link leads to: one button. A look spends nothing, since mail scanners and chats look, too."""
        ticket = self._value(request.match_info["ticket"])
        name = await self._sessions.linked(ticket) if ticket else None
        if name is None:
            return self.closed(request, "This link can't be used any more", _USED, status=404)
        words = f"You come in as {name}. The link opens the console once, in this browser."
        return self._alone(request, "open", "regrant console", words, 200, button="Open the console")

    async def open(self, request: web.Request) -> web.Response:
        """Spends the link."""
        if await self._browser.doubt(request):
            return self.closed(request, "That click didn't come from this page", _DOUBTED, status=403)
        ticket = self._value(request.match_info["ticket"])
        session = await self._sessions.begin(ticket) if ticket else None
        if session is None:
            return self.closed(request, "This link can't be used any more", _USED, status=404)
        response = see_other("/console")
        # Lax, not strict: a link to a connector, in a chat, opens for who is signed in. A GET changes nothing.
        response.set_cookie(
            self._cookie,
            session.reveal(),
            path="/",
            httponly=True,
            secure=self._browser.secure,
            samesite="Lax",
            max_age=int(IDLE.total_seconds()) * 3,
        )
        return response

    async def leave(self, request: web.Request) -> web.Response:
        """Ends the session."""
        if await self._browser.doubt(request):
            return self.closed(request, "That click didn't come from this page", _DOUBTED, status=403)
        if session := self._value(request.cookies.get(self._cookie, "")):
            await self._sessions.end(session)
        response = self.closed(request, "You have left", "To come back, ask for a new link.", status=200)
        response.del_cookie(self._cookie, path="/", secure=self._browser.secure, httponly=True, samesite="Lax")
        return response

    def closed(self, request: web.Request, heading: str, words: str, *, status: int, trace: str = "") -> web.Response:
        """A page for somebody who isn't in."""
        return self._alone(request, "closed", heading, words, status, trace=trace)

    def _alone(
        self,
        request: web.Request,
        screen: str,
        heading: str,
        words: str,
        status: int,
        *,
        button: str = "",
        trace: str = "",
    ) -> web.Response:
        csrf, cookie = self._browser.form(request)
        said = {"screen": screen, "heading": heading, "words": words, "button": button, "trace_id": trace}
        response = self._pages.page("alone.html", status, {**said, "title": heading, "csrf": csrf})
        if cookie is not None and button:
            self._browser.give_form(response, cookie)
        return response

    @staticmethod
    def _value(given: str) -> Secret | None:
        return Secret(given) if _SHAPE.fullmatch(given) else None


_USED = "It was used, or its minutes are over. Ask for a new one where you got it, or run: regrant console"
_DOUBTED = "Your browser sent no proof of it: allow cookies for this address, and press the button again."
