"""What a follower hands over, and the rule by which repeats are dropped and gaps are seen."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

Data = TypeVar("Data")

Known = Callable[[str], Awaitable[int | None]]
"""The version of a connector that the host has stored; 0: none yet, `None`: it can't say."""

MOST_REMEMBERED = 100_000
"""Connectors of a partition whose versions are remembered; the ones unheard of for longest are forgotten first."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Versions of a connector that never came: the topic had dropped them before they were read."""

    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Data]):
    """A record that is no repeat."""

    connector_id: str
    version: int
    """The connector's, as it was after what this tells."""
    data: Data
    event_id: str
    """The same for every repeat of the event."""
    at: datetime
    """When it happened, by the database's clock."""
    gap: Gap | None = None
    """What is missing before this one, where something is. Ask the API for the connector's history then."""
    traceparent: str | None = field(default=None, repr=False)


class Remembered:
    """The newest version of each connector of a partition, as far as it is remembered here or known to the host."""

    def __init__(self, known: Known | None) -> None:
        self._known = known
        self._versions: OrderedDict[str, int] = OrderedDict()

    async def judge(self, connector_id: str, version: int) -> tuple[bool, Gap | None]:
        """Whether it is a repeat, or older than what was told; and what is missing before it."""
        last = self._versions.get(connector_id)
        if last is None and self._known is not None:
            last = await self._known(connector_id)
        if last is not None and version <= last:
            return True, None
        return False, Gap(last, version) if last is not None and version > last + 1 else None

    def remember(self, connector_id: str, version: int) -> None:
        """It was handed over."""
        self._versions[connector_id] = version
        self._versions.move_to_end(connector_id)
        if len(self._versions) > MOST_REMEMBERED:
            self._versions.popitem(last=False)
