"""An event loop in which time passes only when nothing else can: a wait of an hour takes no time, and always as long.

It has no sockets and no threads: what runs in it talks to the simulated world alone, so that a run depends on nothing
but its seed.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Everybody waits for somebody, and no timer runs."""


class _NothingToSelect:
    """What the loop asks for what is ready: nothing ever is, so the clock jumps to the next timer."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        self._loop.now += timeout
        return []


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set doesn't depend on where it lies in memory: task groups keep theirs in one."""

    _made = 0

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **more: Any) -> None:
        self._number = _NumberedTask._made
        _NumberedTask._made += 1
        super().__init__(coroutine, **more)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.base_events.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _NothingToSelect(self)
        self._clock_resolution = 1e-6
        _NumberedTask._made = 0
        self.set_task_factory(lambda loop, coroutine, **more: _NumberedTask(coroutine, loop=loop, **more))

    def time(self) -> float:
        return self.now

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs to the end, then ends whatever still runs."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        _end_all(loop)
        loop.close()


def _end_all(loop: VirtualLoop) -> None:
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=60))
