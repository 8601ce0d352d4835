"""Attempts that ended, as metrics: each once, by whoever counted it from the log, so that sums equal the log."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from schemas.lifecycle import Step
from service.store.tally import Tried
from service.telemetry import metrics

NEWS = timedelta(hours=1)
"""What ended longer ago is history: a log that is counted anew makes no wave in any rate."""

_STEPS = tuple(step.value for step in Step)


def measure(tried: Iterable[Tried]) -> None:
    """Tells of those that have ended, once what was counted of them is stored."""
    since = datetime.now(UTC) - NEWS
    for one in tried:
        if one.ended_at is not None and one.ending is not None and one.ended_at > since:
            code = one.reason if one.ending != "connected" else None
            metrics.REAUTH_STEP.labels(_STEPS[one.step], one.ending, code or "").inc()
            if one.ending == "connected":
                _measure_parts(one, one.ended_at)


def _measure_parts(one: Tried, ended: datetime) -> None:
    """By who took the time, as `docs/fleet.md` splits it."""
    began = one.failed_at or one.opened_at
    marks = {"whole": (began, ended)}
    if one.returned_at is not None and one.saved_at is not None:
        sent = one.sent_at or one.returned_at
        marks |= {
            "owner": (began, one.returned_at),
            "regrant": (one.returned_at, sent),
            "provider": (sent, one.saved_at),
            "host": (one.saved_at, ended),
        }
    for part, (start, end) in marks.items():
        metrics.REAUTH_DURATION.labels(one.provider, part).observe(max((end - start).total_seconds(), 0))
