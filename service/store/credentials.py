"""Sealed credentials and data keys. Nothing here can be read without the vault.

A grant that is being checked is its attempt's *candidate*; making it the *current* one is the engine's business.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.store.pool import Connection

DATA_KEY = "select id, wrapped from data_key where connector = $1 and not retired"
DATA_KEY_BY_ID = "select id, wrapped from data_key where id = $1"
# Of many who make a connector's first key at once, one wins, and all use that one. Retiring a key-encryption key locks
# the table against this, so that nothing is wrapped by it afterwards.
ADD_DATA_KEY = """
insert into data_key (connector, wrapped)
select $1, $2 where not exists (select from retired_key where number = wrapping_key($2))
on conflict (connector) where not retired do nothing
"""
# One that doesn't open makes room for another; it is shredded when nothing names it any more.
REPLACE_DATA_KEY = "update data_key set retired = true where id = $1 and wrapped = $2"
# Some others that the same key-encryption key wrapped. Index data_key_number.
OTHERS_UNDER_ITS_KEY = """
select id, wrapped from data_key
where key_number = (select key_number from data_key where id = $1) and id <> $1 and not retired limit 5
"""
GIVE_UP_DATA_KEY = "update data_key set retired = true where connector = $1 and not retired"

FIELDS = """
select k.*, k.access_expires_at - now() as access_left, now() - k.refreshed_at as since_refresh,
    c.connector_id, c.tenant_id, c.provider, c.state as connector_state, c.reason as connector_reason,
    c.account_name, c.generation as connector_generation, c.account_id as connector_account,
    d.newest_generation, d.newest_rotation
from credential k join connector c on c.id = k.connector left join data_key d on d.id = k.data_key
"""
# A grant that is shared is several connectors' credential, of the one attempt that brought it: both are named.
CANDIDATE = f"{FIELDS} where k.connector = $1 and k.attempt_id = $2 and k.status = 'candidate'"
CURRENT = f"{FIELDS} where k.connector = $1 and k.status = 'current'"
RETIRING = f"{FIELDS} where k.connector = $1 and k.attempt_id = $2 and k.status = 'retiring'"

# Kept only while the job's lease holds: a zombie's grant is dropped.
ADD_CANDIDATE = """
insert into credential (
    connector, generation, attempt_id, status, data_key, account_id, access_sealed, refresh_sealed,
    access_expires_at, refresh_expires_at, hard_expires_at, scope, refresh_due, refresh_estimated, hard_estimated,
    announced_end
)
select $1, $2, $3, 'candidate', $4, '', $5, $6, now() + $7::interval, now() + $8::interval, now() + $9::interval, $10,
    now() + $8::interval * (0.3 + 0.1 * random()), $13, $14, $15
