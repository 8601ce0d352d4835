"""`regrant top`: the fleet on one screen, anew each second: how many stand where, what moves, who must act now."""

import asyncio
import shutil
import sys
import termios
import tty
from collections import Counter as Tally
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

from schemas.fleet import Fleet
from schemas.lifecycle import State
from service.insight.counting import Counter
from service.insight.fleet import fleet
from service.settings import Settings
from service.store.pool import TRANSIENT, open_pool
from service.terminal.tables import bold, in_colour_of, is_terminal, table, when

BAR = 40
MOST_ARROWS, MOST_REASONS = 8, 8
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The terminal's other screen, without a cursor, and back (xterm's control sequences)."""
HOME, TO_THE_LINES_END, TO_THE_END = "\x1b[H", "\x1b[K", "\x1b[J"


async def looked(settings: Settings, every_s: float, most: int | None) -> AsyncIterator[Fleet | str]:
    """The fleet, again and again; or, in words, why it can't be told just now."""
    async with await open_pool(settings.database.dsn.reveal(), size=2) as pool:
        counter, left = Counter(pool), most
        while left is None or left > 0:
            try:
                yield await fleet(pool, counter, None, None)
            except TRANSIENT as error:
                yield f"the database can't be asked: {type(error).__name__}"
            left = None if left is None else left - 1
            if left != 0:
                await asyncio.sleep(every_s)


def screen(told: Fleet | str) -> list[str]:
    """The lines of one look."""
    if isinstance(told, str):
        return [told]
    counts: Tally[State] = Tally()
    for one in told.states:
        counts[one.state] += one.count
    return [
        bold(told.sentence),
        f"{when(told.as_of)}{'' if told.counted else '  (the log is still being counted)'}",
        "",
        *_bars(counts, told.connectors),
        "",
        *_arrows(told),
        "",
        *_act_now(told),
    ]


def _bars(counts: Tally[State], total: int) -> Iterator[str]:
    for state in State:
        if number := counts[state]:
            filled = max(1, round(BAR * number / total))
            yield f"{in_colour_of(state)}{' ' * (14 - len(state))}{'█' * filled}{'·' * (BAR - filled)} {number:>9,}"


def _arrows(told: Fleet) -> Sequence[str]:
    moved = [one for one in told.arrows if one.last_hour][:MOST_ARROWS]
    if not moved:
        return ["nothing moved within the hour"]
    rows = [(f"{one.from_} → {one.to}", f"{one.last_hour:,}", f"{one.per_minute:g}") for one in moved]
    return table(("moved", "last hour", "a minute"), rows)


def _act_now(told: Fleet) -> Sequence[str]:
    reasons = sorted(told.reasons, key=lambda one: (one.who_acts != "operator", -one.count))[:MOST_REASONS]
    if not reasons:
        return ["nobody has to act"]
    return table(
        ("act now", "for", "reason", "at"), [(o.who_acts, f"{o.count:,}", o.reason, o.provider) for o in reasons]
    )


async def top(settings: Settings, every_s: float, most: int | None, *, as_json: bool) -> None:
    """Shows it until `q`, Ctrl-C or so many looks."""
    with _keys() as ended, _other_screen(not as_json):
        looking = asyncio.ensure_future(_show(settings, every_s, most, as_json=as_json))
        quitting = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({looking, quitting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (looking, quitting):
                task.cancel()
            await asyncio.gather(looking, quitting, return_exceptions=True)
        if not looking.cancelled() and (error := looking.exception()) is not None:
            raise error


async def _show(settings: Settings, every_s: float, most: int | None, *, as_json: bool) -> None:
    async for told in looked(settings, every_s, most):
        if as_json:
            if isinstance(told, Fleet):
                _write(told.model_dump_json(by_alias=True) + "\n")
        elif is_terminal():
            height = shutil.get_terminal_size().lines
            lines = [f"{line}{TO_THE_LINES_END}" for line in screen(told)[: height - 1]]
            _write(HOME + "\n".join(lines) + TO_THE_END)
        else:
            _write("\n".join([*screen(told), "", ""]))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _other_screen(is_wanted: bool) -> Iterator[None]:
    if not (is_wanted and is_terminal()):
        yield
        return
    _write(ENTER)
    try:
        yield
    finally:
        _write(LEAVE)


@contextmanager
def _keys() -> Iterator[asyncio.Event]:
    """Set when somebody presses `q`. Without a keyboard nobody does."""
    ended = asyncio.Event()
    if not sys.stdin.isatty():
        yield ended
        return
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        if sys.stdin.read(1) in ("q", "Q", ""):
            ended.set()

    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, pressed)
    try:
        yield ended
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
