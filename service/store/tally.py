"""The tally: what is counted from the log, a shard's numbers in order, and how far. Its own writer, one at a time.

Counting never locks the log or a connector. Whoever counts holds the lock of the tally for a chunk's transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from service.store.pool import Connection

_LOCK = 0x74_616C_6C79  # "tally"
LOCK = "select pg_advisory_xact_lock($1)"

# How far each shard's log goes, and how far it is counted. What is visible of a log has everything before it visible.
POSITIONS = """
select s.shard, s.next_seq - 1 as logged, coalesce(t.seq, 0) as counted
from shard s left join tally t on t.shard = s.shard order by s.shard
"""

# The next part of a shard's log (the index that begins with shard and seq). When a code was sent its attempt tells.
CHUNK = """
select t.seq, t.at, t.connector, t.version, t.from_state, t.to_state, t.trigger, t.reason, t.step, t.attempt_id,
    t.record, a.exchange_begun_at
from transition t left join attempt a on t.trigger = 'verified' and a.attempt_id = t.attempt_id
where t.shard = $1 and t.seq > $2 and t.seq <= $3 order by t.seq limit $4
"""

# The reasons that connectors had after these versions. Index transition_connector.
REASONS = """
select t.connector, t.version, t.record::json -> 'connector' ->> 'reason' as reason
from unnest($1::bigint[], $2::bigint[]) as wanted (connector, version)
join transition t on t.connector = wanted.connector and t.version = wanted.version
"""

# The newest attempt of each of these connectors, by the primary key.
NEWEST = """
select newest.* from unnest($1::bigint[]) as wanted (connector)
cross join lateral (
    select * from tally_attempt t where t.connector = wanted.connector order by t.version desc limit 1
) newest
"""

# Notes have no number, only their batch's instant; it is stored within a minute, else not at all (the statements' own
# limits). So what is older is there, and is counted by its time. Index note_at.
NOTES_FROM = "select until from tally_notes"
NOTES_UNTIL = "select now() - interval '1 minute'"
# `$3`: to the sums (service/store/sums.py), too.
COUNT_NOTES = """
with noted as (
    select date_trunc('hour', n.at) as hour, c.tenant_id, c.provider, n.evidence ->> 'at' as place,
        coalesce((n.evidence ->> 'status')::int, 0) as status, coalesce(n.evidence ->> 'code', '') as code,
        coalesce(n.reason, '') as reason, count(*) as times, min(n.at) as first_at, max(n.at) as last_at,
        max(n.evidence ->> 'request_id') as request_id
    from note n join connector c on c.id = n.connector
    where n.at > $1 and n.at <= $2 and n.evidence is not null group by 1, 2, 3, 4, 5, 6, 7
),
of_all as (
    insert into tally_error_of_all as a
    select hour, provider, place, status, code, reason, sum(times), min(first_at), max(last_at), max(request_id)
    from noted where $3 group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
    on conflict (hour, provider, place, status, code, reason)
    do update set times = a.times + excluded.times, first_at = least(a.first_at, excluded.first_at),
        last_at = greatest(a.last_at, excluded.last_at), request_id = coalesce(excluded.request_id, a.request_id)
)
insert into tally_error as e select * from noted order by 1, 2, 3, 4, 5, 6, 7
on conflict (hour, tenant_id, provider, place, status, code, reason)
do update set times = e.times + excluded.times, first_at = least(e.first_at, excluded.first_at),
    last_at = greatest(e.last_at, excluded.last_at), request_id = coalesce(excluded.request_id, e.request_id)
"""
# How far is counted; and how far the sums are, where they were added to.
MOVE_NOTES = """
insert into tally_notes (until, summed_until) values ($1, case when $2 then $1::timestamptz end)
on conflict (only_one) do update set until = excluded.until,
    summed_until = coalesce(excluded.summed_until, tally_notes.summed_until)
"""
MOVE = """
insert into tally (shard, seq, summed_seq) values ($1, $2, case when $3 then $2::bigint end)
on conflict (shard) do update set seq = excluded.seq, summed_seq = coalesce(excluded.summed_seq, tally.summed_seq)
"""

ADD_HOURS = """
insert into tally_hour as h (hour, provider, from_state, from_reason, to_state, to_reason, times, failures)
select * from unnest(
    $1::timestamptz[], $2::text[], $3::text[]::connector_state[], $4::text[], $5::text[]::connector_state[], $6::text[],
    $7::bigint[], $8::bigint[]
)
on conflict (hour, provider, from_state, from_reason, to_state, to_reason)
do update set times = h.times + excluded.times, failures = h.failures + excluded.failures
"""

ADD_ERRORS = """
insert into tally_error as e (
    hour, tenant_id, provider, place, status, code, reason, times, first_at, last_at, request_id
)
select * from unnest(
    $1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::bigint[],
    $9::timestamptz[], $10::timestamptz[], $11::text[]
)
on conflict (hour, tenant_id, provider, place, status, code, reason)
do update set times = e.times + excluded.times, first_at = least(e.first_at, excluded.first_at),
    last_at = greatest(e.last_at, excluded.last_at), request_id = coalesce(excluded.request_id, e.request_id)
