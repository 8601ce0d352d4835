"""What the checker found: violations, one line each, and how much it looked at."""

from collections import Counter
from dataclasses import dataclass, field

SHOWN_CAP = 50
"""Violations of one invariant that are kept; the others are only counted, so that a broken run fits in memory too."""

INVARIANTS = tuple(f"I{number}" for number in range(1, 12))


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be."""

    invariant: str
    where: str
    """The connector, the partition or the record that it is about."""
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.invariant}  {self.where}: expected {self.expected}, saw {self.seen}"


@dataclass(slots=True)
class Report:
    """The verdict."""

    violations: list[Violation] = field(default_factory=list)
    """At most `SHOWN_CAP` of each invariant."""
    by_invariant: Counter[str] = field(default_factory=Counter)
    """How many there are of each, those that aren't kept included."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was looked at: `transitions`, `inputs.note` and so on."""

    @property
    def holds(self) -> bool:
        """Whether no invariant is violated."""
        return not self.by_invariant

    def violated(self, invariant: str, where: str, expected: object, seen: object) -> None:
        """Notes one violation."""
        self.by_invariant[invariant] += 1
        if self.by_invariant[invariant] <= SHOWN_CAP:
            self.violations.append(Violation(invariant, where, str(expected), str(seen)))

    def lines(self) -> list[str]:
        """The report as people read it."""
        told = [str(violation) for violation in self.violations]
        for invariant, number in sorted(self.by_invariant.items()):
            if number > SHOWN_CAP:
                told.append(f"{invariant}  and {number - SHOWN_CAP} more")
        told += [f"{name}: {number}" for name, number in sorted(self.counts.items())]
        if self.holds:
            told.append(f"holds: {INVARIANTS[0]} to {INVARIANTS[-1]}")
        else:
            told.append(f"violated: {', '.join(i for i in INVARIANTS if i in self.by_invariant)}")
        return told

    def as_json(self) -> dict[str, object]:
        """The report as programs read it."""
        return {
            "holds": self.holds,
            "by_invariant": dict(self.by_invariant),
            "violations": [
                {"invariant": v.invariant, "where": v.where, "expected": v.expected, "seen": v.seen}
                for v in self.violations
            ],
            "counts": dict(self.counts),
        }
