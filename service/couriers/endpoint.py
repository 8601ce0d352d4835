"""What a courier needs to know of whom it tells: which rows of the log are told, and how one is sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, get_args

import orjson

from schemas.ids import ConnectorId
from service.store.couriers import LogRow
from service.telemetry import metrics

E = TypeVar("E")
Outcome: TypeAlias = Literal["accepted", "refused", "given_up"]
"""What a courier counts of an endpoint's events."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event wasn't accepted."""

    what: str
    """In a few words of ours."""
    again_after: timedelta | None = None
    """The pause that the endpoint asks for."""


class Done(Enum):
    """An event needn't be sent again."""

    ACCEPTED = "it was accepted: the endpoint is up"
    NEEDLESS = "nobody had to be told, which says nothing of the endpoint"


class Endpoint(Protocol[E]):
    """Where events are told; `E` is what is told of a row."""

    @property
    def name(self) -> str:
        """Its place in the log is kept under it: no two endpoints share one."""
        ...

    def events_of(self, row: LogRow) -> Iterable[E]:
        """What is told of a transition, in the order in which it is sent; often nothing."""
        ...

    async def send(self, event: E) -> Done | Refusal:
        """Tells an event, and logs what came of it. Whatever goes wrong on the way is a refusal, too."""
        ...

    def give_up(self, connector: ConnectorId, version: int) -> None:
        """Logs that what this transition says will not be told: no try of it was accepted."""
        ...


def count_from_nothing(endpoint: str) -> None:
    """Shows its counters before anything was sent: a rate sees the first event that is given up, too."""
    for outcome in get_args(Outcome):
        metrics.WEBHOOKS.labels(endpoint, outcome)


def record_with_notice(row: LogRow) -> dict[str, Any] | None:
    """The record of a transition that has a notice. Most have none, and needn't be parsed."""
    if '"notice":"' not in row.record:
        return None
    record: dict[str, Any] = orjson.loads(row.record)
    return record if record.get("notice") is not None else None