"""

PUT_ATTEMPTS = """
insert into tally_attempt as a (
    connector, version, attempt_id, tenant_id, provider, opened_at, generation, failed_at, try, helped, step,
    returned_at, sent_at, saved_at, ended_at, ending, reason
)
select * from unnest(
    $1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::int[], $8::timestamptz[],
    $9::int[], $10::boolean[], $11::smallint[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
    $15::timestamptz[], $16::text[], $17::text[]
)
on conflict (connector, version) do update set
    helped = excluded.helped, step = excluded.step, returned_at = excluded.returned_at, sent_at = excluded.sent_at,
    saved_at = excluded.saved_at, ended_at = excluded.ended_at, ending = excluded.ending, reason = excluded.reason
"""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a shard's log goes, and how far it is counted."""

    shard: int
    logged: int
    counted: int


@dataclass(slots=True, kw_only=True)
class Tried:
    """An attempt as the log tells it; the columns of `tally_attempt`, in their order."""

    connector: int
    version: int
    attempt_id: UUID
    tenant_id: str
    provider: str
    opened_at: datetime
    generation: int
    failed_at: datetime | None
    try_: int
    helped: bool
    step: int
    returned_at: datetime | None = None
    sent_at: datetime | None = None
    saved_at: datetime | None = None
    ended_at: datetime | None = None
    ending: str | None = None
    reason: str | None = None

    def row(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)


HourKey = tuple[datetime, str, str, str, str, str]
"""Hour, provider, state and reason before, state and reason after."""
ErrorKey = tuple[datetime, str, str, str, int, str, str]
"""Hour, tenant, provider, place, status, code, reason."""


@dataclass(slots=True)
class Seen:
    """How often an error came in an hour, and when."""

    times: int
    first: datetime
    last: datetime
    request_id: str | None


async def lock(connection: Connection) -> None:
    """Waits until nobody else counts; held to the end of the transaction."""
    await connection.execute(LOCK, _LOCK)


async def positions(connection: Connection) -> list[Position]:
    """Of every shard."""
    return [Position(*row) for row in await connection.fetch(POSITIONS)]


async def chunk(connection: Connection, at: Position, limit: int) -> list[asyncpg.Record]:
    """The next transitions that aren't counted, at most `limit`."""
    return await connection.fetch(CHUNK, at.shard, at.counted, at.logged, limit)


async def reasons_before(
    connection: Connection, firsts: Collection[tuple[int, int]]
) -> dict[tuple[int, int], str | None]:
    """The reasons that connectors had before these versions; those whose log no longer goes so far are left out."""
    pks, versions = [pk for pk, _ in firsts], [version - 1 for _, version in firsts]
    rows = await connection.fetch(REASONS, pks, versions)
    return {(row["connector"], row["version"] + 1): row["reason"] for row in rows}


async def newest_tries(connection: Connection, connectors: Collection[int]) -> dict[int, Tried]:
    """The newest attempt of each of these connectors that has one."""
    return {
        row["connector"]: Tried(**{("try_" if name == "try" else name): value for name, value in row.items()})
        for row in await connection.fetch(NEWEST, list(connectors))
    }


async def add(
    connection: Connection,
    hours: dict[HourKey, tuple[int, int]],
    errors: dict[ErrorKey, Seen],
    tries: Sequence[Tried],
) -> None:
    """Adds what a chunk told."""
    if hours:
        await connection.execute(ADD_HOURS, *zip(*((*key, *counts) for key, counts in hours.items()), strict=True))
    if errors:
        rows = ((*key, seen.times, seen.first, seen.last, seen.request_id) for key, seen in errors.items())
        await connection.execute(ADD_ERRORS, *zip(*rows, strict=True))
    if tries:
        await connection.execute(PUT_ATTEMPTS, *zip(*(tried.row() for tried in tries), strict=True))


async def move(connection: Connection, shard: int, seq: int, summed: bool) -> None:
    """The shard's log is counted up to `seq`, and `summed` up to there, or not."""
    await connection.execute(MOVE, shard, seq, summed)


async def count_notes(connection: Connection, begin: datetime, at_most: timedelta, summed: bool) -> bool:
    """Counts the notes of the next stretch of time, from `begin` on where none was counted; whether that was all.

    To be called inside the transaction that holds the lock. `summed`: the sums get them, too.
    """
    since: datetime = await connection.fetchval(NOTES_FROM) or begin
    settled: datetime = await connection.fetchval(NOTES_UNTIL)
    until = min(settled, since + at_most)
    if until > since:
        await connection.execute(COUNT_NOTES, since, until, summed)
        await connection.execute(MOVE_NOTES, until, summed)
    return until >= settled
