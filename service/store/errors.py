"""What providers answered: from the tally where transitions hold it, from the notes where it passed by itself."""

import asyncpg

from schemas.ids import ProviderId, TenantId
from service.store import sums
from service.store.fleet import Stretch
from service.store.pool import Connection

# Whole hours from the tally, of all tenants from its sums where they are made. Its edges are read from the log, as far
# as that is counted, and from the notes; of these the newest, too. Indexes transition_at and note_at.
_ERRORS = """
select provider, place, status, code, reason, sum(times)::bigint as number, min(first_at) as first_at,
    max(last_at) as last_at, max(nullif(request_id, '')) as request_id
from (
    select provider, place, nullif(status, 0) as status, nullif(code, '') as code, nullif(reason, '') as reason, times,
        first_at, last_at, request_id
    from {whole_hours}
    union all
    select c.provider, e.evidence ->> 'at', nullif((e.evidence ->> 'status')::int, 0),
        nullif(e.evidence ->> 'code', ''), e.reason, 1, e.at, e.at, e.evidence ->> 'request_id'
    from (
        select t.connector, t.at, t.reason, t.record::json -> 'evidence' as evidence
        from transition t join tally on tally.shard = t.shard
        where (t.at >= $3 and t.at < $4 or t.at >= $5 and t.at < $6) and t.seq <= tally.seq
        union all
        select n.connector, n.at, n.reason, n.evidence
        from note n cross join (select coalesce(max(until), '-infinity') as until from tally_notes) counted
        where (n.at >= $3 and n.at < $4 or n.at >= $5 and n.at < $6) and n.at <= counted.until
          and n.evidence is not null
        union all
        select n.connector, n.at, n.reason, n.evidence from note n
        where n.at > (select max(until) from tally_notes) and n.at >= $7 and n.at < $8 and n.evidence is not null
    ) e
    join connector c on c.id = e.connector
    where json_typeof(e.evidence) = 'object' and ($9::text is null or c.tenant_id = $9)
) part
where ($10::text is null or provider = $10)
group by provider, place, status, code, reason order by number desc, provider, place, status, code, reason
"""
ERRORS = _ERRORS.format(
    whole_hours="tally_error where hour >= $1 and hour < $2 and ($9::text is null or tenant_id = $9)"
)
ERRORS_OF_ALL = _ERRORS.format(whole_hours="tally_error_of_all where hour >= $1 and hour < $2")


async def errors(
    connection: Connection, within: Stretch, provider: ProviderId | None, tenant: TenantId | None
) -> list[asyncpg.Record]:
    """How often each kind of answer came, the most frequent first."""
    statement = ERRORS_OF_ALL if tenant is None and await sums.are_made(connection) else ERRORS
    return await connection.fetch(statement, *within.cut(), within.since, within.until, tenant, provider)
