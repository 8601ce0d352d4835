"""Attempts and handoffs: everything about them that isn't a change of the connector.

A person's way: a handoff is spent, an authorization request is made, a callback finds its attempt by the state's hash.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import orjson

from schemas.ids import AttemptId, ConnectorId, ProviderId, TenantId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from service.store.pool import Connection
from statemachine.connector import Account

_VIEW = """
select a.*, c.id as pk, c.connector_id, c.name as connector_name, c.provider, c.state as connector_state,
    c.account_id, c.account_name, c.reason as connector_reason, c.unavailable, c.generation,
    coalesce(c.attempt_id = a.attempt_id, false) as live,
    coalesce(a.request_expires_at > now(), false) as request_fresh,
    coalesce(a.session_began, a.opened_at) > now() - interval '1 hour' as session_fresh,
    coalesce(c.help_asked = a.attempt_id, false) as help_asked,
    newer.attempt_id is not null as replaced,
    (
        select h.person_name from handoff h where h.attempt_id = newer.attempt_id and h.person_id is null limit 1
    ) as handed_on,
    a.data_key is not null and not exists (
        select from data_key d where d.id = a.data_key and not d.retired
    ) as taken_off,
    exists (
        select from credential k where k.connector = c.id and k.status = 'current'
          and k.attempt_id <> a.attempt_id and k.made_at > a.opened_at
    ) as repaired
from attempt a join connector c on c.id = a.connector
-- What ends an attempt by opening a newer one does both at one instant. Index attempt_connector.
left join attempt newer on newer.connector = a.connector and newer.opened_at = a.ended_at
"""

ATTEMPT = f"{_VIEW} where a.attempt_id = $1"
ATTEMPT_OF_TENANT = f"{_VIEW} where a.attempt_id = $1 and a.tenant_id = $2"
# By the hash of the state in the callback: the database holds no usable state (unique index).
ATTEMPT_OF_STATE = f"{_VIEW} where a.state_hash = $1"
# By the handoff, whatever became of it: a look changes nothing.
ATTEMPT_OF_HANDOFF = f"""
{_VIEW} join handoff h on h.attempt_id = a.attempt_id
where h.hash = $1 and h.consumed_at is null and h.expires_at > now()
"""

# By the handoff that was spent, however long ago: whoever spent it may find back to its attempt.
ATTEMPT_OF_SPENT_HANDOFF = f"""
{_VIEW} join handoff h on h.attempt_id = a.attempt_id
where h.hash = $1 and h.consumed_at is not null
"""

# The newest attempt that a browser began at a provider. Index attempt_browser.
ATTEMPT_OF_BROWSER = """
select attempt_id from attempt where browser_hash = $1 and context = $2 order by opened_at desc limit 1
"""

# Takes an account for a connector's candidate, in the transaction that then proves it. The lock makes one of those who
# come at once the first; the next finds the first's proved candidate. A connector that is active on the account
# already isn't a second one.
LOCK_ACCOUNT = "select pg_advisory_xact_lock(hashtextextended($1 || chr(10) || $2 || chr(10) || $3, 0))"
ACCOUNT_TAKEN = """
select exists (
    select from connector c where c.id = $4 and (c.account_id is null or c.fallback = 'disconnected')
) and (exists (
    select from connector other
    where other.tenant_id = $1 and other.provider = $2 and other.account_id = $3 and other.id <> $4
      and (other.state in ('healthy', 'failed', 'syncing')
        or other.state in ('awaiting_auth', 'verifying') and other.fallback is distinct from 'disconnected')
) or exists (
    select from credential k join connector other on other.id = k.connector
    where other.tenant_id = $1 and other.provider = $2 and k.account_id = $3 and other.id <> $4
      and k.status = 'candidate' and coalesce(other.account_id, $3) = $3
))
"""

INSERT_HANDOFF = """
insert into handoff (hash, attempt_id, person_id, person_name, expires_at)
values ($1, $2, $3, $4, now() + $5::interval) returning expires_at
"""
HANDOFF_EXPIRES = "select expires_at from handoff where hash = $1"

# Spends a handoff: of many who try at once, one gets the row.
SPEND_HANDOFF = """
update handoff set consumed_at = now()
where hash = $1 and consumed_at is null and expires_at > now()
returning attempt_id, person_id, person_name
"""

# The authorization request that is under way; a newer one replaces it. Only while the attempt waits for its person.
SET_REQUEST = """
update attempt a set
    browser_hash = $2, state_hash = $3, context = $4, nonce = $5, verifier_sealed = $6, data_key = $7,
    request_expires_at = now() + $8::interval, step = 'provider_page',
    person_id = coalesce($9, a.person_id), person_name = coalesce($10, a.person_name)
