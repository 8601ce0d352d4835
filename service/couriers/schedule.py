"""When an event that wasn't accepted is tried again, and when that is enough."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

PAUSES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 8, 12, 12, 12, 12, 12)),
)
"""Before each further try: fifteen tries in a little more than three days."""
LONGEST = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The pauses between tries."""

    pauses: Sequence[timedelta] = PAUSES
    probes: Sequence[timedelta] = tuple(timedelta(seconds=s) for s in (5, 15, 30, 60, 120, 300))
    """Before each try of an endpoint that is down; the last one again and again."""

    def is_spent(self, tries: int) -> bool:
        """Whether so many tries are all there are."""
        return tries > len(self.pauses)

    def pause(self, tries: int, asked: timedelta | None) -> timedelta:
        """The pause after so many failed tries, where the endpoint may have asked for a longer one.

        A tenth is left to chance, so that what failed together doesn't come together again.
        """
        pause = self.pauses[min(tries, len(self.pauses)) - 1] * random.uniform(1, 1.1)
        return max(pause, min(asked, LONGEST)) if asked is not None else pause

    def probe(self, failed: int) -> timedelta:
        """The pause after so many failed tries of an endpoint that is down."""
        return self.probes[min(failed, len(self.probes)) - 1]
