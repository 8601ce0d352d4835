"""The worlds that the checker visits, and what it finds in words."""

from functools import partial

from tests.model.checker import Counterexample, Explored, explore
from tests.model.guards import Guards
from tests.model.properties import PROPERTIES, is_good
from tests.model.protocol import ONE_CONNECTOR, Bounds, World, first, steps

ALL_GUARDS = Guards()

WORLDS = {
    "the relay": Bounds(ONE_CONNECTOR, called=True, looks=0, crashes=1, rebalances=1, lost_answers=0),
    "all of it, one crash": Bounds(looks=2, crashes=1, rebalances=0, lost_answers=0),
    "the door": Bounds(relays=False, looks=1, crashes=1, rebalances=1, lost_answers=1),
}
"""Everything at once has millions of states. Door and relay meet only in the log, so each is also visited alone, with
all faults that concern it."""

WIDE_WORLDS = {
    "the relay and a caller": Bounds(looks=0, crashes=0, rebalances=1, lost_answers=0),
    "all of it, one lost answer": Bounds(looks=2, crashes=0, rebalances=0, lost_answers=1),
    "the door, two timers": Bounds(relays=False, looks=2, crashes=1, rebalances=1, lost_answers=1),
}
"""Minutes more; `python -m tests.model --wide`."""


def check(bounds: Bounds, guards: Guards = ALL_GUARDS) -> Explored[World]:
    return explore(first(bounds), partial(steps, guards=guards), PROPERTIES, is_good)


def told(counterexample: Counterexample[World]) -> str:
    """The way to the bad state, a line a step, with what changed in the database."""
    lines, before = [], None
    for number, (words, world) in enumerate(counterexample.steps, start=1):
        lines.append(f"{number:3}. {words}{_seen(before, world)}")
        before = world
    return "\n".join([*lines, f"  => {counterexample.wrong}"])


def _seen(before: World | None, after: World) -> str:
    if before is None:
        return ""
    db, was = after.database, before.database
    said = [f"offset {db.next_offset}"] if db.next_offset != was.next_offset else []
    said += [f"log {e.seq}: connector {e.connector} version {e.version}" for e in db.log if e not in was.log]
    said += [f"watermark {db.published}"] if db.published != was.published else []
    return f"  [{', '.join(said)}]" if said else ""
