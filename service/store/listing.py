"""Connectors in lists over all tenants, as they stand and as they stood. Pages are in the order of ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.ids import ConnectorId, ProviderId, TenantId
from service.store.pool import Connection
from service.store.rows import connector_of
from statemachine.connector import Connector

_CHOSEN = """
    and ($2::text[] is null or state = any($2::text[]::connector_state[])) and ($3::text is null or provider = $3)
    and ($4::text[] is null or reason = any($4))
    and ($5::text[] is null or state <> 'failed' or coalesce(reason, '') = any($5))
    and ($6::text is null or position($6 in lower(concat_ws(' ', connector_id, name, account_id, account_name))) > 0)
order by connector_id limit $7
"""
# Of all tenants, in the order of the unique index on ids, up to a bound where there is one.
CONNECTORS = f"""
select * from connector
where connector_id > $1 and ($8::text is null or connector_id <= $8) and connector_id is distinct from $9
    and state <> 'deleted' {_CHOSEN}
"""  # noqa: S608
WITH_ID = "select * from connector where connector_id = $1 and state <> 'deleted'"
# The id that so many are up to, whatever became of them; by the same index alone. None where there are fewer.
BOUND = "select connector_id from connector where connector_id > $1 order by connector_id offset $2 limit 1"
# Of all tenants, where something is the matter: index connector_not_healthy.
NOT_HEALTHY = f"""
select * from connector where connector_id > $1 and state not in ('healthy', 'deleted') {_CHOSEN}
"""  # noqa: S608 - as all three, built from this module's own constants
# Of one tenant: index connector_tenant.
OF_TENANT = f"""
select * from connector where connector_id > $1 and state <> 'deleted' and tenant_id = $8 {_CHOSEN}
"""  # noqa: S608

# Those that went from one of these states to that one within the day before an instant. Of all tenants by the log's
# time (index transition_at), of one tenant by its connectors (indexes connector_tenant, transition_connector).
_WENT = """
t.at > coalesce($8, now()) - interval '1 day' and t.at <= coalesce($8, now())
    and ($9::text[] is null or t.from_state = any($9::text[]::connector_state[]))
    and ($10::text is null or t.to_state = $10::text::connector_state)
"""
MOVED = f"""
select connector.* from (select distinct t.connector from transition t where {_WENT}) went
join connector on connector.id = went.connector
where connector_id > $1 and state <> 'deleted' {_CHOSEN}
"""  # noqa: S608
MOVED_OF_TENANT = f"""
select * from connector where connector_id > $1 and state <> 'deleted' and tenant_id = $11
    and exists (select from transition t where t.connector = connector.id and {_WENT}) {_CHOSEN}
"""  # noqa: S608
# The same, of whatever became of them since.
_WENT_THEN = """
t.at > $3::timestamptz - interval '1 day' and t.at <= $3
    and ($4::text[] is null or t.from_state = any($4::text[]::connector_state[]))
    and ($5::text is null or t.to_state = $5::text::connector_state)
"""
MOVED_IDS = f"""
select c.id, c.connector_id from (select distinct t.connector from transition t where {_WENT_THEN}) went
join connector c on c.id = went.connector
where c.connector_id > $1 order by c.connector_id limit $2
"""  # noqa: S608
MOVED_IDS_OF_TENANT = f"""
select c.id, c.connector_id from connector c
where c.connector_id > $1 and c.tenant_id = $6
    and exists (select from transition t where t.connector = c.id and {_WENT_THEN})
