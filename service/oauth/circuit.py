"""A circuit: how often a provider that doesn't answer, or asks for patience, is called all the same.

One a provider and process. It opens when calls fail one after the other, or at once when the provider says how long it
wants to be left alone (429). When the pause is over, one call may try (half open): if it is answered, all may go on; if
not, the pause is longer. The state isn't shared between replicas: each learns by few calls of its own, and a provider
that is down costs no write to the database.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NewType

FAILURES = 5
"""So many calls in a row without an answer open it."""
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=1)
LIMITED_FOR = timedelta(minutes=1)
"""After a 429 that doesn't say for how long."""
TRIAL = timedelta(seconds=15)
"""How long the one call of a half-open circuit may take before another may try."""


Turn = NewType("Turn", int)
"""Leave to make one call. What is told of a call that began before the circuit opened says nothing new."""


@dataclass(slots=True)
class Circuit:
    """The way to one provider's token endpoint."""

    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    _turn: Turn = field(default=Turn(0), init=False)
    _failures: int = field(default=0, init=False)
    _opened: int = field(default=0, init=False)
    """How often it opened since the last answer."""
    _shut_until: float | None = field(default=None, init=False)

    @property
    def is_closed(self) -> bool:
        """Whether calls go through."""
        return self._shut_until is None

    def pause(self) -> timedelta | None:
        """How long nobody may call; `None`: now somebody may."""
        now = self.clock()
        if self._shut_until is None or now >= self._shut_until:
            return None
        return timedelta(seconds=self._shut_until - now)

    def enter(self) -> Turn | timedelta:
        """Leave to call now, or how long to wait. Who enters tells how it went, by one of the three below."""
        if (pause := self.pause()) is not None:
            return pause
        if self._shut_until is not None:  # this call is the trial: the others wait for how it goes
            self._shut_for(TRIAL)
        return self._turn

    def answered(self, turn: Turn) -> None:
        """A call was answered, whatever the answer was."""
        if turn == self._turn:
            self._failures = self._opened = 0
            self._shut_until = None

    def failed(self, turn: Turn, retry_after: timedelta | None = None) -> None:
        """A call came to nothing: 5xx, no answer, a line that was cut."""
        if turn != self._turn:
            return
        self._failures += 1
        if self._shut_until is None and self._failures < FAILURES:
            return
        self._opened += 1
        grown = min(FIRST_PAUSE * 2 ** min(self._opened - 1, 10), LONGEST_PAUSE)
        self._shut_for(max(grown * (0.75 + 0.5 * self.chance()), retry_after or timedelta()))

    def limited(self, turn: Turn, retry_after: timedelta | None) -> None:
        """The provider asks to be left alone (429): for as long as it says, by all calls of this app."""
        pause = retry_after or LIMITED_FOR
        if turn != self._turn:
            pause = max(pause, self.pause() or timedelta())
        self._shut_for(pause)

    def _shut_for(self, pause: timedelta) -> None:
        self._turn = Turn(self._turn + 1)
        self._shut_until = self.clock() + pause.total_seconds()
