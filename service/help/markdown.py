"""Markdown to HTML: raw HTML off, links between pages led to their addresses, an anchor at each heading."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from service.help import lifecycle

Link = Callable[[str], str | None]
"""Where a link or a picture of a page leads; `None`: nowhere that is served, so its text stands alone."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading below the title."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page's HTML without its title, and its headings for the contents."""

    html: str
    headings: tuple[Heading, ...]


def rendered(markdown: str, link: Link) -> Rendered:
    """The page as HTML."""
    tokens = _PARSER.parse(markdown)
    headings = tuple(_anchored(tokens))
    for token in tokens:
        _follow(token.children or (), link)
    body = _without_title(tokens)
    return Rendered(_PARSER.renderer.render(body, _PARSER.options, {}), headings)


def parsed(markdown: str) -> list[Token]:
    """The page's tokens, with an anchor at each heading."""
    tokens = _PARSER.parse(markdown)
    list(_anchored(tokens))
    return tokens


def plain(token: Token) -> str:
    """The text of an inline token as people read it."""
    return "".join(
        child.content if child.type in ("text", "code_inline") else " " if "break" in child.type else ""
        for child in token.children or ()
    )


def _anchored(tokens: Sequence[Token]) -> Iterator[Heading]:
    taken: dict[str, int] = {}
    for at, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        text = plain(tokens[at + 1])
        anchor = _anchor(text)
        taken[anchor] = number = taken.get(anchor, 0) + 1
        token.attrSet("id", anchor if number == 1 else f"{anchor}-{number - 1}")
        if token.tag != "h1":
            yield Heading(int(token.tag[1]), str(token.attrs["id"]), text)


def _anchor(text: str) -> str:
    """As GitHub makes them, so that a link into a page works in both places."""
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def _without_title(tokens: Sequence[Token]) -> list[Token]:
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        return list(tokens[3:])
    return list(tokens)


def _follow(children: Sequence[Token], link: Link) -> None:
    """Leads links and pictures where they are served. What isn't keeps its text alone."""
    dead: list[bool] = []
    for child in children:
        if child.type == "link_open":
            there = link(str(child.attrs["href"]))
            dead.append(there is None)
            child.hidden = there is None
            child.attrSet("href", there or "")
            if "://" in (there or ""):
                child.attrSet("rel", "noreferrer noopener")
        elif child.type == "link_close":
            child.hidden = dead.pop()
        elif child.type == "image":
            there = link(str(child.attrs["src"]))
            child.attrSet("src", there or "")
            child.attrSet("loading", "lazy")
            if there is None:
                child.type = "text"


# Wide tables and code scroll by themselves; whoever has no mouse must be able to get there.


def _table_open(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return '<div class="table" tabindex="0">\n<table>\n'


def _table_close(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return "</table>\n</div>\n"


def _fence(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    if tokens[at].info == "mermaid" and lifecycle.is_the_lifecycle(tokens[at].content):
        return lifecycle.picture()
    return f'<pre tabindex="0"><code>{escape(tokens[at].content)}</code></pre>\n'


def _heading_close(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    opened = next(one for one in reversed(tokens[:at]) if one.type == "heading_open")
    anchor, text = escape(str(opened.attrs["id"])), escape(plain(tokens[at - 1]))
    return f' <a class="anchor" href="#{anchor}" aria-label="Link to: {text}">#</a></{tokens[at].tag}>\n'


_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
for _name, _rule in {
    "table_open": _table_open,
    "table_close": _table_close,
    "fence": _fence,
    "code_block": _fence,
    "heading_close": _heading_close,
}.items():
    _PARSER.add_render_rule(_name, _rule)
