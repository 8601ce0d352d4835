"""What is only read: connectors and their history for callers of one tenant, known ends for operators."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from schemas.ids import ConnectorId, ProviderId, TenantId
from schemas.lifecycle import State
from service.store.pool import Connection
from service.store.rows import connector_of
from statemachine.connector import Connector

CONNECTOR = "select * from connector where connector_id = $1 and tenant_id = $2"

# When the current credentials of some connectors end. Index credential_current.
ENDS = """
select c.connector_id, k.ends_at, k.ends_estimated, k.refresh_expires_at, k.hard_expires_at, k.hard_estimated,
    k.announced_end
from credential k join connector c on c.id = k.connector
where c.connector_id = any($1::text[]) and k.status = 'current'
"""

# A page in the order of ids, which stay where ends move: no page misses or repeats one. Index connector_tenant, and
# credential_current for each that is looked at.
CONNECTORS = """
select * from connector c
where tenant_id = $1 and connector_id > $2 and state <> 'deleted'
  and ($3::text is null or state::text = $3) and ($4::text is null or provider = $4)
  and ($5::timestamptz is null or exists (
    select from credential k where k.connector = c.id and k.status = 'current' and k.ends_at < $5
  ))
order by connector_id limit $6
"""

# The nearest known ends, of all tenants or of one. Index credential_ends.
ENDINGS = """
select c.tenant_id, c.connector_id, c.provider, c.state, k.ends_at, k.ends_estimated, c.warned
from credential k join connector c on c.id = k.connector
where k.ends_at < now() + $1::interval and ($3::text is null or c.tenant_id = $3)
order by k.ends_at, k.id limit $2
"""

# Transitions and notes, newest first. Notes of one batch are of one instant and have no number: a page has all of them.
# Indexes transition_connector and note_connector.
HISTORY = """
select * from (
    select t.at, 'transition' as outcome, t.trigger::text, t.version, t.from_state::text, t.to_state::text, t.reason,
        null::text as why, t.step, t.record::json -> 'actor' as actor, t.attempt_id,
        t.record::json -> 'expected_account' as expected, t.record::json -> 'seen_account' as seen,
        t.record::json -> 'evidence' as evidence, t.trace ->> 'correlationid' as correlation, t.version as place
    from transition t where t.connector = $1
    union all
    select n.at, n.outcome, n.trigger::text, null, null, null, n.reason, n.why, null, n.actor, n.attempt_id,
        null, null, n.evidence, null, 0
    from note n where n.connector = $1
) entry
where (at, place) < ($2, $3) order by at desc, place desc fetch first $4 rows with ties
"""

REACHABLE = "select 1"


@dataclass(frozen=True, slots=True)
class Ends:
    """When a credential ends, as far as it is known ahead."""

    at: datetime | None
    """The nearest of the others."""
    estimated: bool
    idle: datetime | None
    hard: datetime | None
    hard_estimated: bool
    announced: datetime | None


@dataclass(frozen=True, slots=True)
class NearEnd:
    """A connector whose credential has a known end."""

    tenant: TenantId
    connector: ConnectorId
    provider: ProviderId
    state: State
    ends_at: datetime
    estimated: bool
    """Whether the provider told no such end."""
    warned: datetime | None
    """When the last warning of it had been due; `None` where none was given."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and where the next page starts, if there is one."""

    rows: list[asyncpg.Record]
    more: bool


async def connector(connection: Connection, id_: ConnectorId, tenant: TenantId) -> tuple[int, Connector] | None:
    """The connector with its internal key; `None` when the tenant has none of that id."""
    row = await connection.fetchrow(CONNECTOR, id_, tenant)
    return (row["id"], connector_of(row)) if row else None


IS_KNOWN = "select exists (select from connector where connector_id = $1)"


async def is_known(connection: Connection, id_: str) -> bool:
    """Whether any tenant has, or had, a connector of that id."""
    return bool(await connection.fetchval(IS_KNOWN, id_))


async def connectors(
    connection: Connection,
    tenant: TenantId,
    after: str,
    state: str | None,
    provider: str | None,
    ending_before: datetime | None,
    limit: int,
) -> tuple[list[Connector], bool]:
    """A page of a tenant's connectors after an id, and whether there are more. `None`: whatever it is."""
    rows = await connection.fetch(CONNECTORS, tenant, after, state, provider, ending_before, limit + 1)
    return [connector_of(row) for row in rows[:limit]], len(rows) > limit


async def ends(connection: Connection, connectors: Collection[ConnectorId]) -> dict[ConnectorId, Ends]:
    """When the current credentials of these connectors end; those without one are left out."""
    return {
        ConnectorId(row["connector_id"]): Ends(
            row["ends_at"],
            row["ends_estimated"],
            row["refresh_expires_at"],
            row["hard_expires_at"],
            row["hard_estimated"],
            row["announced_end"],
        )
        for row in await connection.fetch(ENDS, list(connectors))
    }


async def endings(
    connection: Connection, within: timedelta, limit: int, tenant: TenantId | None = None
) -> list[NearEnd]:
    """Whose credentials end within that time, or have ended, the nearest first: of a tenant, or (`None`) of all."""
    return [
        NearEnd(
            TenantId(row["tenant_id"]),
            ConnectorId(row["connector_id"]),
            ProviderId(row["provider"]),
            State(row["state"]),
            row["ends_at"],
            row["ends_estimated"],
            row["warned"],
        )
        for row in await connection.fetch(ENDINGS, within, limit, tenant)
    ]


async def history(connection: Connection, pk: int, before: datetime, place: int, limit: int) -> Page:
    """A page of a connector's history, older than `before` (and, at that instant, than the place).

    It holds more than `limit` where the next page, which begins behind its last row's place, would leave some out.
    """
    rows = await connection.fetch(HISTORY, pk, before, place, limit + 1)
    end = limit
    while end < len(rows) and (rows[end]["at"], rows[end]["place"]) == (rows[end - 1]["at"], rows[end - 1]["place"]):
        end += 1
    return Page(rows[:end], len(rows) > limit)


async def reachable(connection: Connection) -> None:
    """Returns when the database answers."""
    await connection.execute(REACHABLE)
