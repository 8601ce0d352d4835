"""Arrows as curves: from the border of one box to the border of another, bent aside where another comes back. Pure."""

from dataclasses import dataclass
from math import hypot
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Cubic: TypeAlias = tuple[Point, Point, Point, Point]

GAP = 4.0
"""Between an arrow's tip and the box that it points to."""
_STEPS = 96


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its middle and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    def holds(self, point: Point, margin: float = 0.0) -> bool:
        return abs(point[0] - self.x) <= self.width / 2 + margin and abs(point[1] - self.y) <= self.height / 2 + margin


@dataclass(frozen=True, slots=True)
class Curve:
    """What an arrow is drawn along, and where its label stands."""

    path: str
    label: Point


def arrow(source: Box, to: Box, aside: float, bend: float, label: float = 0.5) -> Curve:
    """From one box to the other, moved `aside` and bent to its right; its label at that share of the way."""
    length = hypot(to.x - source.x, to.y - source.y) or 1.0
    right = (-(to.y - source.y) / length, (to.x - source.x) / length)
    start = (source.x + right[0] * aside, source.y + right[1] * aside)
    end = (to.x + right[0] * aside, to.y + right[1] * aside)
    first = _between(start, end, 1 / 3, right, bend)
    second = _between(start, end, 2 / 3, right, bend)
    return along((start, first, second, end), source, to, label)


def along(curve: Cubic, source: Box, to: Box, label: float = 0.5) -> Curve:
    """Along this curve, from where it leaves the one box to where it reaches the other."""
    ts = [n / _STEPS for n in range(_STEPS + 1)]
    begins = next(t for t in ts if not source.holds(_at(curve, t), 1))
    ends = next(t for t in reversed(ts) if not to.holds(_at(curve, t), GAP))
    a, b, c, d = _part(curve, begins, ends)
    path = f"M{_text(a)}C{_text(b)} {_text(c)} {_text(d)}"
    return Curve(path, _at((a, b, c, d), label))


def _between(start: Point, end: Point, share: float, right: Point, bend: float) -> Point:
    return (
        start[0] + (end[0] - start[0]) * share + right[0] * bend,
        start[1] + (end[1] - start[1]) * share + right[1] * bend,
    )


def _at(curve: Cubic, t: float) -> Point:
    a, b, c, d = curve
    ab, bc, cd = _mix(a, b, t), _mix(b, c, t), _mix(c, d, t)
    return _mix(_mix(ab, bc, t), _mix(bc, cd, t), t)


def _part(curve: Cubic, begins: float, ends: float) -> Cubic:
    """The piece of a curve between two of its moments (de Casteljau)."""
    a, b, c, d = curve
    ab, bc, cd = _mix(a, b, ends), _mix(b, c, ends), _mix(c, d, ends)
    abc, bcd = _mix(ab, bc, ends), _mix(bc, cd, ends)
    a, b, c, d = a, ab, abc, _mix(abc, bcd, ends)
    t = begins / ends if ends else 0.0
    ab, bc, cd = _mix(a, b, t), _mix(b, c, t), _mix(c, d, t)
    abc, bcd = _mix(ab, bc, t), _mix(bc, cd, t)
    return _mix(abc, bcd, t), bcd, cd, d


def _mix(a: Point, b: Point, t: float) -> Point:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t


def _text(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"
