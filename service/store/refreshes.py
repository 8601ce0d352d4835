"""Refreshes in the store: one at a time for a grant, kept before they are used, and due ahead of a token's end.

A grant that several connectors hold is a row of each of them, with its own seals: they are refreshed together. `ended`
are everywhere the reasons after which a connector's token is neither served nor refreshed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from service.store.credentials import FIELDS, CredentialRow, Lifetimes, known
from service.store.pool import Connection

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