where exists (select from job where id = $11 and lease_token = $12)
returning id
"""
# The proved account becomes part of what the seal covers.
PROVE_CANDIDATE = """
update credential set account_id = $3, access_sealed = $4, refresh_sealed = $5, granted_by = $6
where connector = $1 and attempt_id = $2 and status = 'candidate'
"""

SHRED_CREDENTIAL = "delete from credential where connector = $1 and attempt_id = $2 and status = 'retiring'"
# Whether another connector holds the same grant, or is about to: what is revoked of it is revoked for that one, too.
GRANT_IN_USE = "select exists (select from credential where grant_id = $1 and id <> $2 and status <> 'retiring')"
# Whether anything that works lives on an account: then nothing of it may be revoked. A sign-in that came back with it
# lives on it, too, also before it is proved. Indexes connector_account, attempt_open.
ACCOUNT_IN_USE = """
select exists (
    select from connector
    where provider = $1 and account_id = $2 and state not in ('disconnected', 'deleted')
) or exists (
    select from attempt a join connector c on c.id = a.connector
    left join credential k on k.connector = c.id and k.attempt_id = a.attempt_id and k.status = 'candidate'
    where a.ended_at is null and c.provider = $1 and $2 in (a.claimed_account, k.account_id)
)
"""

RETIRING_LEFT = "select exists (select from credential where connector = $1 and status = 'retiring')"
SHRED_KEYS = """
with shredded as (
    delete from data_key d where connector = $1 and retired
      and not exists (select from credential where data_key = d.id) returning id
)
update attempt set code_sealed = null, verifier_sealed = null
where connector = $1 and data_key in (select id from shredded)
"""

AUDIT = """
insert into audit (what, tenant_id, connector_id, actor, detail) values ($1, $2, $3, $4, $5)
"""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A connector's data key, wrapped."""

    id: int
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A sealed credential with what belongs to it."""

    id: int
    pk: int
    connector: ConnectorId
    tenant: TenantId
    provider: ProviderId
    state: State
    reason: Reason | None
    account_name: str
    generation: Generation
    attempt: AttemptId
    data_key: int
    account_id: str
    access_sealed: bytes
    refresh_sealed: bytes | None
    rotation: int
    access_expires_at: datetime
    access_left: timedelta
    """How long the access token is still good for, by the database's clock."""
    since_refresh: timedelta
    """How long ago it was refreshed, or came."""
    previous_sealed: bytes | None
    """The former refresh token."""
    borrowed: bool
    """An imported grant that doesn't count yet: it is the host's own."""
    refresh_expires_at: datetime | None
    hard_expires_at: datetime | None
    scope: str
    grant: UUID
    """The grant that it holds, which other connectors' credentials may hold, too."""
    copies: int
    """How many of those were copied from this one."""
    newest: Generation
    """The connector's own generation."""
    is_put_back: bool
    """Whether the current credential isn't the one that the connector and its data key know of as the newest."""

    @property
    def wants_login(self) -> bool:
        """Whether a person is asked to sign in: a dead verdict stops everything."""
        return self.reason is not None and self.reason.offers_login


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what a grant holds is good for, from now."""

    access: timedelta
    refresh: timedelta | None
    hard: timedelta | None
    refresh_estimated: bool = False
    """Whether the provider told no such lifetime, so that this is its description's."""
    hard_estimated: bool = False
    announced_end: datetime | None = None
    """The day on which the provider ends all grants."""


async def data_key(connection: Connection, pk: int) -> DataKey | None:
    """The connector's current data key."""
    return _key(await connection.fetchrow(DATA_KEY, pk))


async def data_key_by_id(connection: Connection, id_: int) -> DataKey | None:
    return _key(await connection.fetchrow(DATA_KEY_BY_ID, id_))


async def add_data_key(connection: Connection, pk: int, wrapped: bytes) -> DataKey | None:
    """Keeps a new data key, unless somebody was quicker; returns the one that counts.

    `None` where the key-encryption key that wrapped it is retired.
    """
    await connection.execute(ADD_DATA_KEY, pk, wrapped)
    return await data_key(connection, pk)


async def replace_data_key(connection: Connection, key: DataKey) -> None:
    """Makes room for another data key of the same connector, unless this one was wrapped anew meanwhile."""
    await connection.execute(REPLACE_DATA_KEY, key.id, key.wrapped)


async def others_under_its_key(connection: Connection, id_: int) -> list[DataKey]:
    """Some data keys of others, wrapped by the same key-encryption key."""
    rows = await connection.fetch(OTHERS_UNDER_ITS_KEY, id_)
    return [DataKey(row["id"], row["wrapped"]) for row in rows]


async def give_up_data_key(connection: Connection, pk: int) -> None:
    """Seals nothing more under the connector's data key."""
    await connection.execute(GIVE_UP_DATA_KEY, pk)


async def candidate(connection: Connection, pk: int, attempt: AttemptId) -> CredentialRow | None:
    return _row(await connection.fetchrow(CANDIDATE, pk, attempt))


async def current(connection: Connection, pk: int) -> CredentialRow | None:
    return _row(await connection.fetchrow(CURRENT, pk))


async def retiring(connection: Connection, pk: int, attempt: AttemptId) -> CredentialRow | None:
    return _row(await connection.fetchrow(RETIRING, pk, attempt))