order by c.connector_id limit $2
"""  # noqa: S608

# The next connectors, whatever became of them.
IDS = "select id, connector_id from connector where connector_id > $1 order by connector_id limit $2"
IDS_OF_TENANT = """
select id, connector_id from connector where connector_id > $1 and tenant_id = $3 order by connector_id limit $2
"""
# How these connectors stood: the last transition of each up to then. Index transition_connector.
STOOD = """
select t.record from unnest($1::bigint[]) as wanted (id)
cross join lateral (
    select to_state, record from transition t
    where t.connector = wanted.id and t.at <= $2 order by t.version desc limit 1
) t
where t.to_state <> 'deleted' and ($3::text[] is null or t.to_state::text = any($3))
"""
# One connector of a tenant, likewise.
ONE_STOOD = """
select t.to_state, t.record from connector c join transition t on t.connector = c.id
where c.connector_id = $1 and c.tenant_id = $2 and t.at <= $3 order by t.version desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """Which transitions connectors made within a day; `None`: whatever it is."""

    sources: Sequence[str] | None
    to: str | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which connectors are wanted; `None`: whatever it is."""

    tenant: TenantId | None = None
    states: Sequence[str] | None = None
    provider: ProviderId | None = None
    reasons: Sequence[str] | None = None
    failed_for: Sequence[str] | None = None
    """The reasons of those that are failed; the empty one is none."""
    text: str | None = None
    """In lower case."""
    but: ConnectorId | None = None
    """One that isn't wanted again."""
    moved: Moved | None = None
    """What they did within the last day."""

    @property
    def is_about_few(self) -> bool:
        return self.states is not None and "healthy" not in self.states

    @property
    def may_look_at_many(self) -> bool:
        """Whether connectors are passed over that no index leaves out."""
        narrow = self.text is not None or self.provider is not None or self.states is not None
        return narrow and self.tenant is None and self.moved is None and not self.is_about_few


async def with_id(connection: Connection, id_: str) -> Connector | None:
    """The connector of that id, whosever it is."""
    row = await connection.fetchrow(WITH_ID, id_)
    return connector_of(row) if row is not None else None


async def bound(connection: Connection, after: str, looked_at: int) -> str | None:
    """The last id that is looked at, where a page looks at so many connectors; `None`: at all that are left."""
    found: str | None = await connection.fetchval(BOUND, after, looked_at - 1)
    return found


async def connectors(
    connection: Connection, chosen: Chosen, after: str, until: str | None, limit: int
) -> tuple[list[Connector], bool]:
    """A page of connectors after an id (and up to one, of all tenants'), and whether there are more."""
    given = (after, chosen.states, chosen.provider, chosen.reasons, chosen.failed_for, chosen.text, limit + 1)
    if chosen.moved is not None:
        went = (None, chosen.moved.sources, chosen.moved.to)
        if chosen.tenant is not None:
            rows = await connection.fetch(MOVED_OF_TENANT, *given, *went, chosen.tenant)
        else:
            rows = await connection.fetch(MOVED, *given, *went)
    elif chosen.tenant is not None:
        rows = await connection.fetch(OF_TENANT, *given, chosen.tenant)
    elif chosen.is_about_few:
        rows = await connection.fetch(NOT_HEALTHY, *given)
    else:
        rows = await connection.fetch(CONNECTORS, *given, until, chosen.but)
    return [connector_of(row) for row in rows[:limit]], len(rows) > limit


async def next_ids(
    connection: Connection, tenant: TenantId | None, after: str, limit: int
) -> list[tuple[int, ConnectorId]]:
    """The internal keys and ids of the next connectors, deleted ones too."""
    if tenant is None:
        rows = await connection.fetch(IDS, after, limit)
    else:
        rows = await connection.fetch(IDS_OF_TENANT, after, limit, tenant)
    return [(row["id"], ConnectorId(row["connector_id"])) for row in rows]


async def next_moved_ids(
    connection: Connection, moved: Moved, tenant: TenantId | None, then: datetime, after: str, limit: int
) -> list[tuple[int, ConnectorId]]:
    """As `next_ids`, of those that made such a transition within the day before `then`."""
    given = (after, limit, then, moved.sources, moved.to)
    if tenant is None:
        rows = await connection.fetch(MOVED_IDS, *given)
    else:
        rows = await connection.fetch(MOVED_IDS_OF_TENANT, *given, tenant)
    return [(row["id"], ConnectorId(row["connector_id"])) for row in rows]


async def stood(connection: Connection, pks: Sequence[int], then: datetime, states: Sequence[str] | None) -> list[str]:
    """The records that made these connectors what they were at an instant; of those only that were in these states."""
    return [row["record"] for row in await connection.fetch(STOOD, pks, then, states)]


async def one_stood(connection: Connection, id_: ConnectorId, tenant: TenantId, then: datetime) -> str | None:
    """The record that made a tenant's connector what it was at an instant; `None` where it wasn't there."""
    row = await connection.fetchrow(ONE_STOOD, id_, tenant, then)
    return row["record"] if row is not None and row["to_state"] != "deleted" else None
