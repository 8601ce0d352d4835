"""What the demo says while it starts: one line per part, which turns green only after the part's probe passed."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_MARKS = {"waits": ("○", "dim"), "starts": ("◐", "yellow"), "runs": ("●", "green"), "failed": ("✗", "red")}


@dataclass(slots=True)
class Step:
    """One line."""

    name: str
    status: str = "waits"
    said: str = ""
    began: float = field(default_factory=time.monotonic)
    took_s: float | None = None

    def say(self, what: str) -> None:
        """What takes time, while it does."""
        self.said = what

    def done(self, what: str) -> None:
        """What stands on the line in the end: an address, mostly."""
        self.said = what


class Steps:
    """All lines, in the order in which they began. On a terminal they move; elsewhere each is printed when it ends."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        """`quiet` prints nothing but failures."""
        self._console = console
        self._quiet = quiet
        self._lines: list[Step] = []
        self._live: Live | None = None

    def __enter__(self) -> "Steps":
        if self._console.is_terminal and not self._quiet:
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()

    def settle(self) -> None:
        """The lines stay as they are; what follows is printed below."""
        if self._live is not None:
            self._live.refresh()
            self._live.stop()
            self._live = None

    def complain(self, what: str, text: str) -> None:
        """What a part said before something went wrong."""
        self.settle()
        self._console.print(Text(f"{what}:\n{text}", style="red"))

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Step]:
        """A part that starts inside the block, and runs when the block ends well."""
        step = Step(name, "starts")
        self._lines.append(step)
        try:
            yield step
        except asyncio.CancelledError:
            self._end(step, "waits")
            raise
        except BaseException:
            self._end(step, "failed")
            raise
        self._end(step, "runs")

    def _end(self, step: Step, status: str) -> None:
        step.status, step.took_s = status, time.monotonic() - step.began
        if self._live is None and status != "waits" and (not self._quiet or status == "failed"):
            self._console.print(_line(step))

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for step in self._lines:
            table.add_row(_line(step))
        return table


def _line(step: Step) -> Text:
    mark, style = _MARKS[step.status]
    took = f"{step.took_s:.1f} s" if step.took_s is not None else ""
    return Text.assemble((mark, style), f" {step.name:<42}", (f"{took:>7}", "dim"), f"  {step.said}")


def console_for(*, json: bool) -> Console:
    """Where the demo speaks: beside `--json` nothing but its last line goes to the standard output."""
    return Console(file=sys.stderr if json else sys.stdout, highlight=False, soft_wrap=True)
