"""Access tokens in the store: read for many at once, refreshed by one at a time, due ahead of their end.

A grant that several connectors hold is a row of each of them, with its own seals: they are refreshed together.

`ended` are everywhere the reasons after which a connector's token is neither served nor refreshed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

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

# One refresh at a time of a grant, over all replicas: the lease is taken on every credential that holds it, or on none.
# The rotation says which token the caller has seen; a dead verdict stops it, and so does a rotation that this one
# missed. A lease that was not given back tells that a refresh was interrupted: what became of it can't be known.
_LEASED = """
with asked as (
    select k.grant_id, k.rotation from credential k join connector c on c.id = k.connector
    where k.id = $1 and k.rotation = $2 and k.status = 'current'
      and (c.reason is null or c.reason <> all($4::text[]))
),
free as (
    select k.id from credential k, asked a
    where k.grant_id = a.grant_id and k.rotation = a.rotation and k.status <> 'retiring'
      and (k.refresh_until is null or k.refresh_until < now())
    order by k.id for update of k skip locked
),
leased as (
    update credential k set refresh_lease = $5, refresh_until = now() + $3::interval
    from free
    where k.id = free.id
      and (select count(*) from free) = (
        select count(*) from credential every, asked a
        where every.grant_id = a.grant_id and every.rotation = a.rotation and every.status <> 'retiring'
      )
      and not exists (
        select from credential newer, asked a where newer.grant_id = a.grant_id and newer.rotation > a.rotation
      )
    returning k.id
)
"""
LEASE_REFRESH = f"{_LEASED} {FIELDS} join leased on leased.id = k.id order by k.id"
# Whether a credential is still as the caller has seen it, and not known to be dead.
UNCHANGED = """
select exists (
    select from credential k join connector c on c.id = k.connector
    where k.id = $1 and k.rotation = $2 and k.status = 'current' and (c.reason is null or c.reason <> all($3::text[]))
)
"""
# Whether the grant was rotated without this credential, which holds a token that is worth nothing: to send it would end
# the grant for all of them (RFC 9700 4.14.2).
LEFT_BEHIND = """
select exists (
    select from credential mine join credential newer on newer.grant_id = mine.grant_id
    where mine.id = $1 and newer.rotation > mine.rotation
)
"""
# Whether a refusal is the holder's to judge: nobody has stored anything else, and nobody else is asking meanwhile.
MAY_JUDGE = """
select exists (
    select from credential
    where id = $1 and rotation = $2 and status = 'current' and refresh_lease = $3
)
"""
# What the provider's API refused isn't served again, by whichever credential holds it: it counts as over.
END_ACCESS = """
update credential set access_expires_at = now()
where status <> 'retiring' and access_expires_at > now() and (grant_id, rotation) = (
    select k.grant_id, k.rotation from credential k join connector c on c.id = k.connector
    where c.connector_id = $1 and c.tenant_id = $2 and k.status = 'current' and k.generation = $3 and k.rotation = $4
)
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
# The rotated token is stored before anybody gets the new access token, in all credentials that hold the grant or in
# none: not where one of them was retired since, nor where one was copied that nothing is sealed for. A late holder,
# which lost its lease, is not wrong: what it got counts as long as nobody has stored anything else. Who holds the
# lease now keeps it then, and its own result counts in any case, since it asked last.
KEEP_REFRESHED = """
with held as (
    select k.id, s.access_sealed, s.refresh_sealed
    from credential k
    join unnest($1::bigint[], $2::int[], $3::bytea[], $4::bytea[]) as s (id, copies, access_sealed, refresh_sealed)
        on s.id = k.id
    where k.rotation = $5 and k.status <> 'retiring' and k.copies = s.copies
    order by k.id for update of k
),
kept as (
    update credential k set
        access_sealed = held.access_sealed, refresh_sealed = held.refresh_sealed,
        access_expires_at = now() + $7::interval,
        refresh_expires_at = coalesce(now() + $8::interval, refresh_expires_at),
        hard_expires_at = coalesce(now() + $9::interval, hard_expires_at),
        rotation = rotation + 1, previous_sealed = k.refresh_sealed, refreshed_at = now(), refresh_wanted = false,
        refresh_due = now() + $8::interval * (0.3 + 0.1 * random()),
        refresh_until = case when refresh_lease = $6 then null else refresh_until end,
        refresh_lease = case when refresh_lease = $6 then null else refresh_lease end
    from held
    where k.id = held.id and (select count(*) from held) = cardinality($1)
    returning k.id
)
select count(*) from kept
"""
# Who holds a grant by now: while it is as it was sent, or the lease is still held.
_HELD = """
where k.grant_id = $1 and k.status <> 'retiring'
  and k.rotation = (select max(rotation) from credential where grant_id = $1)
  and (k.rotation = $3 or exists (select from credential where grant_id = $1 and refresh_lease = $2))
"""
HOLDERS = f"{FIELDS} {_HELD} order by k.id"
RELEASE_REFRESH = """
update credential set refresh_lease = null, refresh_until = null
where id in (select id from credential where grant_id = $1 and refresh_lease = $2 order by id for update)
"""


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right to refresh a grant."""

    token: UUID
    interrupted: bool
    """Somebody had it before and never gave it back: a refresh was interrupted."""
    holders: Sequence[CredentialRow]
    """The credentials that hold the grant, the one that was asked for among them."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """What a refresh brought, sealed for one of the credentials that hold the grant."""

    row: CredentialRow
    access: bytes
    refresh: bytes


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
    """The right to refresh this grant; `None` while another has it, has refreshed it since, or it is dead."""
    token = uuid4()
    rows = await connection.fetch(LEASE_REFRESH, row.id, row.rotation, lease, ended, token)
    if not rows:
        return None
    return RefreshLease(token, any(r["refresh_until"] is not None for r in rows), [known(r) for r in rows])


async def left_behind(connection: Connection, row: CredentialRow) -> bool:
    """Whether another credential holds a newer token of the same grant, so that this one's must not be sent."""
    behind: bool = await connection.fetchval(LEFT_BEHIND, row.id)
    return behind


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
    return ended != "UPDATE 0"


async def take_due(connection: Connection, limit: int, ended: Sequence[str]) -> list[CredentialRow]:
    """Credentials that are due for a refresh ahead of time, at most `limit`; nobody else gets them for a minute."""
    return [known(record) for record in await connection.fetch(TAKE_DUE, limit, ended)]


async def keep_refreshed(connection: Connection, lease: UUID, sealed: Sequence[Resealed], lifetimes: Lifetimes) -> bool:
    """Stores a refreshed grant, sealed for the rotation after the rows', in all of them.

    False when others hold it by now, or when somebody else has stored another one since: then nothing was stored.
    """
    kept: int = await connection.fetchval(
        KEEP_REFRESHED,
        [one.row.id for one in sealed],
        [one.row.copies for one in sealed],
        [one.access for one in sealed],
        [one.refresh for one in sealed],
        sealed[0].row.rotation,
        lease,
        lifetimes.access,
        lifetimes.refresh,
        lifetimes.hard,
    )
    return kept > 0


async def holders(connection: Connection, sent: CredentialRow, lease: UUID) -> list[CredentialRow]:
    """Who holds the grant whose token was sent, as it is now; nobody when it went on without this lease."""
    return [known(row) for row in await connection.fetch(HOLDERS, sent.grant, lease, sent.rotation)]


async def release_refresh(connection: Connection, row: CredentialRow, lease: UUID) -> None:
    await connection.execute(RELEASE_REFRESH, row.grant, lease)
