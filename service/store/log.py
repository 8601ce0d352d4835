"""A shard's log: what is in it, how the relay reads it, and how far it was published.

The log is the outbox. Its numbers have no gap, and their order is the order of the commits, since they are allotted
from the shard's locked row: whatever is visible has everything before it visible, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg

from schemas.ids import ConnectorId, Shard, TenantId
from service.store.partitions import Position
from service.store.pool import Connection


@dataclass(slots=True, kw_only=True)
class Logged:
    """A transition as it is published. `seq` is 0 until it is stored."""

    seq: int = 0
    shard: Shard
    at: datetime
    connector: ConnectorId
    tenant: TenantId
    version: int
    deleted: bool
    """Whether the connector is gone with it."""
    record: str
    """Data of the transition's record, as JSON."""
    state: str
    """Data of the snapshot's record, as JSON: a part of `record`."""
    sync_request: str | None
    trace: str | None


@dataclass(slots=True, kw_only=True)
class DeadLetter:
    """An input that can't be handled, with its bytes untouched. `seq` is 0 until it is stored."""

    seq: int = 0
    shard: Shard
    at: datetime
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    code: str
    detail: str


Entry: TypeAlias = Logged | DeadLetter

CHANNEL = "regrant_log"
"""Where a process that adds to a shard's log without relaying it notifies whoever does."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """The relay of this epoch has published the shard's log up to `seq`."""

    shard: Shard
    epoch: int
    seq: int


CLAIM_RELAY = "update shard set relay_epoch = relay_epoch + 1 where shard = $1 returning relay_epoch, published_seq"

# The watermark moves only for the relay of the newest epoch, and only forward. Batches move it, too.
MOVE_WATERMARK = """
update shard set published_seq = greatest(published_seq, $3) where shard = $1 and relay_epoch = $2 returning shard
"""

# The next part of a shard's log. Two statements, both on the index that begins with (shard, seq).
UNPUBLISHED = """
select t.seq, c.connector_id, c.tenant_id, t.version, t.at, t.to_state, t.record,
    t.record::json -> 'connector' as state, t.sync_request, t.trace
from transition t join connector c on c.id = t.connector
where t.shard = $1 and t.seq > $2 order by t.seq limit $3
"""
UNPUBLISHED_DEAD_LETTERS = """
select seq, at, topic, partition, record_offset, record_key, record_value, header_names, header_values, code, detail
from dead_letter where shard = $1 and seq > $2 order by seq limit $3
"""


async def claim_relay(connection: Connection, shard: Shard) -> Position:
    """Makes the caller the shard's relay; a former one can't move the watermark any more."""
    row = await connection.fetchrow(CLAIM_RELAY, shard)
    assert row is not None, "migrate makes every shard"
    return Position(row["relay_epoch"], row["published_seq"])


async def move_watermark(connection: Connection, shard: Shard, epoch: int, seq: int) -> bool:
    """Remembers that the log is published up to `seq`; false when somebody else is the relay now."""
    return await connection.fetchval(MOVE_WATERMARK, shard, epoch, seq) is not None


async def unpublished(connection: Connection, shard: Shard, after: int, limit: int) -> list[Entry]:
    """The next entries of a shard's log after `after`, in order, at most `limit`."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):  # one moment for both tables
        transitions = await connection.fetch(UNPUBLISHED, shard, after, limit)
        letters = await connection.fetch(UNPUBLISHED_DEAD_LETTERS, shard, after, limit)
    entries: list[Entry] = [_logged(shard, row) for row in transitions]
    entries.extend(_dead_letter(shard, row) for row in letters)
    entries.sort(key=lambda entry: entry.seq)
    return entries[:limit]


def _logged(shard: Shard, row: asyncpg.Record) -> Logged:
    return Logged(
        seq=row["seq"],
        shard=shard,
        at=row["at"],
        connector=ConnectorId(row["connector_id"]),
        tenant=TenantId(row["tenant_id"]),
        version=row["version"],
        deleted=row["to_state"] == "deleted",
        record=row["record"],
        state=row["state"],
        sync_request=row["sync_request"],
        trace=row["trace"],
    )


def _dead_letter(shard: Shard, row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        seq=row["seq"],
        shard=shard,
        at=row["at"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        key=row["record_key"],
        value=row["record_value"],
        headers=[(n.decode(), v) for n, v in zip(row["header_names"], row["header_values"], strict=True)],
        code=row["code"],
        detail=row["detail"],
    )
