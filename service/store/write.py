"""The one transaction that writes connectors: a batch of decisions, set based, fenced, all or nothing.

Nothing but the store itself imports this module. What most batches need is one statement, which is its own transaction:
a round trip. The rest, which people cause, adds statements around it. Locks are taken in one order everywhere: new
connectors, input partitions, shards, connectors (each sorted), then the rows that hang on them.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from schemas.ids import AttemptId, ConnectorId, Shard
from schemas.lifecycle import Step
from service.store.batch import Batch, Changed, Conflict, Loaded, ShardOf
from service.store.consequences import carry_out
from service.store.log import CHANNEL, DeadLetter, Entry
from service.store.partitions import FenceLost, OffsetMove, position
from service.store.pool import Connection
from service.store.rows import (
    BY_SYNCS,
    CHANGING,
    COLUMNS,
    Column,
    by_people,
    by_syncs,
    changing,
    connector_of,
    values_of,
)
from statemachine.connector import Connector

# Reading.

LOAD = """
select clock.now, wanted.id as wanted, c.*
from (select clock_timestamp() as now) clock
left join unnest($1::text[]) as wanted (id) on true
left join connector c on c.connector_id = wanted.id
"""


async def load(
    connection: Connection, ids: Collection[ConnectorId], shard_of: ShardOf
) -> tuple[datetime, dict[ConnectorId, Loaded]]:
    """The connectors named, and the database's time. One that doesn't exist is loaded as absent, of its id's shard."""
    rows = await connection.fetch(LOAD, list(ids))
    loaded = {}
    for row in rows:
        if row["wanted"] is None:
            continue  # none was named: only the time was asked for
        id_ = ConnectorId(row["wanted"])
        if row["id"] is None:
            loaded[id_] = Loaded(None, 0, shard_of(id_), Connector(id_))
        else:
            loaded[id_] = Loaded(row["id"], row["revision"], Shard(row["shard"]), connector_of(row))
    return rows[0]["now"], loaded


# How far attempts came, by the primary key: asked only where somebody replaces one.
STEPS = "select attempt_id, step from attempt where attempt_id = any($1::uuid[])"


async def steps(connection: Connection, attempts: Collection[AttemptId]) -> dict[AttemptId, Step]:
    """How far these attempts came."""
    rows = await connection.fetch(STEPS, list(attempts))
    return {AttemptId(row["attempt_id"]): Step(row["step"]) for row in rows}


FENCE_LOST, STALE_REVISION = "RG001", "RG002"

# Writing: each statement takes its rows as one array a column.

_NAMES = ", ".join(f'"{name}"' for name, _ in COLUMNS)
_ARRAYS = ", ".join(f"${i}::{type_}[]" for i, (_, type_) in enumerate(COLUMNS, start=3))

# New connectors; one that somebody else registered meanwhile is missing from the answer.
INSERT_CONNECTORS = f"""
insert into connector (connector_id, shard, {_NAMES})
select * from unnest($1::text[], $2::int[], {_ARRAYS})
on conflict (connector_id) do nothing
returning id, connector_id
"""  # noqa: S608 - built from this module's own constants


