"""Attempts as the tally holds them: how far they came, how long they took."""

from datetime import datetime

import asyncpg

from schemas.ids import ProviderId, TenantId
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

# How long those took that ended with data flowing in a time, in seconds, of each provider and (null) of all. A failure
# is of the host's clock: one in the future took no time. Index tally_attempt_connected.
TIMES = """
with took as (
    select provider, try <= 2 and not helped as alone,
        greatest(extract(epoch from ended_at - coalesce(failed_at, opened_at)), 0)::float8 as whole,
        greatest(extract(epoch from returned_at - coalesce(failed_at, opened_at)), 0)::float8 as owner,
        extract(epoch from coalesce(sent_at, returned_at) - returned_at)::float8 as regrant,
        extract(epoch from saved_at - coalesce(sent_at, returned_at))::float8 as provider_took,
        extract(epoch from ended_at - saved_at)::float8 as host
    from tally_attempt
    where ending = 'connected' and ended_at >= $1 and ended_at < $2 and ($3::text is null or provider = $3)
      and ($4::text is null or tenant_id = $4)
)
select provider, count(*) as connected, count(*) filter (where alone) as without_support,
    avg(whole) as whole_mean, avg(owner) as owner_mean, avg(regrant) as regrant_mean,
    avg(provider_took) as provider_took_mean, avg(host) as host_mean,
    percentile_cont(0.5) within group (order by whole) as whole_median,
    percentile_cont(0.5) within group (order by owner) as owner_median,
    percentile_cont(0.5) within group (order by regrant) as regrant_median,
    percentile_cont(0.5) within group (order by provider_took) as provider_took_median,
    percentile_cont(0.5) within group (order by host) as host_median
from took group by grouping sets ((provider), ()) order by provider nulls first
"""


# Each median sorts: on disk that takes twice as long.
IN_MEMORY = "set local work_mem = '32MB'"


async def reached(
    connection: Connection, since: datetime, until: datetime, provider: ProviderId | None, tenant: TenantId | None
) -> list[asyncpg.Record]:
    """How many attempts came as far as each step, and how they ended there."""
    if tenant is None:
        return await connection.fetch(REACHED, since, until, provider)
    return await connection.fetch(REACHED_OF_TENANT, since, until, provider, tenant)


async def times(
    connection: Connection, since: datetime, until: datetime, provider: ProviderId | None, tenant: TenantId | None
) -> list[asyncpg.Record]:
    """How long attempts took; the first row is of all."""
    async with connection.transaction(readonly=True):
        await connection.execute(IN_MEMORY)
        return await connection.fetch(TIMES, since, until, provider, tenant)
