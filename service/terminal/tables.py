"""Plain tables and paragraphs: aligned, wrapped and coloured for a terminal; bare where the output goes elsewhere."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.lifecycle import State
from service.insight.names import cut

WIDEST = 100
_COLOURS = {
    State.HEALTHY: "32",
    State.FAILED: "31",
    State.AWAITING_AUTH: "33",
    State.VERIFYING: "33",
    State.SYNCING: "36",
    State.DISCONNECTED: "2",
    State.DELETED: "2",
}
_BOLD = "1"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line each, the columns aligned."""
    cells = [tuple(head), *(tuple(cut(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_row(row, widths) for row in cells]
    return [bold(lines[0]), *(_painted_states(line, row) for line, row in zip(lines[1:], cells[1:], strict=True))]


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _painted_states(line: str, row: Sequence[str]) -> str:
    """The line with its first state in the state's colour."""
    state = next((State(cell) for cell in row if cell in set(State)), None)
    return line.replace(state, painted(state, _COLOURS.get(state, "0")), 1) if state else line


def wrapped(text: str, indent: str = "") -> list[str]:
    """A paragraph, wrapped to the terminal; one line where there is none."""
    if not is_terminal():
        return [indent + text]
    width = max(40, min(WIDEST, shutil.get_terminal_size().columns))
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def bold(text: str) -> str:
    return painted(text, _BOLD)


def painted(text: str, colour: str) -> str:
    """The text in a colour (ECMA-48 SGR), on a terminal only."""
    return f"\x1b[{colour}m{text}\x1b[0m" if is_terminal() else text


def in_colour_of(state: State) -> str:
    return painted(state.value, _COLOURS.get(state, "0"))


def is_terminal() -> bool:
    return sys.stdout.isatty()


def when(at: datetime | None) -> str:
    """An instant to the minute, as all words print it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}Z" if at else "-"
