"""The one transaction that writes connectors: a batch of decisions, set based, fenced, all or nothing.

Only `service.engine` may import this module. Locks are taken in one order everywhere: input partitions, shards,
connectors (each sorted), then the rows that hang on them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from schemas.ids import ConnectorId, Shard
from schemas.lifecycle import State
from service.store.consequences import Consequence, carry_out
from service.store.pool import Connection
from service.store.rows import COLUMNS, connector_of, values_of
from service.store.shards import FenceLost, OffsetMove
from statemachine.connector import Connector

# What a batch consists of.


@dataclass(slots=True)
class Loaded:
    """A connector as it was read. `pk` is `None` for one that doesn't exist."""

    pk: int | None
    revision: int
    shard: Shard
    connector: Connector


@dataclass(slots=True)
class LoggedTransition:
    """A row of the log."""

    shard: Shard
    at: datetime
    connector: ConnectorId
    version: int
    from_state: State
    to_state: State
    trigger: str
    reason: str | None
    step: str | None
    attempt_id: UUID | None
    record: str
    sync_request: str | None
    trace: str | None


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


@dataclass(slots=True)
class DeadLetter:
    """An input that can't be handled, with its bytes untouched."""

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


@dataclass(slots=True)
class Batch:
    """Everything that one transaction stores."""

    offsets: list[OffsetMove] = field(default_factory=list)
    pks: dict[ConnectorId, int] = field(default_factory=dict)
    """Of every connector that was loaded and exists."""
    changed: list[Loaded] = field(default_factory=list)
    """Each connector once, as it shall be; `revision` is the one that was read."""
    transitions: list[LoggedTransition] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    consequences: list[Consequence] = field(default_factory=list)
    wake: list[Shard] = field(default_factory=list)
    """Shards that another process relays: it is notified on commit."""

    def is_empty(self) -> bool:
        return not (
            self.offsets or self.changed or self.transitions or self.notes or self.dead_letters or self.consequences
        )


class Conflict(Exception):
    """A connector was changed by somebody else since it was read: read again and decide again."""


# Reading.

LOAD = """
select clock.now, wanted.id as wanted, c.*
from (select clock_timestamp() as now) clock
left join unnest($1::text[]) as wanted (id) on true
left join connector c on c.connector_id = wanted.id
"""


async def load(
    connection: Connection, ids: Sequence[ConnectorId], shard_of: dict[ConnectorId, Shard]
) -> tuple[datetime, dict[ConnectorId, Loaded]]:
    """The connectors named, and the database's time. A connector that doesn't exist is loaded as absent."""
    rows = await connection.fetch(LOAD, ids)
    loaded = {}
    for row in rows:
        if row["wanted"] is None:
            continue  # none was named: only the time was asked for
        id_ = ConnectorId(row["wanted"])
        if row["id"] is None:
            loaded[id_] = Loaded(None, 0, shard_of[id_], Connector(id_))
        else:
            loaded[id_] = Loaded(row["id"], row["revision"], Shard(row["shard"]), connector_of(row))
    return rows[0]["now"], loaded


# Writing: each statement takes its rows as one array a column.

_NAMES = ", ".join(f'"{name}"' for name, _ in COLUMNS)
_CHANGED = ", ".join(f'change."{name}"' for name, _ in COLUMNS)
_ARRAYS = ", ".join(f"${i}::{type_}[]" for i, (_, type_) in enumerate(COLUMNS, start=3))

# The fence: moves the consumed offsets, and finds no row for a stale owner or a repeat.
MOVE_OFFSETS = """
update input_partition p set next_offset = m.next_offset
from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
    as m (topic, partition, epoch, first_offset, next_offset)
where p.topic = m.topic and p.partition = m.partition and p.owner_epoch = m.epoch and p.next_offset = m.first_offset
returning p.topic, p.partition
"""

# Locks the shards in order and allots log numbers: from here to the commit this transaction is their one writer.
ALLOT_SEQ = """
with locked as (
    select s.shard, s.next_seq, w.n
    from shard s join unnest($1::int[], $2::int[]) as w (shard, n) on w.shard = s.shard
    order by s.shard for update of s
)
update shard s set next_seq = l.next_seq + l.n from locked l where s.shard = l.shard
returning s.shard, l.next_seq as first
"""

# New connectors; one that somebody else registered meanwhile is missing from the answer.
INSERT_CONNECTORS = f"""
insert into connector (connector_id, shard, {_NAMES})
select * from unnest($1::text[], $2::int[], {_ARRAYS})
on conflict (connector_id) do nothing
returning id, connector_id
"""  # noqa: S608 - built from this module's own constants

# Changed connectors, only as they were read: the revision is the optimistic lock. Sorted, against deadlocks.
UPDATE_CONNECTORS = f"""
with change as (
    select * from unnest($1::bigint[], $2::bigint[], {_ARRAYS}) as c (id, revision, {_NAMES}) order by id
)
update connector set ({_NAMES}, revision) = ({_CHANGED}, connector.revision + 1)
from change where connector.id = change.id and connector.revision = change.revision
returning connector.id
"""  # noqa: S608 - built from this module's own constants