def _store_statement(columns: Sequence[Column]) -> str:
    """The batch's statement, where it changes no other columns of connectors than these.

    Its parts, in the order in which they lock and run:
    - moved: the fence. It moves the consumed offsets, and finds no row for a stale owner or a repeat.
    - allotted: locks the shards in order and allots log numbers: from here to the commit this transaction is their one
      writer. The watermarks of these shards move with it.
    - changed: the connectors, only as they were read: the revision is the optimistic lock. Sorted, against deadlocks.
    - logged: the transitions, `nth` in their shard's part of this batch.
    Where the fence or a revision doesn't hold, `regrant_require` raises, and nothing of it was stored.
    """
    names = ", ".join(f'"{name}"' for name, _ in columns)
    values = ", ".join(f'change."{name}"' for name, _ in columns)
    arrays = ", ".join(_array(i, type_) for i, (_, type_) in enumerate(columns, start=27))
    return f"""
with moved as (
    update input_partition p set next_offset = m.next_offset
    from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
        as m (topic, partition, epoch, first_offset, next_offset)
    where p.topic = m.topic and p.partition = m.partition and p.owner_epoch = m.epoch and p.next_offset = m.first_offset
    returning p.partition
),
allotted as (
    update shard s set
        next_seq = s.next_seq + l.n,
        published_seq = case when s.relay_epoch = l.epoch then greatest(s.published_seq, l.published)
            else s.published_seq end
    from (
        select w.* from unnest($6::int[], $7::int[], $8::bigint[], $9::bigint[]) as w (shard, n, epoch, published)
        join shard on shard.shard = w.shard order by w.shard for update of shard
    ) l
    where s.shard = l.shard and (select count(*) from moved) >= 0
    returning s.shard, s.next_seq - l.n as first
),
changed as (
    update connector set ({names}, revision) = ({values}, connector.revision + 1)
    from (
        select * from unnest($25::text::bigint[], $26::text::bigint[], {arrays}) as c (id, revision, {names})
        order by id
    ) change
    where connector.id = change.id and connector.revision = change.revision and (select count(*) from allotted) >= 0
    returning connector.id
),
logged as (
    insert into transition (
        shard, seq, at, connector, version, from_state, to_state, trigger, reason, step, attempt_id, record,
        sync_request, trace
    )
    select t.shard, a.first + t.nth, $10, t.connector, t.version, t.from_state, t.to_state, t.trigger, t.reason, t.step,
        t.attempt_id, t.record, t.sync_request, t.trace
    from unnest(
        $11::text::int[], $12::text::int[], $13::text::bigint[], $14::text::bigint[], $15::text::connector_state[],
        $16::text::connector_state[], $17::text::connector_trigger[], $18::text::text[], $19::text::text[],
        $20::text::uuid[], $21::text[], $22::text[], $23::json[]
    ) as t (
        shard, nth, connector, version, from_state, to_state, trigger, reason, step, attempt_id, record, sync_request,
        trace
    )
    join allotted a on a.shard = t.shard
)
select
    regrant_require((select count(*) from moved) = cardinality($1), '{FENCE_LOST}'),
    regrant_require((select count(*) from changed) = cardinality($25::text::bigint[]), '{STALE_REVISION}'),
    case when $24::text <> '' then pg_notify('{CHANNEL}', $24) end,
    array(select array[shard, first] from allotted) as allotted
"""  # noqa: S608 - built from this module's own constants


# Numbers and codes of our own go as an array's text, which is joined in a tenth of the time that asyncpg takes to look
# at each element; what others wrote, and times, go as arrays.
_AS_TEXT = frozenset({"connector_state", "bigint", "int", "uuid"})


def _array(parameter: int, type_: str) -> str:
    return f"${parameter}::text::{type_}[]" if type_ in _AS_TEXT else f"${parameter}::{type_}[]"


