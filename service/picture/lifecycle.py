"""The lifecycle as a picture: each state has its place, each arrow of the table is drawn. Pure.

A state that the table gains has no place yet, and an arrow that it gains is drawn without a word of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import Literal, TypeAlias

from schemas.lifecycle import State, Trigger
from service.picture.curves import Box, Cubic, Curve, along, arrow
from statemachine.arrows import arrows
from statemachine.table import CONNECTED

Kind: TypeAlias = Literal["way", "repair", "back", "off"]
"""The way round; a short cut of it; back to where an attempt came from; taken off."""
Pair: TypeAlias = tuple[State, State]

WIDTH, HEIGHT = 1150, 500
FRAME = Box(470, 252, 796, 476)
"""Around the connected states: what happens alike in each of them begins here."""

_BOX = (184.0, 92.0)
_SMALL = (168.0, 88.0)
PLACES: dict[State, Box] = {
    State.ABSENT: Box(26, 95, 20, 20),
    State.HEALTHY: Box(200, 95, *_BOX),
    State.FAILED: Box(740, 95, *_BOX),
    State.AWAITING_AUTH: Box(740, 405, *_BOX),
    State.VERIFYING: Box(470, 405, *_BOX),
    State.SYNCING: Box(200, 405, *_BOX),
    State.DISCONNECTED: Box(1050, 370, *_SMALL),
    State.DELETED: Box(1050, 130, *_SMALL),
}
NAMES: dict[State, str] = {
    State.ABSENT: "new",
    State.HEALTHY: "Healthy",
    State.FAILED: "Failed",
    State.AWAITING_AUTH: "Awaiting sign-in",
    State.VERIFYING: "Verifying",
    State.SYNCING: "Syncing",
    State.DISCONNECTED: "Disconnected",
    State.DELETED: "Deleted",
}

_WAY: frozenset[Pair] = frozenset(
    {
        (State.HEALTHY, State.FAILED),
        (State.FAILED, State.AWAITING_AUTH),
        (State.AWAITING_AUTH, State.VERIFYING),
        (State.VERIFYING, State.SYNCING),
        (State.SYNCING, State.HEALTHY),
    }
)
_OFF = (State.DISCONNECTED, State.DELETED)
_BY_HAND: dict[Pair, Cubic] = {
    (State.ABSENT, State.FAILED): ((26, 95), (70, -12), (560, -12), (740, 95)),
    (State.SYNCING, State.AWAITING_AUTH): ((200, 405), (310, 500), (630, 500), (740, 405)),
    (State.DISCONNECTED, State.AWAITING_AUTH): ((1050, 390), (940, 390), (860, 405), (740, 405)),
}
"""Around what stands in the way."""
_LABEL, _DIAGONAL_LABEL, _STEEP_LABEL = 0.5, 0.27, 0.74


@dataclass(frozen=True, slots=True)
class Node:
    """A state in the picture."""

    state: State
    name: str
    sentence: str
    box: Box


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow in the picture: of a pair of states, or of several that are taken off alike."""

    id: str
    kind: Kind
    pairs: tuple[Pair, ...]
    triggers: tuple[Trigger, ...]
    curve: Curve

    @property
    def to(self) -> State:
        return self.pairs[0][1]

    @property
    def sources(self) -> tuple[State, ...]:
        return tuple(source for source, _ in self.pairs)

    @property
    def words(self) -> str:
        begin = NAMES[self.pairs[0][0]] if len(self.pairs) == 1 else "Connected"
        return f"{begin} → {NAMES[self.to]}"


def nodes() -> tuple[Node, ...]:
    """Every state in its place."""
    return tuple(Node(state, NAMES[state], state.sentence, PLACES[state]) for state in State)


def drawn() -> tuple[Arrow, ...]:
    """Every arrow of the table, once; those that begin at each of the connected states begin at their frame."""
    table = arrows()
    found = []
    for to in _OFF:
        pairs = tuple(pair for pair in table if pair[1] is to and pair[0] in CONNECTED)
        triggers = tuple(dict.fromkeys(trigger for pair in pairs for trigger in table[pair]))
        level = PLACES[to].y - (18 if to is State.DISCONNECTED else 0)
        way = ((FRAME.x, level), (FRAME.x, level), (PLACES[to].x, level), (PLACES[to].x, level))
        curve = along(way, FRAME, PLACES[to])
        found.append(Arrow(f"connected-{to.value}", "off", pairs, triggers, curve))
    alone = [pair for pair in table if not (pair[1] in _OFF and pair[0] in CONNECTED)]
    return (*found, *(_one(pair, table) for pair in alone))


def _one(pair: Pair, table: Mapping[Pair, tuple[Trigger, ...]]) -> Arrow:
    source, to = pair
    begin, end = PLACES[source], PLACES[to]
    if pair in _BY_HAND:
        curve = along(_BY_HAND[pair], begin, end)
    else:
        # Many ways cross in the middle of the picture: no label stands there.
        is_steep = 0 < abs(begin.x - end.x) < abs(begin.y - end.y)
        is_diagonal = begin.x != end.x and begin.y != end.y
        label = _STEEP_LABEL if is_steep else _DIAGONAL_LABEL if is_diagonal else _LABEL
        comes_back = (to, source) in table
        curve = arrow(begin, end, 13 if comes_back else 0, 12 if comes_back else 0, label)
    return Arrow(f"{source.value}-{to.value}", _kind(pair), (pair,), table[pair], curve)


def _kind(pair: Pair) -> Kind:
    source, to = pair
    if pair in _WAY:
        return "way"
    if to in _OFF or source in (State.ABSENT, State.DISCONNECTED):
        return "off"
    if source in (State.AWAITING_AUTH, State.VERIFYING) and to is not State.SYNCING:
        return "back"
    return "repair"


def width(an_hour: float) -> float:
    """How wide an arrow is drawn, by how often an hour it is gone: a hundredfold is about three times as wide."""
    return 1.6 if an_hour <= 0 else min(9.0, 2.2 + 0.75 * log2(1 + an_hour))
