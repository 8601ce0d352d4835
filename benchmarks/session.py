"""One run of the benchmarks: its mode, what was measured so far, and what is told on the terminal."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import ours
from benchmarks.fleet import Fleets
from benchmarks.measure import OverTooSoon, Point, Span
from benchmarks.place import place

_CHECKED_UP_TO = 400_000
"""Reading more records again would take longer than the run itself."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How long and how often is measured."""

    name: str
    span: Span
    short: Span
    """For what has no ratio: how cost grows, the best concurrency."""
    bare: Span
    """For the bare loop, whose inputs must be decided ahead: that takes twice as long as the loop."""
    repeats: int
    large_fleet: int
    backlog: int
    budget_s: float | None = None


def quick() -> Mode:
    return Mode("quick", Span(2, 0.7), Span(1.8, 0.5), Span(1.2, 0.4), 1, 100_000, 60_000, budget_s=240)


def full(seconds: float) -> Mode:
    span = Span(seconds, 2)
    return Mode("full", span, Span(min(seconds, 8), 1), span, 3, 1_000_000, 500_000)


@dataclass(slots=True)
class Session:
    """What all parts share."""

    fleets: Fleets
    mode: Mode
    began: float = field(default_factory=time.monotonic)
    ratios: dict[str, float | None] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)  # Any: what JSON can hold
    errors: dict[str, str] = field(default_factory=dict)
    _rates: dict[int, float] = field(default_factory=dict)

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {what}", flush=True)

    def left_s(self) -> float:
        """Seconds of the budget that are left."""
        if self.mode.budget_s is None:
            return float("inf")
        return self.mode.budget_s - (time.monotonic() - self.began)

    async def rate(self, workers: int = 1) -> float:
        """Our own rate, as it is known; measured shortly where it isn't."""
        if workers not in self._rates:
            # A low guess: what is over too soon is measured again, what isn't over must be waited for.
            self._rates[workers] = self._rates[1] * 1.3 if workers > 1 and 1 in self._rates else 8_000
            if self.mode.repeats > 1 or workers == 1:
                await self.ours(self.mode.short, workers=workers, note="to begin with")
        return self._rates[workers]

    async def ours(
        self, span: Span, *, workers: int = 1, note: str = "", inputs: int | None = None, **where: Any
    ) -> Point:
        """One point of ours at a place of these properties."""
        rate = await self.rate(workers)
        for is_last in (False, False, True):
            try:
                point = await self._point(inputs or span.inputs(rate), span, workers, where)
            except OverTooSoon:
                if is_last or inputs:
                    raise
                rate *= 4
                continue
            if is_last or inputs or point.is_long_enough(span) or self.left_s() < 60:
                break
            self.say(f"{point.name}: {point.rate:,.0f}/s, over too soon; once more with more inputs")
            rate = max(rate * 1.5, min(point.rate, rate * 4))
        self.told(point, note)
        return point

    async def _point(self, inputs: int, span: Span, workers: int, where: dict[str, Any]) -> Point:
        async with place(self.fleets, inputs=inputs, **{"connectors": 1000, **where}) as here:
            point = await ours.run(here, span, count=workers, checked=inputs <= _CHECKED_UP_TO)
        is_usual = not {"shards", "mix", "hot", "connectors"} & where.keys()
        if is_usual and point.drained_s is not None and point.is_long_enough(span):
            self._rates[workers] = point.rate
        return point

    def told(self, point: Point, note: str = "") -> None:
        """Says a point; one whose check failed is an error of the run."""
        checked = {None: "", True: ", checked", False: ", CHECK FAILED"}[point.checked]
        self.say(f"{point.name}{f' ({note})' if note else ''}: {point.rate:,.0f}/s{checked}")
        for fault in point.faults:
            self.say(f"  {fault}")
            self.errors[f"check of {point.name}"] = fault


def median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def interleaved(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """The ratios b/a of a run a, b, a, b, …, a: each b by the mean of the two beside it."""
    return [round(2 * mine / (before + after), 3) for before, mine, after in zip(a, b, a[1:], strict=False)]
