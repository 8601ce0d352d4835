"""Shards and partitions: who owns what, how far inputs were consumed, how far the log was published."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from schemas.ids import ConnectorId, Shard
from service.store.pool import Connection

# A new owner raises the epoch: whatever the former one still tries to store, fails at the fence.
CLAIM_PARTITION = """
insert into input_partition (topic, partition, owner_epoch) values ($1, $2, 1)
on conflict (topic, partition) do update set owner_epoch = input_partition.owner_epoch + 1
returning owner_epoch, next_offset
"""

POSITION = "select owner_epoch, next_offset from input_partition where topic = $1 and partition = $2"

CLAIM_RELAY = "update shard set relay_epoch = relay_epoch + 1 where shard = $1 returning relay_epoch, published_seq"

# The watermark moves only for the relay of the newest epoch, and only forward.
MOVE_WATERMARK = """
update shard set published_seq = $3 where shard = $1 and relay_epoch = $2 and published_seq <= $3 returning shard
"""

# The next part of a shard's log, transitions and dead letters in one order. Relies on seq order being commit order:
# whatever is visible has everything before it visible too.
UNPUBLISHED = """
select t.seq, c.connector_id, t.version, t.at, t.to_state, t.record, t.sync_request, t.trace
from transition t join connector c on c.id = t.connector
where t.shard = $1 and t.seq > $2 order by t.seq limit $3
"""
UNPUBLISHED_DEAD_LETTERS = """
select seq, at, topic, partition, record_offset, record_key, record_value, header_names, header_values, code, detail
from dead_letter where shard = $1 and seq > $2 order by seq limit $3
"""


@dataclass(frozen=True, slots=True)
class Position:
    """An owner's epoch, and the next offset to consume (or the last number that was published)."""

    epoch: int
    at: int


@dataclass(frozen=True, slots=True)
class OffsetMove:
    """Inputs `first` to `next_` - 1 of a partition are consumed by this batch, by the owner of `epoch`."""

    topic: str
    partition: int
    epoch: int
    first: int
    next_: int


class FenceLost(Exception):
    """The partition belongs to a newer owner, or its inputs were stored before."""

    def __init__(self, moves: Sequence[OffsetMove]) -> None:
        super().__init__(", ".join(f"{m.topic}[{m.partition}] from {m.first}" for m in moves))
        self.moves = tuple(moves)


async def claim_partition(connection: Connection, topic: str, partition: int) -> Position:
    """Makes the caller the partition's owner; the former one's writes fail from now on."""
    row = await connection.fetchrow(CLAIM_PARTITION, topic, partition)
    assert row is not None
    return Position(row["owner_epoch"], row["next_offset"])


async def position(connection: Connection, topic: str, partition: int) -> tuple[int, int]:
    """The partition's epoch and next offset."""
    row = await connection.fetchrow(POSITION, topic, partition)
    return (row["owner_epoch"], row["next_offset"]) if row else (0, 0)


async def claim_relay(connection: Connection, shard: Shard) -> Position:
    """Makes the caller the shard's relay; a former one can't move the watermark any more."""
    row = await connection.fetchrow(CLAIM_RELAY, shard)
    assert row is not None, "migrate makes every shard"
    return Position(row["relay_epoch"], row["published_seq"])


async def move_watermark(connection: Connection, shard: Shard, epoch: int, seq: int) -> bool:
    """Remembers that the log is published up to `seq`; false when somebody else is the relay now."""
    return await connection.fetchval(MOVE_WATERMARK, shard, epoch, seq) is not None


@dataclass(frozen=True, slots=True)
class Logged:
    """A transition as it is published."""

    seq: int
    connector: ConnectorId
    version: int
    at: str
    deleted: bool
    record: bytes
    sync_request: bytes | None
    trace: bytes | None


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter as it is published."""

    seq: int
    at: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    code: str
    detail: str


async def unpublished(connection: Connection, shard: Shard, after: int, limit: int) -> list[Logged | Buried]:
    """The next entries of a shard's log after `after`, in order, at most `limit`."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):  # one moment for both tables
        transitions = await connection.fetch(UNPUBLISHED, shard, after, limit)
        buried = await connection.fetch(UNPUBLISHED_DEAD_LETTERS, shard, after, limit)
    entries: list[Logged | Buried] = [_logged(row) for row in transitions]
    entries.extend(_buried(row) for row in buried)
    entries.sort(key=lambda entry: entry.seq)
    return entries[:limit]


def _logged(row: asyncpg.Record) -> Logged:
    return Logged(
        seq=row["seq"],
        connector=ConnectorId(row["connector_id"]),
        version=row["version"],
        at=row["at"].isoformat(),
        deleted=row["to_state"] == "deleted",
        record=row["record"].encode(),
        sync_request=row["sync_request"].encode() if row["sync_request"] else None,
        trace=row["trace"].encode() if row["trace"] else None,
    )


def _buried(row: asyncpg.Record) -> Buried:
    return Buried(
        seq=row["seq"],
        at=row["at"].isoformat(),
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        key=row["record_key"],
        value=row["record_value"],
        headers=list(zip(row["header_names"], row["header_values"], strict=True)),
        code=row["code"],
        detail=row["detail"],
    )