async def add_candidate(
    connection: Connection,
    *,
    pk: int,
    generation: Generation,
    attempt: AttemptId,
    key: DataKey,
    access_sealed: bytes,
    refresh_sealed: bytes | None,
    lifetimes: Lifetimes,
    scope: str,
    job: int,
    lease: UUID,
) -> bool:
    """Keeps an attempt's new grant; false when the job's lease is lost."""
    sealed = (access_sealed, refresh_sealed, lifetimes.access, lifetimes.refresh, lifetimes.hard, scope)
    ends = (lifetimes.refresh_estimated, lifetimes.hard_estimated, lifetimes.announced_end)
    kept = await connection.fetchval(ADD_CANDIDATE, pk, generation, attempt, key.id, *sealed, job, lease, *ends)
    return kept is not None


async def prove_candidate(
    connection: Connection,
    candidate: CredentialRow,
    account_id: str,
    access_sealed: bytes,
    refresh_sealed: bytes | None,
    granted_by: str | None,
) -> None:
    proved = (account_id, access_sealed, refresh_sealed, granted_by)
    await connection.execute(PROVE_CANDIDATE, candidate.pk, candidate.attempt, *proved)


async def shred_credential(connection: Connection, pk: int, attempt: AttemptId) -> None:
    await connection.execute(SHRED_CREDENTIAL, pk, attempt)


async def grant_in_use(connection: Connection, row: CredentialRow) -> bool:
    """Whether another credential that isn't being retired holds the same grant."""
    in_use: bool = await connection.fetchval(GRANT_IN_USE, row.grant, row.id)
    return in_use


async def account_in_use(connection: Connection, provider: ProviderId, account_id: str) -> bool:
    in_use: bool = await connection.fetchval(ACCOUNT_IN_USE, provider, account_id)
    return in_use


async def shred_keys(connection: Connection, pk: int) -> bool:
    """Destroys a connector's retired data keys; false while a credential that is being retired still needs one."""
    if await connection.fetchval(RETIRING_LEFT, pk):
        return False
    await connection.execute(SHRED_KEYS, pk)
    return True


async def audit(
    connection: Connection, what: str, tenant: TenantId | None, connector: ConnectorId | None, actor: str, detail: str
) -> None:
    """Leaves an audit row; `detail` is JSON and never holds a secret."""
    await connection.execute(AUDIT, what, tenant, connector, actor, detail)


def _key(row: asyncpg.Record | None) -> DataKey | None:
    return DataKey(row["id"], row["wrapped"]) if row else None


def _row(row: asyncpg.Record | None) -> CredentialRow | None:
    return known(row) if row else None


def known(row: asyncpg.Record) -> CredentialRow:
    """A row of `FIELDS`."""
    return CredentialRow(
        id=row["id"],
        pk=row["connector"],
        connector=ConnectorId(row["connector_id"]),
        tenant=TenantId(row["tenant_id"]),
        provider=ProviderId(row["provider"]),
        state=State(row["connector_state"]),
        reason=Reason(row["connector_reason"]) if row["connector_reason"] else None,
        account_name=row["account_name"] or "",
        generation=Generation(row["generation"]),
        attempt=AttemptId(row["attempt_id"]),
        data_key=row["data_key"],
        account_id=row["account_id"],
        access_sealed=row["access_sealed"],
        refresh_sealed=row["refresh_sealed"],
        rotation=row["rotation"],
        access_expires_at=row["access_expires_at"],
        access_left=row["access_left"],
        since_refresh=row["since_refresh"],
        previous_sealed=row["previous_sealed"],
        borrowed=row["borrowed"],
        refresh_expires_at=row["refresh_expires_at"],
        hard_expires_at=row["hard_expires_at"],
        scope=row["scope"],
        grant=row["grant_id"],
        copies=row["copies"],
        newest=Generation(row["connector_generation"]),
        is_put_back=row["status"] == "current" and _is_put_back(row),
    )


def _is_put_back(row: asyncpg.Record) -> bool:
    known = (row["newest_generation"], row["newest_rotation"])
    if row["newest_generation"] is None:  # its data key is gone, which is told where it is asked for
        known = (row["generation"], row["rotation"])
    mine = (row["generation"], row["rotation"])
    return (
        mine != known
        or row["generation"] != row["connector_generation"]
        or row["account_id"] != (row["connector_account"] or "")
    )
