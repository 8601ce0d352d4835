"""A model checker of one page: every state that can be reached, breadth first, with the shortest way to a bad one.

States are values that can be hashed. Two kinds of questions are asked: does something bad hold in some state (a
property says what is wrong, in words), and is there a state from which nothing good can be reached any more.
"""

from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)

Steps = Callable[[S], Iterable[tuple[str, S]]]
"""What may happen in a state, each with its words, and the state that follows."""
Property = Callable[[S], str | None]
"""What is wrong with a state, or nothing."""


@dataclass(frozen=True)
class Counterexample(Generic[S]):
    """The shortest way from the first state to a bad one."""

    wrong: str
    steps: list[tuple[str, S]]


@dataclass(frozen=True)
class Explored(Generic[S]):
    """What was found."""

    states: int
    edges: int
    good: int
    counterexample: Counterexample[S] | None


def explore(first: S, steps: Steps[S], properties: Iterable[Property[S]], good: Callable[[S], bool]) -> Explored[S]:
    """Visits every reachable state once. Ends early at the first state that is wrong.

    Without one, it looks for a state from which no good state can be reached: a system that can be stuck for good.
    """
    properties = list(properties)
    number, states, parents = {first: 0}, [first], array("l", [-1])
    sources, targets = array("l"), array("l")
    queue = deque([0])
    while queue:
        here = queue.popleft()
        state = states[here]
        if wrong := next((said for holds in properties if (said := holds(state))), None):
            return Explored(len(states), len(targets), 0, _way(states, parents, steps, here, wrong))
        for _, after in steps(state):
            there = number.setdefault(after, len(states))
            if there == len(states):
                states.append(after)
                parents.append(here)
                queue.append(there)
            sources.append(here)
            targets.append(there)
    goods = [i for i, state in enumerate(states) if good(state)]
    stuck = _cut_off(len(states), sources, targets, goods)
    counterexample = None
    if stuck is not None:
        counterexample = _way(states, parents, steps, stuck, "from here on nothing can become good again")
    return Explored(len(states), len(targets), len(goods), counterexample)


def _cut_off(count: int, sources: array, targets: array, goods: Iterable[int]) -> int | None:
    """The first state from which no good one can be reached: what a search backwards from them doesn't find."""
    into: list[list[int]] = [[] for _ in range(count)]
    for source, target in zip(sources, targets, strict=True):
        into[target].append(source)
    reached, queue = bytearray(count), deque(goods)
    for i in goods:
        reached[i] = 1
    while queue:
        for source in into[queue.popleft()]:
            if not reached[source]:
                reached[source] = 1
                queue.append(source)
    missed = reached.find(0)
    return None if missed < 0 else missed


def _way(states: list[S], parents: array, steps: Steps[S], last: int, wrong: str) -> Counterexample[S]:
    way = []
    while parents[last] >= 0:
        before, after = states[parents[last]], states[last]
        words = next(words for words, state in steps(before) if state == after)
        way.append((words, after))
        last = parents[last]
    return Counterexample(wrong, way[::-1])
