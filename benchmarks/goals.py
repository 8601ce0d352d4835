"""The goals: each a ratio of two things measured in one run, and what it must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """One ratio. `bound` is the least (`>=`) or the most (`<=`) that it may be; without one it is told, no more."""

    key: str
    says: str
    how: str
    bound: float | None = None
    sense: Literal[">=", "<="] = ">="

    def verdict(self, ratio: float | None) -> str:
        """In a word."""
        if ratio is None:
            return "not measured"
        if self.bound is None:
            return "no goal"
        met = ratio >= self.bound if self.sense == ">=" else ratio <= self.bound
        return "met" if met else "**missed**"

    def wanted(self) -> str:
        return "" if self.bound is None else f"{self.sense} {self.bound:g}"


GOALS = (
    Goal(
        "G1_1",
        "close to the database, 1 worker",
        "events/s from Kafka to durable to Kafka, with 1 worker, by the bare loop's with 1 process",
        0.80,
    ),
    Goal(
        "G1_2", "close to the database, 2 workers", "the same with 2 workers, by the bare loop's with 2 processes", 0.88
    ),
    Goal("G2_asyncpg", "against asyncpg by hand", "events/s of 1 worker, by the peer's with 1 process at its best", 14),
    Goal("G2_sqlalchemy", "against FastStream + SQLAlchemy + AsyncMachine", "the same", 80),
    Goal("G2_pgqueuer", "against PgQueuer", "the same"),
    Goal("G2_dbos", "against DBOS", "the same"),
    Goal(
        "G3",
        "latency near one commit",
        "p99 from sent to durable at half of the own maximum, by the p99 of one input's load and transaction alone",
        4,
        "<=",
    ),
    Goal(
        "G4",
        "memory independent of the fleet",
        "the worker's resident memory with the large fleet, by that with 1,000 connectors",
        1.2,
        "<=",
    ),
    Goal("G5", "scale-out without waste", "client CPU an event with 2 workers, by that with 1", 1.10, "<="),
    Goal(
        "G6_drain",
        "a backlog drains",
        "events/s over a large backlog, by the mean of a point before and one after",
        0.9,
    ),
    Goal(
        "G6_restart_s",
        "back after kill -9",
        "seconds from the kill of the only worker to the next commit (session timeout 6 s + 1.5 s)",
        7.5,
        "<=",
    ),
    Goal(
        "G7",
        "guarantees cost little",
        "the bare loop's events/s with fence, offset and watermark, by those without",
        0.95,
    ),
)


def verdicts(ratios: Mapping[str, float | None]) -> dict[str, str]:
    return {goal.key: goal.verdict(ratios.get(goal.key)) for goal in GOALS}
