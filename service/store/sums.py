"""Sums of the tally, kept as it is counted: how connectors stand, how long attempts took, errors of all tenants.

An answer about the whole fleet reads a few rows of these, however many connectors, attempts and tenants there are.
Whoever counts adds to them in the same transaction. Where somebody counted who doesn't know them (a former version), or
the tally was emptied, their position differs from the tally's: then nobody reads them, and they are made again.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from service.store.pool import Connection
from service.store.tally import ErrorKey, HourKey, Seen, Tried

StandingKey: TypeAlias = tuple[str, str, str]
"""Provider, state, reason."""

# Whether the sums hold all that is counted. Under the tally's lock, or in one snapshot with what is read of them.
MADE = """
select not exists (
    select from shard s left join tally t on t.shard = s.shard
    where t.seq is null or t.summed_seq is distinct from t.seq
) and not exists (select from tally_notes where summed_until is distinct from until)
"""

ADD_STANDING = """
insert into tally_standing as s (provider, state, reason, number)
select * from unnest($1::text[], $2::text[]::connector_state[], $3::text[], $4::bigint[])
on conflict (provider, state, reason) do update set number = s.number + excluded.number
"""

ADD_ERRORS = """
insert into tally_error_of_all as e (
    hour, provider, place, status, code, reason, times, first_at, last_at, request_id
)
select * from unnest(
    $1::timestamptz[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[],
    $9::timestamptz[], $10::text[]
)
on conflict (hour, provider, place, status, code, reason)
do update set times = e.times + excluded.times, first_at = least(e.first_at, excluded.first_at),
    last_at = greatest(e.last_at, excluded.last_at), request_id = coalesce(excluded.request_id, e.request_id)
"""

# An attempt's parts. A failure is of the host's clock: one in the future took no time. Each doubling of a time is cut
# into 16 buckets, from a millisecond on; the first holds what took less.
PARTS = """
cross join lateral (values
    ('whole', a.ended_at - coalesce(a.failed_at, a.opened_at)),
    ('owner', a.returned_at - coalesce(a.failed_at, a.opened_at)),
    ('regrant', coalesce(a.sent_at, a.returned_at) - a.returned_at),
    ('provider_took', a.saved_at - coalesce(a.sent_at, a.returned_at)),
    ('host', a.ended_at - a.saved_at)
) span (part, took)
cross join lateral (select greatest(round(date_part('epoch', span.took) * 1000000), 0)::bigint as us) p
"""
BUCKET = "case when p.us < 1000 then 0 else 1 + floor(16 * ln(p.us / 1000.0::float8) / ln(2::float8))::int end"
ALONE = "a.try <= 2 and not a.helped"

_TOOK = f"""
insert into tally_took as t (day, provider, part, bucket, times, alone, took_us)
select date_trunc('day', a.ended_at, 'UTC'), a.provider, span.part, {BUCKET}, count(*),
    count(*) filter (where {ALONE}), sum(p.us)
from tally_attempt a {PARTS}
"""  # noqa: S608 - as all here, built from this module's own constants
_TOOK_ADDED = """
group by 1, 2, 3, 4 order by 1, 2, 3, 4
on conflict (day, provider, part, bucket)
do update set times = t.times + excluded.times, alone = t.alone + excluded.alone, took_us = t.took_us + excluded.took_us
"""
# Of attempts that have just ended, by the primary key.
ADD_TOOK = f"""
{_TOOK} join unnest($1::bigint[], $2::bigint[]) as ended (connector, version)
    on a.connector = ended.connector and a.version = ended.version
{_TOOK_ADDED}
"""

# What is logged and isn't counted yet, by the state and reason before and after (transition's primary key). One by one,
# since they are few: what isn't counted yet can't be estimated.
PENDING = """
select c.provider, t.from_state, p.record::json -> 'connector' ->> 'reason' as from_reason, t.to_state,
    t.record::json -> 'connector' ->> 'reason' as to_reason, t.at
from shard s left join tally on tally.shard = s.shard
cross join lateral (
    select * from transition t
    where t.shard = s.shard and t.seq > coalesce(tally.seq, 0) and t.seq < s.next_seq offset 0
) t
cross join lateral (select provider from connector where id = t.connector offset 0) c
left join lateral (
    select record from transition where connector = t.connector and version = t.version - 1 offset 0
) p on true
where s.next_seq - 1 > coalesce(tally.seq, 0)  -- so that no shard is looked at that is counted
"""

# How all stand: what is counted, and what isn't yet on top.
STANDING = f"""
select provider, state, nullif(reason, '') as reason, sum(number)::bigint as number
from (
    select provider, state, reason, number from tally_standing
    union all
    select m.provider, m.state, coalesce(m.reason, ''), m.number
    from ({PENDING}) moved
    cross join lateral (values
        (provider, from_state, from_reason, -1), (provider, to_state, to_reason, 1)
    ) m (provider, state, reason, number)
) part
where state not in ('absent', 'deleted')
group by 1, 2, 3 having sum(number) <> 0
"""  # noqa: S608

# From nothing, under the tally's lock. Connectors as they stand, with what isn't counted yet taken back: one statement,
# so that both are of one moment.
_EMPTIED = "delete from tally_standing", "delete from tally_took", "delete from tally_error_of_all"
MAKE_STANDING = f"""
insert into tally_standing (provider, state, reason, number)
select provider, state, coalesce(reason, ''), sum(number) from (
    select provider, state, reason, count(*) as number from connector group by 1, 2, 3
    union all
    select m.provider, m.state, m.reason, m.number
    from ({PENDING}) moved
    cross join lateral (values
        (provider, from_state, from_reason, 1), (provider, to_state, to_reason, -1)
    ) m (provider, state, reason, number)
) part
where state <> 'absent' group by 1, 2, 3
"""  # noqa: S608
MAKE_TOOK = f"{_TOOK} where a.ending = 'connected' {_TOOK_ADDED}"
MAKE_ERRORS = """
insert into tally_error_of_all
select hour, provider, place, status, code, reason, sum(times), min(first_at), max(last_at), max(request_id)
from tally_error group by 1, 2, 3, 4, 5, 6
"""
MAKING_S = 600
MAY_TAKE = f"set local statement_timeout = '{MAKING_S}s'"
_POSITIONS = (
    "insert into tally (shard, seq) select shard, 0 from shard on conflict (shard) do nothing",
    "update tally set summed_seq = seq",
    "update tally_notes set summed_until = until",
)


async def are_made(connection: Connection) -> bool:
    """Whether the sums hold all that is counted."""
    return bool(await connection.fetchval(MADE))


async def add(
    connection: Connection,
    hours: Mapping[HourKey, tuple[int, int]],
    errors: Mapping[ErrorKey, Seen],
    ended: Sequence[Tried],
) -> None:
    """Adds what a chunk told, once the tally has it. `ended`: with data flowing."""
    if standing := moved(hours):
        await connection.execute(ADD_STANDING, *zip(*((*key, n) for key, n in standing.items()), strict=True))
    if of_all := of_all_tenants(errors):
        rows = ((*key, seen.times, seen.first, seen.last, seen.request_id) for key, seen in of_all.items())
        await connection.execute(ADD_ERRORS, *zip(*rows, strict=True))
    if ended:
        await connection.execute(ADD_TOOK, [one.connector for one in ended], [one.version for one in ended])


def moved(hours: Mapping[HourKey, tuple[int, int]]) -> dict[StandingKey, int]:
    """By how much the numbers of connectors in each state changed. What wasn't there before isn't anywhere."""
    standing: dict[StandingKey, int] = {}
    for (_, provider, source, before, to, after), (times, _) in hours.items():
        for state, reason, number in ((source, before, -times), (to, after, times)):
            if state != "absent":
                key = provider, state, reason
                standing[key] = standing.get(key, 0) + number
    return {key: number for key, number in sorted(standing.items()) if number}


def of_all_tenants(errors: Mapping[ErrorKey, Seen]) -> dict[tuple[object, ...], Seen]:
    """The same, without whose they are."""
    found: dict[tuple[object, ...], Seen] = {}
    for (hour, _, *what), seen in errors.items():
        known = found.setdefault((hour, *what), Seen(0, seen.first, seen.last, seen.request_id))
        known.times += seen.times
        known.first, known.last = min(known.first, seen.first), max(known.last, seen.last)
        known.request_id = known.request_id or seen.request_id
    return found


async def make(connection: Connection) -> None:
    """Makes them from nothing. To be called inside the transaction that holds the tally's lock."""
    await connection.execute(MAY_TAKE)
    for statement in (*_EMPTIED, MAKE_STANDING, MAKE_TOOK, MAKE_ERRORS, *_POSITIONS):
        await connection.execute(statement, timeout=MAKING_S)
