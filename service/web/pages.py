"""Screens as HTML, with the headers that every page has (S21)."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from schemas.secret import Secret
from service.pages import Assets, guard, templates_of
from service.texts.catalogue import Texts, texts
from service.texts.language import LANGUAGES, Language
from service.web.browser import Browser
from service.web.report import Report
from service.web.saying import support_code
from service.web.screen import Host, Screen

ASSETS = Assets("service.web", "window.js", coloured="window.css")

_NAMES = tuple((language, texts(language).say("name")) for language in LANGUAGES)

RETRY_S = 3
"""How soon a page that found the database away tries again, in seconds."""

_LOOPBACK_SOURCES = "http://127.0.0.1:* http://localhost:*"


@dataclass(frozen=True, slots=True)
class Form:
    """What the forms of a page need: what they hold, and the cookie that the browser has to get for it."""

    csrf: str
    cookie: Secret | None


class Pages:
    """Renders every page of the room."""

    def __init__(
        self, texts: Texts, host: Host, browser: Browser, *, frame_ancestors: Sequence[str], development: bool
    ) -> None:
        self._texts = texts
        self._host = host
        self._browser = browser
        self._frame_ancestors = " ".join(frame_ancestors) or "'none'"
        self._development = development
        self._templates = templates_of("service.web")
        self._templates.globals.update(
            say=texts.say,
            language=texts.language,
            languages=_NAMES,
            host_name=host.name,
            host_origin=host.origin or "",
            assets=ASSETS.version,
        )

    def page(
        self,
        screen: Screen,
        form: Form | None = None,
        *,
        status: int = 200,
        status_address: str = "",
        retry_address: str | None = None,
    ) -> web.Response:
        """A whole page. With `status_address` it is live: the script asks there, and without script it reloads.

        With `retry_address` (empty: its own) the page goes there by itself after `RETRY_S`, with script or without.
        """
        text = self._templates.get_template("window.html").render(
            title=self.title(screen),
            screen=screen,
            csrf=form.csrf if form else "",
            status_address=status_address,
            retry_address=retry_address,
            retry_s=RETRY_S,
            offers_languages=form is not None,
        )
        response = self._html(text, status)
        if form is not None:
            response.headers["Content-Security-Policy"] = self._policy(leads_to_the_provider=True)
        if form is not None and form.cookie is not None:
            self._browser.give_form(response, form.cookie)
        return response

    @property
    def language(self) -> Language:
        """In which language its pages are."""
        return self._texts.language

    @property
    def full_stop(self) -> str:
        """What ends a sentence."""
        return self._texts.say("full_stop")

    def title(self, screen: Screen) -> str:
        """What the browser shows as the window's title."""
        return self._title(screen.title)

    def _title(self, heading: str) -> str:
        return f"{heading} · {self._texts.isolated(self._host.name)}"

    def panel(self, screen: Screen, form: Form) -> str:
        """The changing part of a live page."""
        return self._templates.get_template("panel.html").render(screen=screen, csrf=form.csrf)

    def report(self, made: Report, drawn: str, form: Form) -> web.Response:
        """The support report: to send to the host once, to copy, by script or by hand, and to download."""
        page = f"/connect/attempts/{made.attempt}"
        heading = self._texts.say("report.title")
        text = self._templates.get_template("report.html").render(
            title=self._title(heading),
            heading=heading,
            text=made.text,
            picture=drawn,
            address=f"{page}/report",
            back=page,
            file=_file_name(made),
            sent=made.sent,
            csrf=form.csrf,
        )
        response = self._html(text, 200)
        if form.cookie is not None:
            self._browser.give_form(response, form.cookie)
        return response

    def report_file(self, made: Report, drawn: str) -> web.Response:
        """The same as one file, with the picture in it."""
        name = _file_name(made)
        text = self._templates.get_template("report_file.html").render(
            title=name.removesuffix(".html"), text=made.text, picture=drawn
        )
        response = web.Response(text=text, content_type="text/html")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; sandbox"
        return response

    @property
    def direction(self) -> str:
        """Where its text begins."""
        return self._texts.say("direction")

    def guard(self, response: web.StreamResponse) -> None:
        """Sets the headers that every answer of the room has, where it doesn't bring stricter or wider ones."""
        guard(response, self._policy(), secure=self._browser.secure)
        if "Content-Language" in response.headers:
            response.headers.setdefault("Vary", "Accept-Language, Cookie")

    def _html(self, text: str, status: int) -> web.Response:
        headers = {"Content-Language": self.language}
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)

    def _policy(self, *, leads_to_the_provider: bool = False) -> str:
        form_action = "'self'"
        if leads_to_the_provider:
            # Chromium and Safari hold every redirect after a form against `form-action` (w3c/webappsec-csp#8): ours to
            # the provider, those among the provider's own hosts, which no document lists, and back to the host's page.
            form_action = "'self' https:" + (f" {_LOOPBACK_SOURCES}" if self._development else "")
        return (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
            f"form-action {form_action}; frame-ancestors {self._frame_ancestors}; base-uri 'none'"
        )


def _file_name(made: Report) -> str:
    return f"support-report-{support_code(made.attempt)}.html"