INSERT_TRANSITIONS = """
insert into transition (
    shard, seq, at, connector, version, from_state, to_state, trigger, reason, step, attempt_id, record, sync_request,
    trace
)
select * from unnest(
    $1::int[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::connector_state[],
    $7::connector_state[], $8::connector_trigger[], $9::text[], $10::text[], $11::uuid[], $12::json[], $13::json[],
    $14::json[]
)
"""

INSERT_NOTES = """
insert into note (at, connector, outcome, trigger, why, reason, attempt_id, actor, evidence)
select * from unnest(
    $1::timestamptz[], $2::bigint[], $3::text[], $4::connector_trigger[], $5::text[], $6::text[], $7::uuid[],
    $8::json[], $9::json[]
)
"""

INSERT_DEAD_LETTER = """
insert into dead_letter (
    shard, seq, at, topic, partition, record_offset, record_key, record_value, header_names, header_values, code, detail
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""

NOTIFY = "select pg_notify('regrant_log', $1)"


async def store(connection: Connection, batch: Batch) -> None:
    """Stores a batch, whole or not at all.

    Raises `Conflict`, `FenceLost` or `LeasesLost`, after which nothing was stored, or what asyncpg raises, after which
    the batch may have been stored: try it again, the fence and the revisions tell.
    """
    async with connection.transaction():
        await _move_offsets(connection, batch.offsets)
        seq = await _allot_seq(connection, batch)
        pks = batch.pks | await _insert_connectors(connection, [c for c in batch.changed if c.pk is None])
        await _update_connectors(connection, [c for c in batch.changed if c.pk is not None])
        await _append_log(connection, batch, seq, pks)
        await carry_out(connection, batch.consequences, pks)
        if batch.wake:
            await connection.execute(NOTIFY, ",".join(map(str, batch.wake)))


async def _move_offsets(connection: Connection, moves: Sequence[OffsetMove]) -> None:
    if not moves:
        return
    columns = zip(*((m.topic, m.partition, m.epoch, m.first, m.next_) for m in moves), strict=True)
    moved = {(row["topic"], row["partition"]) for row in await connection.fetch(MOVE_OFFSETS, *columns)}
    lost = [m for m in moves if (m.topic, m.partition) not in moved]
    if lost:
        raise FenceLost(lost)


async def _allot_seq(connection: Connection, batch: Batch) -> dict[Shard, int]:
    """The first log number of each shard that this batch writes to."""
    wanted = Counter([t.shard for t in batch.transitions] + [d.shard for d in batch.dead_letters])
    if not wanted:
        return {}
    rows = await connection.fetch(ALLOT_SEQ, list(wanted), list(wanted.values()))
    return {Shard(row["shard"]): row["first"] for row in rows}


async def _insert_connectors(connection: Connection, new: Sequence[Loaded]) -> dict[ConnectorId, int]:
    if not new:
        return {}
    rows = [(n.connector.id, n.shard, *values_of(n.connector)) for n in new]
    inserted = await connection.fetch(INSERT_CONNECTORS, *zip(*rows, strict=True))
    if len(inserted) != len(new):
        raise Conflict
    return {ConnectorId(row["connector_id"]): row["id"] for row in inserted}


async def _update_connectors(connection: Connection, old: Sequence[Loaded]) -> None:
    if not old:
        return
    rows = [(o.pk, o.revision, *values_of(o.connector)) for o in old]
    if len(await connection.fetch(UPDATE_CONNECTORS, *zip(*rows, strict=True))) != len(old):
        raise Conflict


async def _append_log(connection: Connection, batch: Batch, seq: dict[Shard, int], pks: dict[ConnectorId, int]) -> None:
    def next_seq(shard: Shard) -> int:
        seq[shard] += 1
        return seq[shard] - 1

    if batch.transitions:
        rows = [
            (
                t.shard,
                next_seq(t.shard),
                t.at,
                pks[t.connector],
                t.version,
                t.from_state,
                t.to_state,
                t.trigger,
                t.reason,
                t.step,
                t.attempt_id,
                t.record,
                t.sync_request,
                t.trace,
            )
            for t in batch.transitions
        ]
        await connection.execute(INSERT_TRANSITIONS, *zip(*rows, strict=True))
    if batch.notes:
        notes = [
            (n.at, pks[n.connector], n.outcome, n.trigger, n.why, n.reason, n.attempt_id, n.actor, n.evidence)
            for n in batch.notes
        ]
        await connection.execute(INSERT_NOTES, *zip(*notes, strict=True))
    for d in batch.dead_letters:
        names, values = [name for name, _ in d.headers], [value for _, value in d.headers]
        where = (d.shard, next_seq(d.shard), d.at, d.topic, d.partition, d.offset)
        await connection.execute(INSERT_DEAD_LETTER, *where, d.key, d.value, names, values, d.code, d.detail)