def _text(values: Iterable[Any]) -> str:  # Any: numbers, codes, UUIDs or None
    """An array's text of what needs no quotes."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


STORE_SYNCS = _store_statement(BY_SYNCS)
STORE_ALL = _store_statement(CHANGING)

INSERT_NOTES = """
insert into note (at, connector, outcome, trigger, why, reason, attempt_id, actor, evidence, cause)
select * from unnest(
    $1::timestamptz[], $2::bigint[], $3::text[], $4::connector_trigger[], $5::text[], $6::text[], $7::uuid[],
    $8::json[], $9::json[], $10::text[]
)
"""

INSERT_DEAD_LETTER = """
insert into dead_letter (
    shard, seq, at, topic, partition, record_offset, record_key, record_value, header_names, header_values, code, detail
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


async def store(connection: Connection, batch: Batch, now: datetime) -> None:
    """Stores a batch, whole or not at all, and numbers the entries of its log.

    Raises `Conflict`, `FenceLost` or `LeasesLost`, after which nothing was stored, or what asyncpg raises, after which
    the batch may have been stored: try it again, the fence and the revisions tell.
    """
    new = [c for c in batch.changed if c.pk is None]
    if not (new or batch.notes or batch.dead_letters or batch.consequences):
        await _store(connection, batch, now, batch.pks)
        return
    async with connection.transaction():
        pks = batch.pks | await _insert_connectors(connection, new)
        await _store(connection, batch, now, pks)
        await _insert_notes(connection, batch, pks)
        for letter in batch.dead_letters:
            await _insert_dead_letter(connection, letter)
        await carry_out(connection, batch.consequences, pks)


async def _store(connection: Connection, batch: Batch, now: datetime, pks: dict[ConnectorId, int]) -> None:
    by_shard = batch.by_shard()
    for entries in by_shard.values():
        for nth, entry in enumerate(entries):
            entry.seq = nth
    statement, changed = _changes([c for c in batch.changed if c.pk is not None])
    parameters = [
        *_columns(((m.topic, m.partition, m.epoch, m.first, m.next_) for m in batch.offsets), 5),
        *_columns(_shards(batch, by_shard), 4),
        now,
        *_transitions(batch, pks),
        ",".join(map(str, batch.wake)),
        *changed,
    ]
    try:
        row = await connection.fetchrow(statement, *parameters)
    except asyncpg.PostgresError as error:
        if error.sqlstate == FENCE_LOST:
            raise FenceLost(batch.offsets) from None
        if error.sqlstate == STALE_REVISION:
            raise Conflict from None
        raise
    assert row is not None
    for shard, first in row["allotted"]:
        for entry in by_shard[Shard(shard)]:
            entry.seq += first


def _transitions(batch: Batch, pks: dict[ConnectorId, int]) -> list[Any]:  # Any: each column's own type
    """The log's new rows, a column each; `seq` is still their place in their shard's part of the batch."""
    rows = batch.transitions
    return [
        _text([t.shard for t in rows]),
        _text([t.seq for t in rows]),
        _text([pks[t.connector] for t in rows]),
        _text([t.version for t in rows]),
        _text([t.from_state for t in rows]),
        _text([t.to_state for t in rows]),
        _text([t.trigger for t in rows]),
        _text([t.reason for t in rows]),
        _text([t.step for t in rows]),
        _text([t.attempt_id for t in rows]),
        [t.record for t in rows],
        [t.sync_request for t in rows],
        [t.trace for t in rows],
    ]


def _changes(changed: Sequence[Changed]) -> tuple[str, list[Any]]:  # Any: each column's own type
    """The statement for what these changes touch, and its last parameters."""
    people = any(by_people(c.before) != by_people(c.after) for c in changed)
    columns, values, statement = (CHANGING, changing, STORE_ALL) if people else (BY_SYNCS, by_syncs, STORE_SYNCS)
    arrays = _columns((values(c.after) for c in changed), len(columns))
    written = [_text(array) if type_ in _AS_TEXT else array for (_, type_), array in zip(columns, arrays, strict=True)]
    return statement, [_text([c.pk for c in changed]), _text([c.revision for c in changed]), *written]


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:  # Any: of each column's own type
    """Rows as columns; so many empty ones where there is no row."""
    return list(zip(*rows, strict=True)) or [()] * width


def _shards(batch: Batch, by_shard: dict[Shard, list[Entry]]) -> Iterable[tuple[int, int, int, int]]:
    """The shards that the batch writes to: how many numbers each needs, and how far it is published."""
    published = {w.shard: w for w in batch.watermarks}
    for shard, entries in by_shard.items():
        watermark = published.get(shard)
        yield shard, len(entries), watermark.epoch if watermark else -1, watermark.seq if watermark else 0


async def lost_moves(connection: Connection, moves: Sequence[OffsetMove]) -> list[OffsetMove]:
    """Which of these moves the fence refuses."""
    lost = []
    for move in moves:
        at = await position(connection, move.topic, move.partition)
        if (at.epoch, at.at) != (move.epoch, move.first):
            lost.append(move)
    return lost


async def _insert_connectors(connection: Connection, new: Sequence[Changed]) -> dict[ConnectorId, int]:
    if not new:
        return {}
    rows = [(n.after.id, n.shard, *values_of(n.after)) for n in new]
    inserted = await connection.fetch(INSERT_CONNECTORS, *zip(*sorted(rows), strict=True))
    if len(inserted) != len(new):
        raise Conflict
    return {ConnectorId(row["connector_id"]): row["id"] for row in inserted}


async def _insert_notes(connection: Connection, batch: Batch, pks: dict[ConnectorId, int]) -> None:
    if not batch.notes:
        return
    rows = (
        (n.at, pks[n.connector], n.outcome, n.trigger, n.why, n.reason, n.attempt_id, n.actor, n.evidence, n.cause)
        for n in batch.notes
    )
    await connection.execute(INSERT_NOTES, *zip(*rows, strict=True))


async def _insert_dead_letter(connection: Connection, d: DeadLetter) -> None:
    names, values = [name.encode() for name, _ in d.headers], [value for _, value in d.headers]
    where = (d.shard, d.seq, d.at, d.topic, d.partition, d.offset)
    await connection.execute(INSERT_DEAD_LETTER, *where, d.key, d.value, names, values, d.code, d.detail)
