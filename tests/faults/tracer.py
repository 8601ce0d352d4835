"""Watches a process's own coroutines pass the points, and can kill the process at one of them.

By `sys.settrace`, so that production code knows nothing of it: only the functions that hold a point are traced.
"""

import dis
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Literal, TypeAlias

from tests.faults.points import ROOT, Point

When: TypeAlias = Literal["before", "after"]
"""When the point's line is about to run, or when its coroutine goes on behind it."""
Reached: TypeAlias = Callable[[Point, When], None]

_SUSPENDS = dis.opmap["YIELD_VALUE"]


def watch(points: Iterable[Point], reached: Reached) -> None:
    """Calls `reached` whenever a coroutine of this thread passes one of the points, from now on."""
    sys.settrace(_Watch(points, reached).called)


def unwatch() -> None:
    sys.settrace(None)


def die() -> None:
    """As by `kill -9`: nothing is cleaned up, no handler runs."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Watch:
    def __init__(self, points: Iterable[Point], reached: Reached) -> None:
        self._reached = reached
        self._points: dict[tuple[str, str], list[Point]] = defaultdict(list)
        for point in points:
            self._points[str(ROOT / point.file), point.function].append(point)
        self._files = {file for file, _ in self._points}
        self._in_body: set[tuple[FrameType, Point]] = set()
        self._passing: set[tuple[FrameType, Point]] = set()

    def called(self, frame: FrameType, event: str, arg: Any) -> Any:  # Any: what sys.settrace passes and takes
        """A function is called, or a coroutine goes on: traced further only where it holds a point."""
        code = frame.f_code
        if code.co_filename not in self._files:
            return None
        points = self._points.get((code.co_filename, code.co_qualname))
        if points is None:
            return None
        for point in points:
            if point.body[0] <= frame.f_lineno <= point.body[1]:
                self._in_body.add((frame, point))  # it was suspended in there
        return self._line

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        code, line = frame.f_code, frame.f_lineno
        ends = event == "return" and code.co_code[frame.f_lasti] != _SUSPENDS
        for point in self._points[code.co_filename, code.co_qualname]:
            here = (frame, point)
            if ends:
                self._in_body.discard(here)
                self._passed(here)
            elif event == "line":
                self._at(here, line)
        return self._line

    def _at(self, here: tuple[FrameType, Point], line: int) -> None:
        point = here[1]
        if point.body[0] <= line <= point.body[1]:
            self._in_body.add(here)
        if not point.lines[0] <= line <= point.lines[1]:
            self._passed(here)
        elif here not in self._passing and (point.kind == "await" or (point.kind == "exit") == (here in self._in_body)):
            self._passing.add(here)
            self._reached(point, "before")
        if not point.body[0] <= line <= point.body[1]:
            self._in_body.discard(here)

    def _passed(self, here: tuple[FrameType, Point]) -> None:
        if here in self._passing:
            self._passing.discard(here)
            self._reached(here[1], "after")
