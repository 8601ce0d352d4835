"""The paragraph about a connector in the making, and what it is in the end: sentences, proofs, who acts, what next."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from schemas.acting import WhoActs
from schemas.ids import AttemptId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from service.insight.entries import Entry
from service.insight.names import Names, clock, day, moment
from statemachine.connector import Connector

MOST_EVENTS = 3


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the paragraph."""

    text: str
    observed: bool = False
    """Whether it says something that the log doesn't hold."""


@dataclass(frozen=True, slots=True)
class Why:
    """The answer."""

    sentences: tuple[Sentence, ...]
    events: tuple[Entry, ...]
    """The transitions that prove it, the oldest first, at most three."""
    state: State
    since: datetime | None
    reason: Reason | None
    who: WhoActs
    who_words: str
    next: str

    @property
    def paragraph(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def from_the_log(self) -> str:
        """The paragraph as far as the log tells it: the same from the database and from Kafka."""
        return " ".join(sentence.text for sentence in self.sentences if not sentence.observed)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What the attempt's own row says of the live attempt: the log tells of it only when it is over."""

    attempt: AttemptId
    step: Step


@dataclass(slots=True)
class Story:
    """The paragraph in the making."""

    connector: Connector
    log: Sequence[Entry]
    notes: Sequence[Entry]
    names: Names
    glimpse: Glimpse | None
    sentences: list[Sentence] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)
    who: WhoActs = WhoActs.NOBODY
    who_words: str = "nobody"
    next: str = "Nothing to do."
    _day: date | None = None
    _that_day: bool = False

    def on(self, at: datetime) -> str:
        """An instant in a sentence of the log's: its day only where it is another one than the last told."""
        told = day(at)
        if told == self._day:
            that_day, self._that_day = ("" if self._that_day else " that day"), True
            return f"at {clock(at)}{that_day}"
        self._day, self._that_day = told, False
        return f"on {moment(at)}"

    def say(self, text: str, *events: Entry | None, observed: bool = False) -> None:
        self.sentences.append(Sentence(text, observed))
        self.events += [event for event in events if event is not None]

    def acts(self, who: WhoActs, words: str, next_: str) -> None:
        self.who, self.who_words, self.next = who, words, next_

    def told(self) -> Why:
        c = self.connector
        proof = {event.version: event for event in self.events}  # each once
        newest = sorted(proof.values(), key=lambda event: event.version or 0)
        if len(newest) > MOST_EVENTS:
            newest = [newest[0], *newest[1 - MOST_EVENTS :]]
        return Why(
            sentences=tuple(self.sentences),
            events=tuple(newest),
            state=c.state,
            since=c.since,
            reason=_shown_reason(c),
            who=self.who,
            who_words=self.who_words,
            next=self.next,
        )


def _shown_reason(c: Connector) -> Reason | None:
    return Reason.EXPIRING if c.state is State.HEALTHY and c.warned is not None else c.reason
