"""What is known of one attempt for its support report: when it began and ended, and the ids to look for."""

from dataclasses import dataclass
from datetime import datetime

from schemas.ids import AttemptId
from service.insight.reading import entries_of
from service.insight.tries import tries
from service.store import stories
from service.store.pool import Pool

NEWEST, IDS = 50, 10


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """The facts, as far as the log tells of them."""

    opened_at: datetime | None = None
    ended_at: datetime | None = None
    trace_ids: tuple[str, ...] = ()
    """The newest first."""
    request_ids: tuple[str, ...] = ()
    """The provider's, the newest first."""


@dataclass(frozen=True, slots=True)
class AttemptsFacts:
    """Reads them."""

    pool: Pool

    async def of(self, attempt: AttemptId) -> AttemptFacts:
        """The facts about an attempt; none of one that isn't kept any more."""
        async with self.pool.acquire() as connection:
            log = await stories.log_of_attempt(connection, attempt, NEWEST)
        entries = entries_of(log) if log else []
        found = next((one for one in tries(entries) if one.attempt == attempt), None)
        if found is None:
            return AttemptFacts()
        notes = [entry for entry in entries if entry.version is None and entry.attempt == attempt]
        told = [*reversed(notes), *reversed(found.entries)]
        request_ids = [entry.evidence.request_id for entry in told if entry.evidence and entry.evidence.request_id]
        trace_ids = [entry.correlation for entry in told if entry.correlation]
        return AttemptFacts(
            found.opened.at if found.opened else None,
            found.end.at if found.end else None,
            tuple(dict.fromkeys(trace_ids))[:IDS],
            tuple(dict.fromkeys(request_ids))[:IDS],
        )
