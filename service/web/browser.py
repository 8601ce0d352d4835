"""What a browser brings along: cookies, its language, and the proof that a POST is a click on a page of ours (S4, S10).

A form holds a digest of the form cookie (a double submit): another site can neither read the page nor set a `__Host-`
cookie. `Sec-Fetch-Site` is checked beside it, and `Origin` where an old browser doesn't send that.
"""

import hashlib
import hmac
import re
import secrets
from typing import Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from schemas.secret import Secret
from service.texts.language import Language, chosen, preferred

Doubt: TypeAlias = Literal["cookies", "foreign"]
"""Why a POST isn't trusted: no cookie came with it, or it doesn't come from a page of ours."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]{40,100}")
_FIELD = "csrf"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Browser:
    """Reads and sets the cookies: the window's, which binds an attempt to its browser, the forms', the language's."""

    def __init__(self, public_url: str, *, development: bool) -> None:
        """Raises `ValueError` for an address without TLS, save in development on this very machine."""
        parts = urlsplit(public_url)
        self.secure = parts.scheme == "https"
        if not self.secure and not (development and parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("the public address must be https; plain http is for development on this machine only")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        prefix = "__Host-" if self.secure else ""
        self._window, self._form = f"{prefix}regrant-window", f"{prefix}regrant-form"
        self._language = f"{prefix}regrant-language"

    def window(self, request: web.Request) -> Secret | None:
        """The value that the browser got when it began; `None` where there is none, or none of ours."""
        return _cookie(request, self._window)

    def give_window(self, response: web.StreamResponse, value: Secret) -> None:
        self._set(response, self._window, value.reveal())

    def form(self, request: web.Request) -> tuple[str, Secret | None]:
        """What the page's forms must hold, and the cookie that has to go with it where the browser has none yet."""
        known = _cookie(request, self._form)
        cookie = known or Secret(secrets.token_urlsafe(32))
        return _digest(cookie), None if known else cookie

    def give_form(self, response: web.StreamResponse, value: Secret) -> None:
        self._set(response, self._form, value.reveal())

    def language(self, request: web.Request) -> Language:
        """What was asked for by `?lang=`, now or earlier in this visit; else what the browser prefers."""
        asked = self.asked_for(request) or chosen(request.cookies.get(self._language, ""))
        return asked or preferred(request.headers.get("Accept-Language", ""))

    def asked_for(self, request: web.Request) -> Language | None:
        """What this very request asks for by `?lang=`."""
        return chosen(request.query.get("lang", ""))

    def give_language(self, response: web.StreamResponse, language: Language) -> None:
        self._set(response, self._language, language)

    async def doubt(self, request: web.Request) -> Doubt | None:
        """Why this POST must not count; `None` where it is a click on a page of ours."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None and site not in ("same-origin", "none"):
            return "foreign"
        if site is None and request.headers.get("Origin", self._origin) != self._origin:
            return "foreign"
        cookie = _cookie(request, self._form)
        if cookie is None:
            return "cookies"
        return None if hmac.compare_digest(_digest(cookie), await _proof(request)) else "foreign"

    async def answer(self, request: web.Request, name: str) -> str:
        """What was filled in; empty where it wasn't, or more than once."""
        return await _field(request, name)

    def _set(self, response: web.StreamResponse, name: str, value: str) -> None:
        response.set_cookie(name, value, path="/", httponly=True, secure=self.secure, samesite="Lax")


def _cookie(request: web.Request, name: str) -> Secret | None:
    value = request.cookies.get(name, "")
    return Secret(value) if _SHAPE.fullmatch(value) else None


def _digest(cookie: Secret) -> str:
    return hmac.new(cookie.reveal().encode(), b"regrant form", hashlib.sha256).hexdigest()


async def _proof(request: web.Request) -> str:
    value = await _field(request, _FIELD)
    return value if value.isascii() else ""


async def _field(request: web.Request, name: str) -> str:
    body = (await request.read()).decode("ascii", "replace")
    values = parse_qs(body, max_num_fields=20).get(name, []) if body.count("&") < 20 else []
    return values[0] if len(values) == 1 else ""
