"""Many connectors at once, as they stand, as they stood, and what moved: for people who look after all of them.

What is read together is read in one snapshot (`snapshot`): the connectors, the log and the tally tell of one moment.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from schemas.ids import TenantId
from service.store import sums
from service.store.pool import Connection
from service.store.retention import begin_of

# Of one tenant (index connector_tenant), or of all where the sums aren't made: that reads each connector once.
STATES = """
select provider, state, reason, count(*) as number from connector
where state <> 'deleted' and ($1::text is null or tenant_id = $1) group by provider, state, reason
"""

# A tenant's connectors as they stood: the last transition of each up to then. Index transition_connector.
STATES_OF_TENANT_THEN = """
select c.provider, t.to_state as state, t.record::json -> 'connector' ->> 'reason' as reason, count(*) as number
from connector c
cross join lateral (
    select to_state, record from transition t
    where t.connector = c.id and t.at <= $2 order by t.version desc limit 1
) t
where c.tenant_id = $1 and t.to_state <> 'deleted' group by 1, 2, 3
"""

# What led from then to now, by the state and reason before and after. Whole hours are in the tally; the begun one, and
# what isn't counted yet, are looked up in the log (indexes transition_at and transition's primary key).
MOVES_SINCE = """
select provider, from_state, nullif(from_reason, '') as from_reason, to_state, nullif(to_reason, '') as to_reason,
    sum(times)::bigint as number
from tally_hour where hour >= $2 group by 1, 2, 3, 4, 5
union all
select c.provider, t.from_state, p.record::json -> 'connector' ->> 'reason', t.to_state,
    t.record::json -> 'connector' ->> 'reason', count(*)
from (
    select t.* from transition t join tally on tally.shard = t.shard
    where t.at > $1 and t.at < $2 and t.seq <= tally.seq
    union all
    select t.* from shard s left join tally on tally.shard = s.shard
    cross join lateral (
        select * from transition t
        where t.shard = s.shard and t.seq > coalesce(tally.seq, 0) and t.seq < s.next_seq and t.at > $1 offset 0
    ) t
    where s.next_seq - 1 > coalesce(tally.seq, 0)  -- so that no shard is looked at that is counted
) t
-- One by one, since they are few: what isn't counted yet can't be estimated.
cross join lateral (select provider from connector where id = t.connector offset 0) c
left join lateral (
    select record from transition where connector = t.connector and version = t.version - 1 offset 0
) p on true
group by 1, 2, 3, 4, 5
"""

# Arrows in a time: whole hours from the tally, its edges from the log as far as that is counted. Index transition_at.
ARROWS = """
select from_state, to_state, sum(number)::bigint as number from (
    select from_state, to_state, sum(times) as number from tally_hour where hour >= $1 and hour < $2 group by 1, 2
    union all
    select t.from_state, t.to_state, count(*) from transition t join tally on tally.shard = t.shard
    where (t.at >= $3 and t.at < $4 or t.at >= $5 and t.at < $6) and t.seq <= tally.seq group by 1, 2
) part group by 1, 2
"""
# The same of one tenant's connectors. Index transition_connector.
ARROWS_OF_TENANT = """
select t.from_state, t.to_state, count(*) as number from connector c
join transition t on t.connector = c.id and t.at >= $2 and t.at < $3
where c.tenant_id = $1 group by 1, 2
"""

# Failures in a time, by provider; as the arrows.
FAILURES = """
select provider, sum(number)::bigint as number from (
    select provider, sum(failures) as number from tally_hour where hour >= $1 and hour < $2 group by 1
    union all
    select c.provider, count(*) from transition t
    join tally on tally.shard = t.shard join connector c on c.id = t.connector
    where (t.at >= $3 and t.at < $4 or t.at >= $5 and t.at < $6) and t.seq <= tally.seq and t.step = 'failure_seen'
    group by 1
) part group by 1
"""
FAILURES_OF_TENANT = """
select c.provider, count(*) as number from connector c
join transition t on t.connector = c.id and t.at >= $2 and t.at < $3 and t.step = 'failure_seen'
where c.tenant_id = $1 group by 1
"""

# The first of the months that the log still has.
OLDEST_MONTH = """
select min(c.relname) from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'transition'::regclass
"""


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time, to be cut into whole hours or days (UTC) and the two begun ones at its edges."""

    since: datetime
    until: datetime

    def cut(self, unit: timedelta = HOUR) -> tuple[datetime, ...]:
        """Whole ones from, to; first edge from, to; last edge from, to. Each up to its end, which isn't in it."""
        first, last = _next(self.since, unit), self.until - (self.until - _EPOCH) % unit
        if first >= last:
            return self.until, self.until, self.since, self.until, self.until, self.until
        return first, last, self.since, first, last, self.until


def _next(at: datetime, unit: timedelta) -> datetime:
    """The first whole one from then on."""
    return at + (_EPOCH - at) % unit


@asynccontextmanager
async def snapshot(connection: Connection) -> AsyncIterator[datetime]:
    """One moment for everything that is read inside; gives the database's time."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        yield await connection.fetchval("select now()")


async def states(connection: Connection, tenant: TenantId | None, counted: bool) -> list[asyncpg.Record]:
    """How many connectors there are by provider, state and reason. `counted`: next to nothing is left to be counted."""
    if tenant is None and counted and await sums.are_made(connection):
        return await connection.fetch(sums.STANDING)
    return await connection.fetch(STATES, tenant)


async def states_of_tenant_then(connection: Connection, tenant: TenantId, then: datetime) -> list[asyncpg.Record]:
    """The same as it was at an instant."""
    return await connection.fetch(STATES_OF_TENANT_THEN, tenant, then)


async def moves_since(connection: Connection, then: datetime) -> list[asyncpg.Record]:
    """Everything that was logged after an instant, added up: what has to be undone to be back there."""
    return await connection.fetch(MOVES_SINCE, then, _next(then, HOUR))


async def arrows(connection: Connection, tenant: TenantId | None, within: Stretch) -> list[asyncpg.Record]:
    """How often connectors went from one state to another."""
    if tenant is not None:
        return await connection.fetch(ARROWS_OF_TENANT, tenant, within.since, within.until)
    return await connection.fetch(ARROWS, *within.cut())


async def failures(connection: Connection, tenant: TenantId | None, within: Stretch) -> dict[str, int]:
    """How often a failure was told of, by provider."""
    if tenant is not None:
        rows: Sequence[asyncpg.Record] = await connection.fetch(FAILURES_OF_TENANT, tenant, within.since, within.until)
    else:
        rows = await connection.fetch(FAILURES, *within.cut())
    return {row["provider"]: row["number"] for row in rows}


async def log_begins(connection: Connection) -> datetime:
    """How far back the log is kept: before that nothing can be told."""
    return begin_of(await connection.fetchval(OLDEST_MONTH))
