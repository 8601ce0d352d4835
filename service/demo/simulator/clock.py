"""The simulator's clock: the real one, which a person of the demo (or a test) can push forward."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AdjustableClock:
    """Calling it gives the time now, UTC. `advance` skips time; it never goes back."""

    def __init__(self, base: Clock = _utc_now) -> None:
        self._base = base
        self.skipped = timedelta()

    def __call__(self) -> datetime:
        return self._base() + self.skipped

    def advance(self, by: timedelta) -> None:
        """Skip `by`. ValueError if it is negative: tokens that were dead would live again."""
        if by < timedelta():
            raise ValueError("the clock only goes forward")
        self.skipped += by
