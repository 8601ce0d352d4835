"""One point: how fast waiting inputs become published transitions, and what that costs."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from benchmarks.place import Place
from benchmarks.processes import Spent, rss_mb, spent

Progress: TypeAlias = Callable[[], Awaitable[int]]
"""How many of the inputs (or transitions) are through, so far."""

_POLL_S = 0.1
_ALMOST = 0.97
"""The window ends before the last partition runs dry."""


class PointFailed(Exception):
    """A point couldn't be measured; the message says why."""


class OverTooSoon(PointFailed):
    """All inputs were through before anything could be measured: give it more."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long a point is measured, and what is discarded before."""

    seconds: float
    discard_s: float = 2.0

    def inputs(self, rate: float) -> int:
        """How many inputs a contender of this rate needs."""
        return max(400, int(rate * (self.seconds + self.discard_s + 0.5) / _ALMOST))


@dataclass(slots=True)
class Point:
    """One measured point. Costs are per event, in microseconds of CPU."""

    name: str
    rate: float
    window_s: float
    client_us: float
    postgres_us: float
    kafka_us: float
    rss_mb: float
    first_s: float
    """From the start of the processes to the first published transition."""
    settings: dict[str, Any] = field(default_factory=dict)  # Any: what JSON can hold
    checked: bool | None = None
    faults: list[str] = field(default_factory=list)
    drained_s: float | None = None

    def is_long_enough(self, span: Span) -> bool:
        """Whether enough inputs were there to measure for about as long as was wanted."""
        return self.window_s >= span.seconds * 0.5

    def as_json(self) -> dict[str, Any]:  # Any: what JSON can hold
        return asdict(self)


async def drained(
    place: Place, children: Sequence["subprocess.Popen[bytes]"], progress: Progress, total: int, span: Span, name: str
) -> Point:
    """Watches the children until all inputs are through, and measures the middle. Raises `PointFailed`."""
    pids = [child.pid for child in children]
    postgres, kafka = place.servers.postgres.pid, place.servers.kafka.pid
    began = time.monotonic()
    limit_s = 30 + 4 * (span.seconds + span.discard_s)
    first: float | None = None
    opened: tuple[int, Spent] | None = None
    closed: tuple[int, Spent] | None = None
    memory, through = 0.0, 0
    while through < total:
        if any(child.poll() is not None for child in children):
            raise PointFailed(f"{name}: a process ended with {[child.poll() for child in children]}")
        now = time.monotonic()
        if now - began > limit_s:
            if closed is None:
                raise PointFailed(f"{name}: only {through} of {total} were through after {limit_s:.0f} s")
            break
        before, through = through, await progress()
        if first is None and through:
            first = now
        if first is not None and opened is None and now - first >= span.discard_s:
            opened = through, spent(pids, postgres, kafka)
        if opened is not None and closed is None:
            memory = max(memory, rss_mb(pids))
            if through >= total * _ALMOST or now - opened[1].at >= span.seconds:
                # A round that found the end may have waited there: then the one before it counts.
                closed = (before if through >= total and before > opened[0] else through), spent(pids, postgres, kafka)
        await asyncio.sleep(_POLL_S)
    if first is None or opened is None or closed is None or closed[0] <= opened[0]:
        raise OverTooSoon(f"{name}: {total} inputs were through before anything could be measured")
    events, used = closed[0] - opened[0], closed[1].since(opened[1])
    return Point(
        name=name,
        rate=round(events / used.at, 1),
        window_s=round(used.at, 2),
        client_us=round(used.clients / events * 1e6, 1),
        postgres_us=round(used.postgres / events * 1e6, 1),
        kafka_us=round(used.kafka / events * 1e6, 1),
        rss_mb=round(memory, 1),
        first_s=round(first - began, 2),
        drained_s=round(time.monotonic() - began, 2) if through >= total else None,
    )
