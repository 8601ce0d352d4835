"""Attempts as the tally holds them: how far they came, how long they took."""

from datetime import datetime

import asyncpg

from schemas.ids import ProviderId, TenantId
from service.store import sums
from service.store.fleet import DAY, Stretch
from service.store.pool import Connection

# How far the attempts that were opened in a time came. Index tally_attempt_opened; of a tenant tally_attempt_tenant.
REACHED = """
select provider, step, ending, reason, count(*) as number, count(*) filter (where try = 1) as firsts
from tally_attempt where opened_at >= $1 and opened_at < $2 and ($3::text is null or provider = $3)
group by provider, step, ending, reason
"""
REACHED_OF_TENANT = """
select provider, step, ending, reason, count(*) as number, count(*) filter (where try = 1) as firsts
from tally_attempt where opened_at >= $1 and opened_at < $2 and ($3::text is null or provider = $3) and tenant_id = $4
group by provider, step, ending, reason
"""

# How long those took that ended with data flowing in a time, of each provider and (null) of all: whole days from the
# sums, their edges (or, where the sums aren't made, all of it) from the attempts, by index tally_attempt_connected. The
# median is the mean of its bucket, so at most 4.4 % off; means are exact.
_TIMES = f"""
with counted as (
    {{whole_days}}
    select a.provider, span.part, {sums.BUCKET} as bucket, count(*) as times,
        count(*) filter (where {sums.ALONE}) as alone, sum(p.us) as took_us
    from tally_attempt a {sums.PARTS}
    where a.ending = 'connected' and (a.ended_at >= $1 and a.ended_at < $2 or a.ended_at >= $3 and a.ended_at < $4)
      and ($5::text is null or a.provider = $5) {{of_tenant}}
    group by 1, 2, 3
),
bucket as (
    select provider, part, bucket, sum(times) as times, sum(alone) as alone, sum(took_us) as took_us,
        sum(sum(times)) over upwards as upto, sum(sum(times)) over (partition by provider, part) as total
    from counted group by grouping sets ((provider, part, bucket), (part, bucket))
    window upwards as (partition by provider, part order by bucket)
)
select provider, part, sum(times)::bigint as connected, sum(alone)::bigint as without_support,
    (sum(took_us) / sum(times) / 1e6)::float8 as mean,
    (sum(took_us / times) filter (where upto - times <= floor((total - 1) / 2) and upto > floor((total - 1) / 2))
        + sum(took_us / times) filter (where upto - times <= floor(total / 2) and upto > floor(total / 2))
    )::float8 / 2e6 as median
from bucket group by provider, part order by provider nulls first
"""  # noqa: S608 - built from the store's own constants
_WHOLE_DAYS = """
    select provider, part, bucket, times, alone, took_us from tally_took
    where day >= $6 and day < $7 and ($5::text is null or provider = $5)
    union all
"""
TIMES = _TIMES.format(whole_days=_WHOLE_DAYS, of_tenant="")
TIMES_OF_ATTEMPTS = _TIMES.format(whole_days="", of_tenant="")
# Of a tenant, by index tally_attempt_tenant.
TIMES_OF_TENANT = _TIMES.format(whole_days="", of_tenant="and a.tenant_id = $6")


async def reached(
    connection: Connection, since: datetime, until: datetime, provider: ProviderId | None, tenant: TenantId | None
) -> list[asyncpg.Record]:
    """How many attempts came as far as each step, and how they ended there."""
    if tenant is None:
        return await connection.fetch(REACHED, since, until, provider)
    return await connection.fetch(REACHED_OF_TENANT, since, until, provider, tenant)


async def times(
    connection: Connection, within: Stretch, provider: ProviderId | None, tenant: TenantId | None
) -> list[asyncpg.Record]:
    """How long each part of an attempt took, in seconds; the first rows are of all providers."""
    all_of_it = within.since, within.until, within.until, within.until
    if tenant is not None:
        return await connection.fetch(TIMES_OF_TENANT, *all_of_it, provider, tenant)
    if not await sums.are_made(connection):
        return await connection.fetch(TIMES_OF_ATTEMPTS, *all_of_it, provider)
    begin, end, *edges = within.cut(DAY)
    return await connection.fetch(TIMES, *edges, provider, begin, end)
