"""What must hold of the people's visits: nobody lacks a next step, and the funnel counts what they did. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.lifecycle import State, Step
from service.demo.people.visitor import Visitor
from service.demo.person import Screen

_ORDER = tuple(Step)
_FIRST = _ORDER.index(Step.LINK_OFFERED)


@dataclass(frozen=True, slots=True)
class Met:
    """Somebody's visit, when it is over."""

    visitor: Visitor
    end: Screen | Exception
    """The screen that they were left with, or what broke."""
    state: State
    """The connector's, in the end."""

    @property
    def end_name(self) -> str:
        return "broken" if isinstance(self.end, Exception) else self.end.name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that has to hold, and whether it does."""

    sentence: str
    holds: bool
    detail: str = ""


def findings(met: Sequence[Met], funnel: Mapping[Step, int]) -> Iterator[Finding]:
    """`funnel` is how many attempts reached each step, as the console says."""
    for one in met:
        who = f"{one.visitor.temperament} {one.visitor.number}"
        if isinstance(one.end, Exception):
            yield Finding(f"{who} comes to an end", False, repr(one.end))
            continue
        knows = one.state is State.HEALTHY or bool(one.end.next_step)
        way = " → ".join(one.visitor.story)
        yield Finding(f"{who} is syncing, or knows the next step", knows, f"{way}: {one.end.text[:200]}")
    did = Counter(step for one in met for reached in one.visitor.tries for step in _steps_up_to(reached))
    for step in _ORDER[_FIRST:]:
        says = funnel.get(step, 0)
        yield Finding(
            f"the funnel counts {did[step]} attempts that reached {step}", says == did[step], f"it says {says}"
        )


def _steps_up_to(step: Step) -> tuple[Step, ...]:
    return _ORDER[_FIRST : _ORDER.index(step) + 1]
