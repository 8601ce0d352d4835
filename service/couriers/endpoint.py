"""What a courier needs to know of whom it tells: which rows of the log are told, and how one is sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Protocol, TypeVar

from schemas.ids import ConnectorId
from service.store.couriers import LogRow

E = TypeVar("E")


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
        """Tells an event, and logs and counts what came of it. Whatever goes wrong on the way is a refusal, too."""
        ...

    def give_up(self, connector: ConnectorId, version: int) -> None:
        """Logs and counts that what this transition says will not be told: no try of it was accepted."""
        ...
