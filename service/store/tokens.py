"""Access tokens in the store: read for many at once, refreshed by one at a time, due ahead of their end.

`ended` are everywhere the reasons after which a connector's token is neither served nor refreshed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from schemas.ids import ConnectorId, Generation, TenantId
from service.store.credentials import FIELDS, CredentialRow, DataKey, Lifetimes, known
from service.store.pool import Connection

# Many reads in one round trip: each credential once with its data key, and an audit row for each asker who is served,
# in the same transaction. `served` decides what is fresh enough: nine tenths of a lifetime is the most one may ask
# for. The first read of a token has it refreshed ahead, some way before its end, at a moment of its own; a row that
# somebody else holds is left out, so that readers never wait for each other.
READ = """
with found as (
    select w.place, k.*, k.access_expires_at - now() as access_left, now() - k.refreshed_at as since_refresh,
        c.connector_id, c.tenant_id, c.provider, c.state as connector_state, c.reason as connector_reason,
        c.account_name, c.generation as connector_generation, c.account_id as connector_account,
        d.wrapped, d.newest_generation, d.newest_rotation
    from unnest($1::text[], $2::text[]) with ordinality as w (connector_id, tenant_id, place)
    join connector c on c.connector_id = w.connector_id and c.tenant_id = w.tenant_id
    join credential k on k.connector = c.id and k.status = 'current'
    left join data_key d on d.id = k.data_key
),
served as (
    select a.asker, a.caller, f.place, f.id, f.tenant_id, f.connector_id, f.generation, f.rotation, f.refresh_wanted
    from unnest($3::bigint[], $4::text[], $5::interval[]) with ordinality as a (place, caller, min_ttl, asker)
    join found f on f.place = a.place
    where f.access_left > least(a.min_ttl, (f.access_expires_at - f.refreshed_at) * 0.9)
      and f.access_left > interval '0'
      and (f.connector_reason is null or f.connector_reason <> all($6::text[]))
),
audited as (
    insert into audit (what, tenant_id, connector_id, actor, detail)
    select 'token_read', tenant_id, connector_id, caller,
        json_build_object('generation', generation, 'rotation', rotation)
    from served order by asker
),
wanted as (
    update credential k set refresh_wanted = true,
        refresh_due = k.access_expires_at - (k.access_expires_at - k.refreshed_at) * (0.1 + 0.15 * random())
    from (
        select id from credential
        where id in (select id from served where not refresh_wanted) and not refresh_wanted
        for update skip locked
    ) first_read
    where k.id = first_read.id
)
select f.*, (select array_agg(s.asker) from served s where s.place = f.place) as served from found f
"""

# One refresh at a time over all replicas. The rotation says which token the caller has seen; a dead verdict stops it.
# A lease that was not given back tells that a refresh was interrupted: what became of it can't be known.
LEASE_REFRESH = """
with free as (
    select k.id, k.refresh_until from credential k join connector c on c.id = k.connector
    where k.id = $1 and k.rotation = $2 and k.status = 'current'
      and (k.refresh_until is null or k.refresh_until < now())
      and (c.reason is null or c.reason <> all($4::text[]))
    for update of k skip locked
)
update credential k set refresh_lease = gen_random_uuid(), refresh_until = now() + $3::interval
from free where k.id = free.id
returning k.refresh_lease, free.refresh_until is not null as interrupted
"""
# Whether a credential is still as the caller has seen it, and not known to be dead.
UNCHANGED = """
select exists (
    select from credential k join connector c on c.id = k.connector
    where k.id = $1 and k.rotation = $2 and k.status = 'current' and (c.reason is null or c.reason <> all($3::text[]))
)
"""
# Whether a refusal is the holder's to judge: nobody has stored anything else, and nobody else is asking meanwhile.
MAY_JUDGE = """
select exists (
    select from credential
    where id = $1 and rotation = $2 and status = 'current' and refresh_lease = $3
)
"""
# What the provider's API refused isn't served again: it counts as over.
END_ACCESS = """
update credential set access_expires_at = now()
where connector = (select id from connector where connector_id = $1 and tenant_id = $2)
  and status = 'current' and generation = $3 and rotation = $4 and access_expires_at > now()
"""
# What is due is taken by one replica, and comes again in a minute should that one die. Index credential_refresh_due.
# A dead grant isn't due any more.
_TAKEN = """
with taken as (
    update credential k set refresh_due =
        case when c.reason = any($2::text[]) then null else now() + interval '1 minute' * (1 + random()) end
    from connector c
    where c.id = k.connector and k.id in (
        select id from credential where status = 'current' and refresh_due <= now()
        order by refresh_due limit $1 for update skip locked
    )
    returning k.id, k.refresh_due
)
"""
TAKE_DUE = f"{_TAKEN} {FIELDS} join taken t on t.id = k.id where t.refresh_due is not null"
# The rotated token is stored before anybody gets the new access token; without a new one the old one stays. A holder
# that lost its lease is late, not wrong: what it got counts as long as nobody has stored anything else. Who holds the
# lease now keeps it then, and its own result counts in any case, since it asked last.
KEEP_REFRESHED = """
update credential set
    access_sealed = $3, refresh_sealed = $4, access_expires_at = now() + $5::interval,
    refresh_expires_at = coalesce(now() + $6::interval, refresh_expires_at),
    hard_expires_at = coalesce(now() + $7::interval, hard_expires_at),
    rotation = rotation + 1, previous_sealed = refresh_sealed, refreshed_at = now(), refresh_wanted = false,
    refresh_due = now() + $6::interval * (0.3 + 0.1 * random()),
    refresh_until = case when refresh_lease = $2 then null else refresh_until end,
    refresh_lease = case when refresh_lease = $2 then null else refresh_lease end
