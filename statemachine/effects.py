"""What follows from a decision, as data. The engine carries effects out in the transaction that stores the decision."""

from datetime import datetime, timedelta
from typing import TypeAlias

from schemas.ids import AttemptId, Generation
from schemas.reasons import Reason
from schemas.value import value


@value()
class OpenAttempt:
    """Keep a new attempt."""

    attempt: AttemptId


@value()
class EndAttempt:
    """Close an attempt: shred its code; a grant that it brought is revoked where that is safe, and shredded."""

    attempt: AttemptId
    reason: Reason


@value()
class HandOn:
    """Keep a new link to the attempt, and void its older ones."""

    attempt: AttemptId


@value()
class ExplainAttempt:
    """Keep why nobody came back from the provider, in place of that nobody did."""

    attempt: AttemptId
    reason: Reason


@value()
class Verify:
    """Have the attempt's grant exchanged and checked, after a pause."""

    attempt: AttemptId
    after: timedelta = timedelta(0)


@value()
class SwapCredential:
    """Make the attempt's grant (or a copy) the connector's credential; revoke the superseded one where that is safe."""

    attempt: AttemptId
    generation: Generation


@value()
class RequestSync:
    """Ask the host's sync engine for a sync."""

    generation: Generation
    since: datetime | None
    """The first failure since the last success, else the last success, else nothing: from the beginning."""
    position: str | None
    ask: int
    """1 for the first time, then counted up."""


@value()
class NoteSyncBegan:
    """Keep, with the attempt that the credential is of, that the sync which was asked for has begun."""


@value()
class Shred:
    """Revoke the credential where that is safe, and destroy the connector's data key."""


Effect: TypeAlias = (
    OpenAttempt | EndAttempt | HandOn | ExplainAttempt | Verify | SwapCredential | RequestSync | NoteSyncBegan | Shred
)
