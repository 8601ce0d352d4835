"""What bounds the attempts of a tenant: how many were opened lately and are open, and clearing those long over."""

from dataclasses import dataclass
from datetime import timedelta

from schemas.ids import ConnectorId, TenantId
from service.store.pool import Connection

CLEARED_AT_ONCE = 1000

# What limits the opening of attempts: how many there were in the last minute, and how many of the tenant are open.
# Indexes attempt_connector, attempt_tenant and attempt_open.
OPENINGS = """
select
    (select count(*) from attempt a where a.connector = c.id and a.opened_at > now() - interval '1 minute')
        as of_connector,
    (select count(*) from attempt a where a.tenant_id = $1 and a.opened_at > now() - interval '1 minute') as of_tenant,
    (select count(*) from attempt a where a.tenant_id = $1 and a.ended_at is null) as open,
    c.attempt_id is not null as replaces_one
from (select 1) one left join connector c on c.connector_id = $2 and c.tenant_id = $1
"""

# What is over for long: its outcome stands in the history. A part at a time, so that nobody waits. Index attempt_ended.
CLEAR_ATTEMPTS = """
with over as (
    delete from attempt where attempt_id in (
        select attempt_id from attempt a where ended_at < now() - $1::interval
          and not exists (select from job j where j.attempt_id = a.attempt_id)
        limit $2
    ) returning attempt_id
), links as (delete from handoff where attempt_id in (select attempt_id from over))
select count(*) from over
"""


@dataclass(frozen=True, slots=True)
class Openings:
    """How many attempts there were in the last minute, and are open."""

    of_connector: int
    of_tenant: int
    open: int
    replaces_one: bool
    """Whether the connector has an open attempt, which a new one would void."""


async def openings(connection: Connection, tenant: TenantId, connector: ConnectorId) -> Openings:
    row = await connection.fetchrow(OPENINGS, tenant, connector)
    assert row is not None
    return Openings(row["of_connector"], row["of_tenant"], row["open"], row["replaces_one"])


async def clear_attempts(connection: Connection, kept: timedelta) -> int:
    """Removes attempts that ended longer ago than they are kept, with their links; returns how many."""
    cleared = 0
    while (part := await connection.fetchval(CLEAR_ATTEMPTS, kept, CLEARED_AT_ONCE)) > 0:
        cleared += part
    return cleared
