"""The console's pages as HTML, its assets, and the headers that each of its answers has."""

from collections.abc import Mapping

from aiohttp import web

from service.console import words
from service.pages import Assets, guard, templates_of
from service.picture.lifecycle import NAMES

ASSETS = Assets("service.console", "console.css", "console.js", "htmx.min.js", "htmx-ext-sse.min.js")

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
            ("webhooks", "/console/webhooks", "Webhooks"),
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
        self._templates = templates_of("service.console")
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
            names={state.value: name for state, name in NAMES.items()}, menu=MENU, assets=ASSETS.version
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
        guard(response, _POLICY, secure=self._secure)
