"""The attempts in a connector's log: who opened each, what happened in it, and how it ended."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from schemas.ids import AttemptId
from schemas.lifecycle import Step, Trigger
from schemas.reasons import Reason
from service.insight.entries import Entry

How: TypeAlias = Literal["open", "connected", "ended", "replaced", "removed", "shared"]
"""`replaced` by a newer one, `removed` with its connector, `shared`: another connector's attempt brought the grant."""


@dataclass(slots=True)
class Try:
    """One attempt, as the log tells of it."""

    attempt: AttemptId
    opened: Entry | None
    """Nothing where the log of that time is no longer kept, or where another connector's attempt brought the grant."""
    entries: list[Entry] = field(default_factory=list)
    end: Entry | None = None
    how: How = "open"

    @property
    def reason(self) -> Reason | None:
        """How it ended, where it ended without success."""
        return self.end.reason if self.end is not None and self.how in ("ended", "removed") else None

    @property
    def step(self) -> Step | None:
        """The last step that the log tells of."""
        steps = [entry.step for entry in self.entries if entry.step and entry.step is not Step.FAILURE_SEEN]
        return steps[-1] if steps else None


def tries(entries: Iterable[Entry]) -> list[Try]:
    """The attempts in a log (oldest first), in the order in which they were opened.

    An entry is its attempt's while that is the live one: a deadline's names none.
    """
    found: list[Try] = []
    live: Try | None = None
    for entry in entries:
        if entry.after is None:
            continue
        now = entry.after.attempt
        if entry.trigger is Trigger.GRANT_SHARED and entry.attempt is not None:
            found.append(Try(entry.attempt, None, [entry], entry, "shared"))
        elif live is not None and now != live.attempt:
            live.entries.append(entry)
            live.end, live.how = entry, _how(entry)
            live = None
        elif live is not None:
            live.entries.append(entry)
        if live is None and now is not None:
            live = Try(now, entry if entry.trigger is Trigger.START_REAUTH else None, [entry])
            found.append(live)
    return found


def _how(end: Entry) -> How:
    match end.trigger:
        case Trigger.START_REAUTH:
            return "replaced"
        case Trigger.VERIFIED:
            return "connected"
        case Trigger.DISCONNECT | Trigger.DELETE:
            return "removed"
        case _:
            return "ended"
