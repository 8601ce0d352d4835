"""Whether an endpoint is up. One that accepts nothing of anybody is down: then it is tried now and then, one at a time.

Told apart by whom it fails: many tries of one connector's event say nothing of the endpoint, several connectors in a
row do. Each shard's courier judges for itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.couriers.schedule import Schedule

DOWN_AFTER = 5
"""So many different connectors failed, and none was accepted in between."""


class Health:
    """What a courier knows of its endpoint."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._failing: set[int] = set()
        self._probes = 0
        self._probe_at = 0.0
        self._turn = asyncio.Lock()

    @property
    def is_down(self) -> bool:
        return len(self._failing) >= DOWN_AFTER

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The right to send: at once while the endpoint is up; else one at a time, when the next try is due."""
        if not self.is_down:
            yield
            return
        async with self._turn:
            if self.is_down:
                await asyncio.sleep(max(0.0, self._probe_at - _now()))
            yield

    def accepted(self) -> bool:
        """It accepted something. Returns whether it was down."""
        was_down = self.is_down
        self._failing.clear()
        self._probes = 0
        return was_down

    def failed(self, connector: int) -> None:
        """It didn't accept something of this connector."""
        self._failing.add(connector)
        if self.is_down:
            self._probes += 1
            self._probe_at = _now() + self._schedule.probe(self._probes).total_seconds()


def _now() -> float:
    return asyncio.get_running_loop().time()
