"""What follows from a decision, as data. The engine carries effects out in the transaction that stores the decision."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from schemas.ids import AttemptId, Generation
from schemas.reasons import Reason


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Keep a new attempt."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class EndAttempt:
    """Close an attempt: shred its code; a grant that it brought is revoked where that is safe, and shredded."""

    attempt: AttemptId
    reason: Reason


@dataclass(frozen=True, slots=True)
class Verify:
    """Have the attempt's grant exchanged and checked, after a pause."""

    attempt: AttemptId
    after: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class SwapCredential:
    """Make the attempt's grant the connector's credential; revoke the superseded one where that is safe."""

    attempt: AttemptId
    generation: Generation


@dataclass(frozen=True, slots=True)
class RequestSync:
    """Ask the host's sync engine for a sync."""

    generation: Generation
    since: datetime | None
    """The first failure since the last success, else the last success, else nothing: from the beginning."""
    position: str | None
    ask: int
    """1 for the first time, then counted up."""


@dataclass(frozen=True, slots=True)
class Shred:
    """Revoke the credential where that is safe, and destroy the connector's data key."""


Effect: TypeAlias = OpenAttempt | EndAttempt | Verify | SwapCredential | RequestSync | Shred
