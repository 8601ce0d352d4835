"""Pages cut into passages, which answer questions: a passage is what stands below one heading, or a part of it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from markdown_it.token import Token

from service.help.library import Page, library
from service.help.markdown import parsed, plain
from service.store.passages import Edition, Passage

LONGEST = 1200
"""The most characters of a passage, where its paragraphs allow it."""

NOT_CUT = ("", "reasons", "problems")
"""Pages that hold nothing but what other pages say as well: they would answer everything twice."""


@cache
def edition() -> Edition:
    """All passages of this version, named by the hash of what they say."""
    passages = tuple(
        passage
        for address, page in sorted(library().pages.items())
        if address not in NOT_CUT
        for passage in passages_of(page)
    )
    return Edition(hashlib.sha256(repr(passages).encode()).digest(), passages)


def passages_of(page: Page) -> Iterator[Passage]:
    """The passages of a page, in order."""
    for anchor, heading, lines in _sections(parsed(page.markdown)):
        for part in _parts(lines):
            yield Passage(page.address, anchor, page.title, heading, part)


def _sections(tokens: Sequence[Token]) -> Iterator[tuple[str, str, list[str]]]:
    """Each heading with its anchor and the lines below it. The title's own section has neither.

    A row of a table that begins with a bold word says what that word means: it is a section of its own.
    """
    anchor = heading = ""
    lines: list[str] = []
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            if lines:
                yield anchor, heading, lines
            title = token.tag == "h1"
            anchor, heading = ("", "") if title else (str(token.attrs["id"]), plain(tokens[at + 1]))
            lines = []
        elif token.type in ("fence", "code_block"):
            lines.append(token.content.rstrip())
        elif token.type == "inline" and tokens[at - 1].type != "heading_open":
            text = plain(token).strip()
            before, further = tokens[at - 2].type, tokens[at - 1].type in ("td_open", "th_open")
            if further and before != "tr_open" and lines:
                lines[-1] += f" · {text}"
            elif further and token.content.startswith("**"):
                if lines:
                    yield anchor, heading, lines
                heading, lines = text, [text]
            elif text:
                lines.append(text)
    if lines:
        yield anchor, heading, lines


def _parts(lines: Iterable[str]) -> Iterator[str]:
    part: list[str] = []
    for line in lines:
        if part and sum(map(len, part)) + len(line) > LONGEST:
            yield "\n".join(part)
            part = []
        part.append(line)
    if part:
        yield "\n".join(part)
