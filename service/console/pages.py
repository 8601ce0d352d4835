"""The console's pages as HTML, its assets, and the headers that each of its answers has."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from service.console import words
from service.picture.lifecycle import NAMES

_ROOM = files("service.console")
_TYPES = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "htmx-ext-sse.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
ASSETS = {name: (_ROOM / "assets" / name).read_bytes() for name in _TYPES}
_VERSION = hashlib.sha256(b"".join(ASSETS.values())).hexdigest()[:12]

# No inline script or style, and nothing from elsewhere: what a connector is called can't become code.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

MENU = (
    ("", (("overview", "/console", "Overview"), ("connectors", "/console/connectors", "Connectors"))),
    (
        "Act",
        (
            ("expiring", "/console/expiring", "Expiring"),
            ("letters", "/console/dead-letters", "Dead letters"),
        ),
    ),
    (
        "Understand",
        (
            ("funnel", "/console/funnel", "Funnel"),
            ("times", "/console/times", "Times"),
            ("errors", "/console/errors", "Errors"),
            ("providers", "/console/providers", "Providers"),
        ),
    ),
)


class Pages:
    """Renders every page of the room."""

    def __init__(self, *, secure: bool) -> None:
        """`secure`: the public address is https."""
        self._secure = secure
        self._templates = Environment(
            loader=PackageLoader("service.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            number=words.number,
            share=words.share,
            span=words.span,
            ago=words.ago,
            clock=words.clock,
            hour=words.hour,
            plain=words.plain,
            named=words.named,
            actor=words.actor,
            acts=words.acts,
            plural=words.plural,
            reason=words.reason,
        )
        self._templates.globals.update(
            names={state.value: name for state, name in NAMES.items()}, menu=MENU, assets=f"?v={_VERSION}"
        )

    def page(self, template: str, status: int, values: Mapping[str, object]) -> web.Response:
        """A whole page."""
        text = self._templates.get_template(template).render(values)
        return web.Response(text=text, status=status, content_type="text/html")

    def part(self, template: str, values: Mapping[str, object]) -> str:
        """A part of a page, for the live stream."""
        return self._templates.get_template(template).render(values)

    def guard(self, response: web.StreamResponse) -> None:
        """Sets the headers that every answer of the room has."""
        headers = response.headers
        headers.setdefault("Content-Security-Policy", _POLICY)
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        if self._secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")


async def asset(request: web.Request) -> web.Response:
    """A file of the room's own; its address changes with its content."""
    name = request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    headers = {"Cache-Control": "public, max-age=86400"}
    return web.Response(body=ASSETS[name], content_type=_TYPES[name], charset="utf-8", headers=headers)
