"""The routes of the help. Each page is to be had as HTML and, for programs, as Markdown; a question also as JSON.

Anybody may read and ask; a GET changes nothing, and an answer holds nothing of the question but in the search box.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from schemas.help import HelpAnswer, HelpPassage
from schemas.problems import ProblemCode
from service.help.accept import wanted
from service.help.library import INDEX, PICTURES, Library
from service.help.pages import ASSETS, Pages, address_of, place_of
from service.help.question import LONGEST, readable
from service.oauth.limits import Pace, TooMany
from service.store.passages import Found
from service.store.pool import TRANSIENT
from service.texts.language import ENGLISH, Language

log = structlog.get_logger(__name__)

RETRY_S = 3
"""How soon to ask again where the database is away, in seconds."""
_PUBLIC = {"Cache-Control": "private, max-age=300", "Vary": "Accept, Accept-Language, Cookie"}
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class Asked(Protocol):
    """What the room needs of `service.help.answers.Answers`."""

    async def to(self, question: str) -> list[Found]: ...


def build_help(
    app: web.Application,
    *,
    answers: Asked,
    library: Library,
    public_url: str,
    host_name: str,
    frame_ancestors: Sequence[str],
    counted_for: Callable[[web.Request], str],
    language_of: Callable[[web.Request], Language],
    a_minute_from_an_address: int = 30,
) -> None:
    """Adds the routes, and the middleware that guards every answer below their paths.

    `counted_for` says whom a question is counted for; `a_minute_from_an_address` limits them. `language_of` says in
    which language a page of a reason is shown; all others are English.
    """
    pages = Pages(library, host_name, frame_ancestors=frame_ancestors, secure=public_url.startswith("https:"))
    pace = Pace("questions from this address", a_minute_from_an_address)
    help_ = _Help(pages, library, answers, public_url, pace, counted_for, language_of)
    app.middlewares.append(help_.guarded)
    app.router.add_get("/help", help_.home)
    app.router.add_get("/help/", help_.home)
    app.router.add_get("/help/assets/{name}", ASSETS.answer)
    app.router.add_get("/help/{address:.+}", help_.page)
    app.router.add_get("/llms.txt", help_.index)


@dataclass(frozen=True)
class _Help:
    pages: Pages
    library: Library
    answers: Asked
    public_url: str
    pace: Pace
    counted_for: Callable[[web.Request], str]
    language_of: Callable[[web.Request], Language]

    async def home(self, request: web.Request) -> web.Response:
        if "ask" in request.query and (question := readable(request.query["ask"])):
            return await self._answered(request, question)
        if wanted(request) == "html":
            return _html(self.pages.page(self.library.pages[INDEX]), headers=_PUBLIC)
        return await self.index(request)

    async def index(self, request: web.Request) -> web.Response:
        return _markdown(self.pages.index, headers=_PUBLIC)

    async def page(self, request: web.Request) -> web.Response:
        """A page, as Markdown where the address ends so or nothing else is wanted; or a picture."""
        address = request.match_info["address"]
        if picture := self.library.pictures.get(address):
            kind = PICTURES[address.rpartition(".")[2]]
            headers = {**_PUBLIC, "Content-Security-Policy": _PICTURE_POLICY}
            return web.Response(body=picture.read_bytes(), content_type=kind, headers=headers)
        if address == "index.md":
            return await self.index(request)
        page = self.library.pages.get(address.removesuffix(".md"))
        if page is None or not page.address:
            raise web.HTTPNotFound
        language = self.language_of(request) if self.library.has_languages(page) else ENGLISH
        if language != ENGLISH:
            page = self.library.spoken(page, language)
        headers = {**_PUBLIC, "Content-Language": language}
        if address.endswith(".md") or wanted(request) == "markdown":
            return _markdown(page.markdown, headers=headers)
        return _html(self.pages.page(page, language), headers=headers)

    async def _answered(self, request: web.Request, question: str) -> web.Response:
        self.pace.take(self.counted_for(request))  # before the database is asked, since strangers may come here
        if len(question) > LONGEST:
            said = f"A question may have {LONGEST} characters."
            return self._refused(request, ProblemCode.MALFORMED_REQUEST, "That is too long", said)
        found = await self.answers.to(question)
        match wanted(request):
            case "json":
                answer = HelpAnswer(passages=[self._told(one) for one in found], index=self._absolute("/help/index.md"))
                return web.Response(text=answer.model_dump_json(), content_type="application/json")
            case "markdown":
                return _markdown(self._as_markdown(found))
        none = ["Nothing fits these words. Try other ones, or look through all pages."]
        return _html(
            self.pages.answers("What fits best" if found else "No answer", () if found else none, found, question)
        )

    def _told(self, found: Found) -> HelpPassage:
        passage = found.passage
        return HelpPassage(
            title=passage.title,
            heading=passage.heading,
            text=passage.body,
            address=self._absolute(place_of(found)),
            markdown=self._absolute(address_of(self.library.pages[passage.page], markdown=True)),
        )

    def _as_markdown(self, found: Sequence[Found]) -> str:
        lines = ["# What fits best" if found else "# No answer", ""]
        for one in map(self._told, found):
            title = f"{one.title}: {one.heading}" if one.heading else one.title
            lines += [f"## [{title}]({one.address})", "", one.text, ""]
        return "\n".join([*lines, f"[All pages]({self._absolute('/help/index.md')})", ""])

    def _absolute(self, path: str) -> str:
        return f"{self.public_url}{path}"

    # What goes wrong.

    @property
    def guarded(self) -> Middleware:
        """The room's middleware: every answer has the headers, and every error is an answer of ours."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path not in ("/help", "/llms.txt") and not request.path.startswith("/help/"):
                return await handler(request)
            response = await self._guarded(request, handler)
            self.pages.guard(response)
            return response

        return guarded

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as refused:
            said = "Pages here can only be read."
            response = self._refused(request, ProblemCode.METHOD_NOT_ALLOWED, "That doesn't work here", said)
            response.headers["Allow"] = refused.headers["Allow"]
            return response
        except web.HTTPNotFound:
            said = "There is no page at this address. Ask above, or look through all pages."
            return self._refused(request, ProblemCode.NOT_FOUND, "No such page", said)
        except web.HTTPException:
            said = "The request could not be read."
            return self._refused(request, ProblemCode.MALFORMED_REQUEST, "That doesn't work here", said)
        except TooMany as refused:
            said = "Too many questions came from here in a short time. Ask again in a minute; all pages can be read."
            response = self._refused(request, ProblemCode.TOO_MANY_REQUESTS, "One moment, please", said)
            response.headers["Retry-After"] = str(refused.retry_after_s)
            return response
        except TRANSIENT as error:
            log.warning("help_unavailable", error=type(error).__name__)
            said = "Questions can't be answered just now. Try again in a moment; all pages can be read meanwhile."
            response = self._refused(request, ProblemCode.BUSY, "One moment, please", said)
            response.headers["Retry-After"] = str(RETRY_S)
            return response
        except Exception:  # the border: whatever it was, somebody waits for an answer
            log.exception("help_fault", path=request.path)
            said = "A fault of ours stopped this page; it was written down for our operators."
            return self._refused(request, ProblemCode.INTERNAL_ERROR, "Something went wrong on our side", said)

    def _refused(self, request: web.Request, code: ProblemCode, title: str, said: str) -> web.Response:
        """A page, or what programs get for it."""
        status, form = code.entry.status, wanted(request)
        if form == "html" and not request.path.endswith(".md"):
            return _html(self.pages.answers(title, [said]), status)
        if form != "json":
            index = self._absolute("/help/index.md")
            return _markdown(f"# {title}\n\n{said}\n\n[All pages]({index})\n", status)
        problem = {
            "type": self._absolute(f"/help/problems/{code}"),
            "title": code.entry.title,
            "status": status,
            "detail": said,
            "code": code.value,
            "retryable": code.entry.retryable,
            "action": code.entry.action,
        }
        return web.json_response(problem, status=status, content_type="application/problem+json")


def _html(text: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def _markdown(text: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/markdown", headers=headers)
