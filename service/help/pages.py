"""The help's pages as HTML, with the headers that every one of its answers has (S21)."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from aiohttp import web
from markupsafe import Markup

from service.help.library import Library, Page
from service.help.markdown import Rendered, rendered
from service.help.question import LONGEST
from service.pages import Assets, guard, templates_of
from service.store.passages import MARKS, Found
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, LANGUAGES, Language

ASSETS = Assets("service.help", coloured="help.css")
_OUTSIDE = re.compile(r"https?://")


@dataclass(frozen=True, slots=True)
class Answer:
    """A passage as the page of answers shows it."""

    title: str
    address: str
    snippet: list[tuple[str, bool]]
    """Parts of the text, and whether each is a word of the question."""


class Pages:
    """Renders every page of the room."""

    def __init__(self, library: Library, host_name: str, *, frame_ancestors: Sequence[str], secure: bool) -> None:
        self.library = library
        self._policy = (
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
            f"frame-ancestors {' '.join(frame_ancestors) or chr(39) + 'none' + chr(39)}; base-uri 'none'"
        )
        self._secure = secure
        self._templates = templates_of("service.help")
        self._templates.globals.update(host_name=host_name, assets=ASSETS.version, longest=LONGEST)
        self._rendered: dict[str, Rendered] = {}

    def page(self, page: Page, language: Language = ENGLISH) -> str:
        """A page of the library, which is in that language."""
        done = self._html_of(page, language)
        others = [(one, texts(one).say("name")) for one in LANGUAGES] if self.library.has_languages(page) else []
        return self._render(
            "page.html",
            language,
            languages=others,
            title=page.title,
            heading=page.title,
            html=Markup(done.html),  # noqa: S704 - our own pages, rendered with raw HTML off
            headings=[one for one in done.headings if one.level <= 3] if len(done.headings) > 2 else [],
            above=self._above(page) if language == ENGLISH else [],
            markdown=address_of(page, markdown=True),
            question="",
        )

    def answers(self, heading: str, said: Sequence[str], found: Sequence[Found] = (), question: str = "") -> str:
        """What a question is answered with, or why it isn't."""
        return self._render(
            "answers.html",
            ENGLISH,
            title=heading,
            heading=heading,
            said=said,
            found=[self._answer(one) for one in found],
            markdown="",
            question=question,
        )

    def guard(self, response: web.StreamResponse) -> None:
        """Sets the headers that every answer of the room has, where it doesn't bring its own."""
        guard(response, self._policy, secure=self._secure)

    @cached_property
    def index(self) -> str:
        """All pages for programs: one line each, after the convention of `llms.txt`."""
        lines = ["# regrant", "", "> The documentation; `/help?ask=…` answers questions from it.", ""]
        chapters = {"": "Pages", "reasons": "Reasons", "problems": "Problems of the API", "adr": "Decisions"}
        for folder, title in chapters.items():
            pages = [one for one in self.library.pages.values() if one.address.rpartition("/")[0] == folder]
            lines += [f"## {title}", "", *(f"- [{p.title}]({address_of(p, markdown=True)})" for p in pages), ""]
        return "\n".join(lines)

    def _render(self, template: str, language: Language, **values: object) -> str:
        said = texts(language)
        return self._templates.get_template(template).render(
            say=said.say, language=language, direction="rtl" if said.right_to_left else "ltr", **values
        )

    def _html_of(self, page: Page, language: Language) -> Rendered:
        key = f"{language} {page.address}"
        if key not in self._rendered:
            self._rendered[key] = rendered(page.markdown, lambda link: self._leads(page, link))
        return self._rendered[key]

    def _leads(self, page: Page, link: str) -> str | None:
        """Where a link of a page leads here. What lies outside of `docs/` isn't served."""
        if _OUTSIDE.match(link) or link.startswith("#"):
            return link
        path, _, anchor = link.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page.file), path))
        if file in self.library.pictures:
            return f"/help/{file}"
        there = self.library.by_file(file) or self.library.by_file(f"{file}/README.md")
        if there is None:
            return None
        return address_of(there) + (f"#{anchor}" if anchor else "")

    def _above(self, page: Page) -> list[Page] | None:
        if not page.address:
            return None
        folder = self.library.pages.get(page.address.rpartition("/")[0])
        return [folder] if folder is not None and folder.address else []

    def _answer(self, found: Found) -> Answer:
        passage = found.passage
        title = f"{passage.title}: {passage.heading}" if passage.heading else passage.title
        return Answer(title, place_of(found), _parts(found.snippet))


def address_of(page: Page, *, markdown: bool = False) -> str:
    """The page's address on this server."""
    if markdown:
        return f"/help/{page.address or 'index'}.md"
    return f"/help/{page.address}".rstrip("/")


def place_of(found: Found) -> str:
    """Where a passage stands on this server."""
    passage = found.passage
    return f"/help/{passage.page}".rstrip("/") + (f"#{passage.anchor}" if passage.anchor else "")


def plain_snippet(found: Found) -> str:
    """The snippet without its marks."""
    return "".join(text for text, _ in _parts(found.snippet))


def _parts(snippet: str) -> list[tuple[str, bool]]:
    begin, end = MARKS
    parts: list[tuple[str, bool]] = []
    for part in snippet.split(begin):
        word, marked, rest = part.partition(end)
        parts += [(word, True), (rest, False)] if marked else [(part, False)]
    return [(text, marked) for text, marked in parts if text]