from connector c
where a.attempt_id = $1 and c.id = a.connector and c.attempt_id = a.attempt_id and c.state = 'awaiting_auth'
  and a.code_sealed is null
returning a.attempt_id
"""

# Keeps the code until the host confirms the person; of many callbacks one gets the row.
HOLD_CODE = """
update attempt set code_sealed = $2, data_key = $3, claimed_account = $4, completion_hash = $5, step = 'returned'
where attempt_id = $1 and code_sealed is null and ended_at is null
returning attempt_id
"""

# Before the code is sent: it is sent at most once, so from here on an unknown outcome is final.
BEGIN_EXCHANGE = """
update attempt set exchange_begun_at = now()
where attempt_id = $1 and exchange_begun_at is null
  and exists (select from job where id = $2 and lease_token = $3)
returning attempt_id
"""
# Nothing was sent after all (the provider couldn't be reached).
UNDO_EXCHANGE = "update attempt set exchange_begun_at = null where attempt_id = $1"

# The session of a browser that goes on by itself doesn't begin anew with each attempt.
CARRY_SESSION = """
update attempt a set session_began = coalesce(before.session_began, before.opened_at)
from attempt before where a.attempt_id = $1 and before.attempt_id = $2
"""

# Only while the attempt runs: where it stopped stays.
SET_STEP = "update attempt set step = $2 where attempt_id = $1 and ended_at is null"


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt with what belongs to it."""

    attempt: AttemptId
    pk: int
    connector: ConnectorId
    connector_name: str
    tenant: TenantId
    provider: ProviderId
    state: State
    live: bool
    account: Account | None
    failure: Reason | None
    generation: int
    unavailable: int
    opened_at: datetime
    expires_at: datetime
    person_id: str | None
    person_name: str | None
    return_url: str | None
    completion: str
    step: Step
    browser_hash: bytes | None
    context: str | None
    nonce: str | None = field(repr=False)
    verifier_sealed: bytes | None
    request_fresh: bool
    """Whether its authorization request is younger than its lifetime, by the database's clock."""
    session_fresh: bool
    """Whether its browser may still go on by itself; later the host has to be asked again."""
    data_key: int | None
    code_sealed: bytes | None
    claimed_account: str | None
    completion_hash: bytes | None
    exchange_begun_at: datetime | None
    ended_at: datetime | None
    reason: Reason | None
    expected: Account | None
    seen: Account | None
    help_asked: bool
    """Whether its person has asked the host for help."""
    replaced: bool
    """Whether a newer attempt ended it."""
    handed_on: str | None
    """To which colleague, where its person did that."""
    taken_off: bool
    """Whether the connector was disconnected, and what sealed this attempt shredded."""
    repaired: bool
    """Whether another attempt has repaired the connector since this one was opened."""


@dataclass(frozen=True, slots=True)
class Request:
    """An authorization request as it is kept: hashes and sealed values only."""

    browser_hash: bytes
    state_hash: bytes
    context: str
    nonce: str = field(repr=False)
    verifier_sealed: bytes
    data_key: int
    lifetime: timedelta


async def account_taken(connection: Connection, row: AttemptRow, account_id: str) -> bool:
    """Whether another connector of the tenant is active on the account; it can't become so until the transaction ends.

    To be called inside the transaction that proves the attempt's candidate.
    """
    whose = (row.tenant, row.provider, account_id)
    await connection.execute(LOCK_ACCOUNT, *whose)
    taken: bool = await connection.fetchval(ACCOUNT_TAKEN, *whose, row.pk)
    return taken


async def attempt(connection: Connection, id_: AttemptId) -> AttemptRow | None:
    return _row(await connection.fetchrow(ATTEMPT, id_))


async def attempt_of_tenant(connection: Connection, id_: AttemptId, tenant: TenantId) -> AttemptRow | None:
    return _row(await connection.fetchrow(ATTEMPT_OF_TENANT, id_, tenant))


async def attempt_of_state(connection: Connection, state_hash: bytes) -> AttemptRow | None:
    return _row(await connection.fetchrow(ATTEMPT_OF_STATE, state_hash))


async def attempt_of_handoff(connection: Connection, handoff_hash: bytes) -> AttemptRow | None:
    return _row(await connection.fetchrow(ATTEMPT_OF_HANDOFF, handoff_hash))


async def attempt_of_spent_handoff(connection: Connection, handoff_hash: bytes) -> AttemptRow | None:
    return _row(await connection.fetchrow(ATTEMPT_OF_SPENT_HANDOFF, handoff_hash))


