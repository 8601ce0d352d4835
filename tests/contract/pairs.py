"""Combinations of values in which every two choices of two axes meet, and some more, the same each time."""

import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

Values = dict[str, Any]  # Any: YAML
Axes = Mapping[str, Mapping[str, Values]]
"""By the axis' name: its choices by name, each with the values that it sets."""

Combination = tuple[str, ...]
"""A choice for each axis, in their order."""


def combined(axes: Axes, least: int, seed: int = 1) -> list[Combination]:
    """At least so many different combinations, in which every pair of choices occurs."""
    chance = random.Random(seed)
    left = {pair for one, two in combinations(range(len(axes)), 2) for pair in _pairs_of(axes, one, two)}
    found: dict[Combination, None] = {}
    while left or len(found) < least:
        tried = [_any(axes, chance) for _ in range(30)] if left else [_any(axes, chance)]
        best = max(tried, key=lambda one: len(left & _pairs(one)))
        if left and not left & _pairs(best):
            best = _with(best, min(left))
        left -= _pairs(best)
        found[best] = None
    return list(found)


Pair = tuple[tuple[int, str], tuple[int, str]]


def _pairs_of(axes: Axes, one: int, two: int) -> list[Pair]:
    names = list(axes)
    return [((one, a), (two, b)) for a in axes[names[one]] for b in axes[names[two]]]


def _pairs(of: Combination) -> set[Pair]:
    return set(combinations(enumerate(of), 2))


def _any(axes: Axes, chance: random.Random) -> Combination:
    return tuple(chance.choice(sorted(choices)) for choices in axes.values())


def _with(of: Combination, pair: Pair) -> Combination:
    chosen = dict(pair)
    return tuple(chosen.get(number, choice) for number, choice in enumerate(of))


def values_of(axes: Axes, of: Combination) -> Values:
    """The values of a combination, laid over each other in the axes' order."""
    made: Values = {}
    for choices, choice in zip(axes.values(), of, strict=True):
        made = _laid_over(made, choices[choice])
    return made


def _laid_over(below: Values, above: Values) -> Values:
    made = dict(below)
    for name, value in above.items():
        under = made.get(name)
        made[name] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return made


def called(axes: Sequence[str] | Axes, of: Combination) -> str:
    """A combination in words: what isn't the first choice of its axis."""
    return ", ".join(f"{axis}: {choice}" for axis, choice in zip(axes, of, strict=True) if choice != "-") or "defaults"
