"""What the checker remembers: a few bytes a transition, never a record.

A record is remembered as a 64-bit digest (Python's own keyed hash), so that a million transitions take
tens of megabytes. Two records of one place that differ have the same digest once in 10^19.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import orjson

SEEN_TRANSITION, SEEN_REQUEST = 1, 2

BY_TRANSITION, BY_NOTE, DELIVERED = 1, 2, 4
"""What an input's id caused, and whether the input was found on its topic."""


def digest_json(value: object) -> int:
    """Alike for the same JSON, however it is written."""
    return hash(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


@dataclass(slots=True)
class Connector:
    """A connector's row, and its part of the log: position `i` of each array is about version `first + i`."""

    pk: int
    id: str
    shard: int
    state: str
    version: int
    generation: int
    account: str | None
    attempt: object
    """The live attempt's id."""
    last_run: datetime | None
    swapped: datetime | None

    reached: int = 0
    """The highest generation in its log."""
    first: int = 1
    """The version that the log begins with: 1, unless old parts of the log were dropped."""
    began: datetime | None = None
    """When its first transition was stored."""
    seqs: "array[int]" = field(default_factory=lambda: array("q"))
    records: "array[int]" = field(default_factory=lambda: array("q"))
    """Digests of the records, as JSON."""
    states: "array[int]" = field(default_factory=lambda: array("q"))
    """Digests of the connector's state within the records, as JSON."""
    requests: dict[int, int] = field(default_factory=dict)
    """Version -> digest of the sync request, where one was made."""
    seen: bytearray = field(default_factory=bytearray)
    """What the topics showed of each version."""

    def has(self, version: int) -> bool:
        """Whether the log holds this version; in a gap `seq` is 0, which no entry has."""
        return self.first <= version < self.first + len(self.seqs) and self.seqs[version - self.first] > 0

    def at(self, version: int) -> int:
        """The position of a version."""
        return version - self.first


@dataclass(slots=True)
class Letter:
    """A dead letter's row."""

    shard: int
    seq: int
    at: datetime
    code: str
    content: int
    """Digest of its key, value and headers."""
    found: bool = False
    """Whether the input that it names was found, and can't be handled."""
    published: bool = False


@dataclass(slots=True)
class Shard:
    published_seq: int
    next_seq: int


Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(slots=True)
class Ledger:
    """Everything that the database told."""

    shards: dict[int, Shard] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    """Input partition -> next offset."""
    by_pk: dict[int, Connector] = field(default_factory=dict)
    by_id: dict[str, Connector] = field(default_factory=dict)
    letters: dict[Place, Letter] = field(default_factory=dict)
    causes: dict[int, int] = field(default_factory=dict)
    """Digest of (connector, causing event's id) -> what it caused."""

    def is_published(self, shard: int, seq: int) -> bool:
        """Whether the watermark says that this entry of the log was published."""
        row = self.shards.get(shard)
        return row is not None and seq <= row.published_seq


def cause_of(connector: str, event: str) -> int:
    return hash((connector, event))


def content_of(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> int:
    """A digest of a whole record."""
    return hash((key, value, tuple((name, None if raw is None else bytes(raw)) for name, raw in headers)))