where id = $1 and status = 'current' and rotation = $8
returning access_expires_at
"""
ROTATION_UNDER_LEASE = "select rotation from credential where id = $1 and refresh_lease = $2 and status = 'current'"
RELEASE_REFRESH = """
update credential set refresh_lease = null, refresh_until = null where id = $1 and refresh_lease = $2
"""


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right to refresh one credential."""

    token: UUID
    interrupted: bool
    """Somebody had it before and never gave it back: a refresh was interrupted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants which connector's access token, and for how long it has to be good."""

    connector: ConnectorId
    tenant: TenantId
    min_ttl: timedelta
    caller: str


@dataclass(frozen=True, slots=True)
class Read:
    """A credential that was read for somebody."""

    row: CredentialRow
    key: DataKey | None
    """`None` when it is gone: then the token can't be opened."""
    is_served: bool
    """Its access token is good for as long as was asked, and the audit row is there."""


async def read(connection: Connection, asked: Sequence[Asked], ended: Sequence[str]) -> list[Read | None]:
    """What each asker gets, in one round trip; who is served has its audit row. `None`: there is no credential."""
    wanted = dict.fromkeys((one.connector, one.tenant) for one in asked)
    place_of = {which: place for place, which in enumerate(wanted, start=1)}
    rows = await connection.fetch(
        READ,
        [connector for connector, _ in wanted],
        [tenant for _, tenant in wanted],
        [place_of[one.connector, one.tenant] for one in asked],
        [one.caller for one in asked],
        [one.min_ttl for one in asked],
        ended,
    )
    found = {record["place"]: (known(record), _key(record)) for record in rows}
    served = {asker for record in rows for asker in record["served"] or ()}
    answers: list[Read | None] = []
    for asker, one in enumerate(asked, start=1):
        there = found.get(place_of[one.connector, one.tenant])
        answers.append(Read(*there, is_served=asker in served) if there else None)
    return answers


def _key(record: asyncpg.Record) -> DataKey | None:
    return DataKey(record["data_key"], record["wrapped"]) if record["wrapped"] is not None else None


async def lease_refresh(
    connection: Connection, row: CredentialRow, lease: timedelta, ended: Sequence[str]
) -> RefreshLease | None:
    """The right to refresh this credential; `None` while another has it, has refreshed it since, or it is dead."""
    got = await connection.fetchrow(LEASE_REFRESH, row.id, row.rotation, lease, ended)
    return RefreshLease(got["refresh_lease"], got["interrupted"]) if got else None


async def unchanged(connection: Connection, row: CredentialRow, ended: Sequence[str]) -> bool:
    """Whether the credential is still this one, and nobody has found it dead."""
    same: bool = await connection.fetchval(UNCHANGED, row.id, row.rotation, ended)
    return same


async def may_judge(connection: Connection, row: CredentialRow, lease: UUID) -> bool:
    """Whether the credential is still this one, and the lease still the caller's."""
    may: bool = await connection.fetchval(MAY_JUDGE, row.id, row.rotation, lease)
    return may


async def end_access(
    connection: Connection, connector: ConnectorId, tenant: TenantId, generation: Generation, rotation: int
) -> bool:
    """Has an access token never be served again; false when it isn't the one that would be."""
    ended: str = await connection.execute(END_ACCESS, connector, tenant, generation, rotation)
    return ended == "UPDATE 1"


async def take_due(connection: Connection, limit: int, ended: Sequence[str]) -> list[CredentialRow]:
    """Credentials that are due for a refresh ahead of time, at most `limit`; nobody else gets them for a minute."""
    return [known(record) for record in await connection.fetch(TAKE_DUE, limit, ended)]


async def keep_refreshed(
    connection: Connection,
    row: CredentialRow,
    lease: UUID,
    access_sealed: bytes,
    refresh_sealed: bytes | None,
    lifetimes: Lifetimes,
) -> datetime | None:
    """Stores a refreshed grant, sealed for the rotation after the row's.

    Returns when its access token expires, or `None` when somebody else has stored another one since.
    """
    expires: datetime | None = await connection.fetchval(
        KEEP_REFRESHED,
        row.id,
        lease,
        access_sealed,
        refresh_sealed,
        lifetimes.access,
        lifetimes.refresh,
        lifetimes.hard,
        row.rotation,
    )
    return expires


async def rotation_under_lease(connection: Connection, row: CredentialRow, lease: UUID) -> int | None:
    """The credential's rotation by now, while the lease is still held."""
    rotation: int | None = await connection.fetchval(ROTATION_UNDER_LEASE, row.id, lease)
    return rotation


async def release_refresh(connection: Connection, row: CredentialRow, lease: UUID) -> None:
    await connection.execute(RELEASE_REFRESH, row.id, lease)
