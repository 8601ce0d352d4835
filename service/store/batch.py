"""A batch: what a transaction of the door reads and what it stores, as plain values.

Only `service.engine` may import this module beside the store: whoever has a batch can change a connector.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from schemas.ids import ConnectorId, ProviderId, Shard
from schemas.lifecycle import State
from service.store.consequences import Consequence
from service.store.log import DeadLetter, Entry, Logged, Watermark
from service.store.partitions import OffsetMove
from statemachine.connector import Connector

ShardOf: TypeAlias = Callable[[ConnectorId], Shard]
"""In which shard a new connector of that id belongs. It costs as much as reading a row, so only new ones are asked."""


@dataclass(slots=True)
class Loaded:
    """A connector as it was read. `pk` is `None` for one that doesn't exist."""

    pk: int | None
    revision: int
    shard: Shard
    connector: Connector


@dataclass(slots=True)
class Changed:
    """A connector as it was read and as it shall be."""

    pk: int | None
    revision: int
    shard: Shard
    before: Connector
    after: Connector


@dataclass(slots=True, kw_only=True)
class LoggedTransition(Logged):
    """A row of the log, with what it is looked for by."""

    provider: ProviderId
    from_state: State
    to_state: State
    trigger: str
    reason: str | None
    step: str | None
    attempt_id: UUID | None


@dataclass(slots=True)
class Note:
    """An input that was observed or ignored."""

    at: datetime
    connector: ConnectorId
    outcome: str
    trigger: str
    why: str | None
    reason: str | None
    attempt_id: UUID | None
    actor: str
    evidence: str | None
    cause: str | None
    """The id of the event that said it."""


@dataclass(slots=True)
class Batch:
    """Everything that one transaction stores."""

    offsets: list[OffsetMove] = field(default_factory=list)
    pks: dict[ConnectorId, int] = field(default_factory=dict)
    """Of every connector that was loaded and exists."""
    changed: list[Changed] = field(default_factory=list)
    """Each connector once."""
    transitions: list[LoggedTransition] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    consequences: list[Consequence] = field(default_factory=list)
    watermarks: list[Watermark] = field(default_factory=list)
    """How far the shards that this batch locks anyway are published."""
    wake: list[Shard] = field(default_factory=list)
    """Shards that another process relays: it is notified on commit."""

    def by_shard(self) -> dict[Shard, list[Entry]]:
        """What it adds to each shard's log, in the order in which the store numbers it."""
        logged: dict[Shard, list[Entry]] = defaultdict(list)
        for transition in self.transitions:
            logged[transition.shard].append(transition)
        for letter in self.dead_letters:
            logged[letter.shard].append(letter)
        return logged

    def is_empty(self) -> bool:
        return not (
            self.offsets or self.changed or self.transitions or self.notes or self.dead_letters or self.consequences
        )


class Conflict(Exception):
    """A connector was changed by somebody else since it was read: read again and decide again."""
