"""A screen of the window as values: what stands on it, and the one thing to do first."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from schemas.lifecycle import Step

Tone: TypeAlias = Literal["calm", "busy", "good", "attention"]
LineStatus: TypeAlias = Literal["done", "now", "failed", "waiting"]


@dataclass(frozen=True, slots=True)
class Action:
    """A button. `post` sends a form; `link` goes somewhere; `back` goes to the host; `close` closes the window.

    `copy` takes the page's link along.
    """

    kind: Literal["post", "link", "back", "close", "copy"]
    label: str
    address: str = ""
    """Empty: the page's own address."""
    by_itself: bool = False
    """Whether the script presses it, once."""


@dataclass(frozen=True, slots=True)
class Line:
    """A step of the checks."""

    label: str
    status: LineStatus


@dataclass(frozen=True, slots=True)
class Question:
    """What the primary button's form asks: one of several answers, or a few words of the person's own."""

    name: str
    label: str
    answers: tuple[tuple[str, str], ...] = ()
    """Each with its words. None: the person writes."""
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """A link to take along; it is shown once."""

    label: str
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen: what happened, and at most one thing to do first."""

    name: str
    tone: Tone
    title: str
    words: tuple[str, ...]
    next: str | None = None
    takes: str | None = None
    """How long the next step takes."""
    primary: Action | None = None
    secondary: Action | None = None
    others: tuple[Action, ...] = ()
    """What can be done, too: quieter than the buttons."""
    question: Question | None = None
    link: OneTimeLink | None = None
    provider: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    why: tuple[str, str] | None = None
    needed: tuple[str, ...] = ()
    caution: str | None = None
    lines: tuple[Line, ...] = ()
    support_code: str | None = None
    help_address: str | None = None
    """Where the attempt's support report is."""
    final: bool = True
    """Whether nothing more will change by itself."""
    step: Step | None = None
    """How far the attempt is, while it is under way."""
    outcome: Literal["connected", "ended"] | None = None
    """How it went. The host's page is told of both."""


@dataclass(frozen=True, slots=True)
class Host:
    """The host, as the window speaks of it."""

    name: str
    origin: str | None
    return_urls: frozenset[str]
    """Where a browser may go; compared exactly (S20)."""