async def attempt_of_browser(connection: Connection, browser_hash: bytes, context: str) -> AttemptId | None:
    id_ = await connection.fetchval(ATTEMPT_OF_BROWSER, browser_hash, context)
    return AttemptId(id_) if id_ else None


async def add_handoff(
    connection: Connection, hash_: bytes, id_: AttemptId, person_id: str | None, person_name: str, lifetime: timedelta
) -> datetime:
    """Makes a new attempt's first handoff; returns when it expires."""
    expires: datetime = await connection.fetchval(INSERT_HANDOFF, hash_, id_, person_id, person_name, lifetime)
    return expires


async def handoff_expires(connection: Connection, hash_: bytes) -> datetime | None:
    """When a handoff expires; `None` where there is none of that hash."""
    expires: datetime | None = await connection.fetchval(HANDOFF_EXPIRES, hash_)
    return expires


async def begin(connection: Connection, handoff_hash: bytes, request: Request) -> AttemptId | None:
    """Spends a handoff and keeps the authorization request; `None` when it was spent, or its attempt isn't open."""
    async with connection.transaction():
        spent = await connection.fetchrow(SPEND_HANDOFF, handoff_hash)
        if spent is None:
            return None
        id_ = AttemptId(spent["attempt_id"])
        return id_ if await _set(connection, id_, request, spent["person_id"], spent["person_name"]) else None


async def renew_request(connection: Connection, id_: AttemptId, request: Request) -> bool:
    """Replaces a live attempt's authorization request; false when the attempt no longer waits for its person."""
    return await _set(connection, id_, request, None, None)


async def _set(
    connection: Connection, id_: AttemptId, r: Request, person_id: str | None, person_name: str | None
) -> bool:
    kept = (r.browser_hash, r.state_hash, r.context, r.nonce, r.verifier_sealed, r.data_key, r.lifetime)
    return await connection.fetchval(SET_REQUEST, id_, *kept, person_id, person_name) is not None


async def hold_code(
    connection: Connection, id_: AttemptId, sealed: bytes, data_key: int, claimed: str | None, completion: bytes
) -> bool:
    """Keeps a code for the host's confirmation; false when one is kept already."""
    return await connection.fetchval(HOLD_CODE, id_, sealed, data_key, claimed, completion) is not None


async def begin_exchange(connection: Connection, id_: AttemptId, job: int, lease: UUID) -> bool:
    """Notes that the code is about to be sent; false when it was before, or when the lease is lost."""
    return await connection.fetchval(BEGIN_EXCHANGE, id_, job, lease) is not None


async def undo_exchange(connection: Connection, id_: AttemptId) -> None:
    await connection.execute(UNDO_EXCHANGE, id_)


async def carry_session(connection: Connection, id_: AttemptId, before: AttemptId) -> None:
    """Lets the browser's session count from where it began, in the attempt that it goes on with."""
    await connection.execute(CARRY_SESSION, id_, before)


async def set_step(connection: Connection, id_: AttemptId, step: Step) -> None:
    await connection.execute(SET_STEP, id_, step)


def _row(row: asyncpg.Record | None) -> AttemptRow | None:
    if row is None:
        return None
    return AttemptRow(
        attempt=AttemptId(row["attempt_id"]),
        pk=row["pk"],
        connector=ConnectorId(row["connector_id"]),
        connector_name=row["connector_name"],
        tenant=TenantId(row["tenant_id"]),
        provider=ProviderId(row["provider"]),
        state=State(row["connector_state"]),
        live=row["live"],
        account=Account(row["account_id"], row["account_name"] or "") if row["account_id"] else None,
        failure=Reason(row["connector_reason"]) if row["connector_reason"] else None,
        generation=row["generation"],
        unavailable=row["unavailable"],
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
        person_id=row["person_id"],
        person_name=row["person_name"],
        return_url=row["return_url"],
        completion=row["completion"],
        step=Step(row["step"]),
        browser_hash=row["browser_hash"],
        context=row["context"],
        nonce=row["nonce"],
        verifier_sealed=row["verifier_sealed"],
        request_fresh=row["request_fresh"],
        session_fresh=row["session_fresh"],
        data_key=row["data_key"],
        code_sealed=row["code_sealed"],
        claimed_account=row["claimed_account"],
        completion_hash=row["completion_hash"],
        exchange_begun_at=row["exchange_begun_at"],
        ended_at=row["ended_at"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        expected=_account(row["expected_account"]),
        seen=_account(row["seen_account"]),
        help_asked=row["help_asked"],
        replaced=row["replaced"],
        handed_on=row["handed_on"],
        taken_off=row["taken_off"],
        repaired=row["repaired"],
    )


def _account(json: str | None) -> Account | None:
    return Account(**orjson.loads(json)) if json else None
