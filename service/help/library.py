"""The pages that there are: those of `docs/`, and one for each reason and problem; and the pictures that they show.

An installed wheel brings `docs/` as data of this package; a clone has it at its top.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from schemas.problems import ProblemCode
from schemas.reasons import Reason
from service.help import catalogues
from service.texts.language import Language

INDEX = ""
"""The address of the first page, below `/help`."""
REASONS = "reasons"
"""Below it are the pages of the reasons."""
PICTURES = {"png": "image/png", "svg": "image/svg+xml"}

_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    address: str
    """Below `/help`, for example `adr/0001-one-door`; the index's is empty."""
    file: str
    """Below `docs/`: what its links are relative to."""
    title: str
    markdown: str
    """Without the comments that its file may have."""


@dataclass(frozen=True, slots=True)
class Library:
    """All pages by their address, and all pictures by their file."""

    pages: MappingProxyType[str, Page]
    pictures: MappingProxyType[str, Traversable]

    def has_languages(self, page: Page) -> bool:
        """Whether a page is there in every language: the reasons are what customers read."""
        return page.address.startswith(f"{REASONS}/")

    def spoken(self, page: Page, language: Language) -> Page:
        """A page that has languages in that one."""
        return _page(page.file, catalogues.reason_page(Reason(page.address.partition("/")[2]), language))

    def by_file(self, file: str) -> Page | None:
        """The page that stands in a file."""
        page = self.pages.get(_address(file)) if file.endswith(".md") else None
        return page if page is not None and page.file == file else None


@cache
def library() -> Library:
    """What this version brings."""
    pages: dict[str, Page] = {}
    pictures: dict[str, Traversable] = {}
    for name, entry in _walk(_folder(), ""):
        if name.endswith(".md"):
            pages[_address(name)] = _page(name, entry.read_text(encoding="utf-8"))
        elif name.rpartition(".")[2] in PICTURES:
            pictures[name] = entry
    for reason in Reason:
        file = f"{REASONS}/{reason}.md"
        pages[_address(file)] = _page(file, catalogues.reason_page(reason))
    for code in ProblemCode:
        file = f"problems/{code}.md"
        pages[_address(file)] = _page(file, catalogues.problem_page(code))
    return Library(MappingProxyType(pages), MappingProxyType(pictures))


def _folder() -> Traversable:
    packaged = files("service.help") / "docs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "docs"


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry


def _address(file: str) -> str:
    """`README.md` is what its folder shows."""
    address = file.removesuffix(".md")
    return address.removesuffix("README").removesuffix("/")


def _page(file: str, text: str) -> Page:
    markdown = _COMMENT.sub("", text)
    title = _TITLE.search(markdown)
    return Page(_address(file), file, title[1].replace("`", "") if title else file, markdown)
