"""Hints that an account was disconnected at its provider: each makes a job that asks the provider, once a minute."""

from datetime import timedelta

from schemas.ids import ProviderId
from service.store.pool import Connection

# Of a flood of hints about an account, one a minute counts, over all replicas: the row that is updated is locked.
# A grant that several connectors hold is probed once, and its verdict reaches each. Nothing is kept about accounts that
# nobody here is connected to: forged ones leave nothing. Index connector_account.
WANT = """
with believed as (
    select min(c.id) as id
    from connector c left join credential k on k.connector = c.id and k.status = 'current'
    where c.provider = $1 and c.account_id = $2 and (c.state in ('healthy', 'syncing') or c.fallback = 'healthy')
    group by coalesce(k.grant_id::text, c.connector_id)
),
counted as (
    insert into probe (provider, account_id, asked_at)
    select $1, $2, now() where exists (select from believed)
    on conflict (provider, account_id) do update set asked_at = now() where probe.asked_at <= now() - $3::interval
    returning asked_at
)
insert into job (kind, connector, run_at) select 'probe', b.id, c.asked_at from believed b, counted c
"""


async def want(connection: Connection, provider: ProviderId, account: str, every: timedelta) -> bool:
    """Has the account's grants probed, unless they were during the time `every`; whether it was so."""
    made: str = await connection.execute(WANT, provider, account, every)
    return made != "INSERT 0 0"
