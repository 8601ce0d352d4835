"""What hangs on connectors and changes with them: attempts, jobs, credentials. Part of the batch's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from schemas.ids import AttemptId, ConnectorId, Generation
from schemas.reasons import LOGIN_MENDS
from service.store.pool import Connection


@dataclass(frozen=True, slots=True)
class AttemptOpened:
    connector: ConnectorId
    attempt: AttemptId
    at: datetime
    expires: datetime
    completion: str
    person_id: str | None
    person_name: str | None
    return_url: str | None
    browser_hash: bytes | None
    expected: str | None


@dataclass(frozen=True, slots=True)
class CodeReceived:
    attempt: AttemptId
    sealed: bytes
    data_key: int
    claimed_account: str | None


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    attempt: AttemptId
    at: datetime
    reason: str
    step: str | None
    seen: str | None


@dataclass(frozen=True, slots=True)
class AttemptHandedOn:
    attempt: AttemptId
    at: datetime
    hash: bytes
    person_id: str | None
    person_name: str
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class AttemptExplained:
    attempt: AttemptId
    reason: str


@dataclass(frozen=True, slots=True)
class VerificationWanted:
    connector: ConnectorId
    attempt: AttemptId
    run_at: datetime
    trace: str | None


@dataclass(frozen=True, slots=True)
class CredentialSwapped:
    connector: ConnectorId
    attempt: AttemptId
    generation: Generation
    at: datetime
    trace: str | None


@dataclass(frozen=True, slots=True)
class SyncBegan:
    connector: ConnectorId


@dataclass(frozen=True, slots=True)
class ShredWanted:
    connector: ConnectorId
    at: datetime


@dataclass(frozen=True, slots=True)
class JobSettled:
    """The job's result is in: the job ends, unless it is wanted again."""

    job: int
    token: str


Consequence: TypeAlias = (
    AttemptOpened
    | CodeReceived
    | AttemptEnded
    | AttemptHandedOn
    | AttemptExplained
    | VerificationWanted
    | CredentialSwapped
    | SyncBegan
    | ShredWanted
    | JobSettled
)


class LeasesLost(Exception):
    """Jobs whose lease was taken by somebody else since."""

    def __init__(self, jobs: set[int]) -> None:
        super().__init__(f"jobs {sorted(jobs)}")
        self.jobs = jobs


# These are rare beside the rest (people do them), so one statement each.

OPEN_ATTEMPT = """
insert into attempt (
    attempt_id, connector, tenant_id, opened_at, expires_at, completion, person_id, person_name, return_url,
    browser_hash, expected_account
)
select $2, id, tenant_id, $3, $4, $5, $6, $7, $8, $9, $10 from connector where id = $1
"""

# The code waits sealed for its one exchange; the person is back.
RECEIVE_CODE = """
update attempt set code_sealed = $2, data_key = $3, claimed_account = $4, step = 'returned'
where attempt_id = $1
"""

# Everything that could still complete the attempt goes with it.
END_ATTEMPT = """
update attempt set
    ended_at = $2, reason = $3, step = coalesce($4, step), seen_account = $5,
    verifier_sealed = null, nonce = null, code_sealed = null, completion_hash = null
where attempt_id = $1 and ended_at is null
"""
END_HANDOFFS = "update handoff set consumed_at = coalesce(consumed_at, $2) where attempt_id = $1"
# A new link voids the older ones of its attempt, which leave nothing behind.
VOID_HANDOFFS = "delete from handoff where attempt_id = $1 and consumed_at is null"
HAND_ON = """
insert into handoff (hash, attempt_id, person_id, person_name, expires_at) values ($1, $2, $3, $4, $5::timestamptz + $6)
"""
EXPLAIN_ATTEMPT = "update attempt set reason = $2 where attempt_id = $1 and reason = 'attempt_expired'"
END_VERIFICATION = "delete from job where attempt_id = $1 and kind = 'verify'"

# A grant that isn't used is revoked where that is safe, and shredded, by a job.
RETIRE_CANDIDATE = """
with retired as (
    update credential set status = 'retiring'
    where attempt_id = $1 and connector = (select connector from attempt where attempt_id = $1) and status = 'candidate'
    returning connector, attempt_id
)
insert into job (kind, connector, attempt_id, run_at) select 'retire', connector, attempt_id, $2 from retired
"""

WANT_VERIFICATION = """
insert into job (kind, connector, attempt_id, run_at, trace) values ('verify', $1, $2, $3, $4)
on conflict (attempt_id) where kind = 'verify'
do update set run_at = excluded.run_at, lease_token = null, lease_until = null
"""

RETIRE_CURRENT = """
with retired as (
    update credential set status = 'retiring' where connector = $1 and status = 'current'
    returning connector, attempt_id
)
insert into job (kind, connector, attempt_id, run_at) select 'retire', connector, attempt_id, $2 from retired
"""
MAKE_CURRENT = """
update credential set status = 'current', borrowed = false
where connector = $1 and attempt_id = $2 and status = 'candidate' and generation = $3
"""
COMPLETE_ATTEMPT = """
update attempt set
    ended_at = $2, reason = 'connected', step = 'credential_saved',
    verifier_sealed = null, nonce = null, code_sealed = null, completion_hash = null
where attempt_id = $1 and connector = $3
"""
# The tenant's other connectors of that account that wait for a login: their jobs see whether this grant is theirs, too.
# A copy of a grant is copied no further. Index connector_account.
SHARE_GRANT = """
insert into job (kind, connector, attempt_id, run_at, trace)
select 'share', other.id, a.attempt_id, $3, $4::json
from attempt a
join connector c on c.id = a.connector
join connector other on other.provider = c.provider and other.account_id = c.account_id
    and other.tenant_id = c.tenant_id and other.id <> c.id
where a.attempt_id = $1 and a.connector = $2 and other.state = 'failed' and other.reason = any($5::text[])
order by other.id
"""

# For whoever watches: the requested sync has begun. A copy's attempt is another connector's.
SYNC_BEGAN = """
update attempt a set step = 'sync_started' from credential k
where k.connector = $1 and k.status = 'current' and a.attempt_id = k.attempt_id and a.connector = k.connector
  and a.step = 'credential_saved'
"""

RETIRE_DATA_KEY = "update data_key set retired = true where connector = $1 and not retired"
# Disconnected ones may come back; a deleted one leaves nobody's address behind.
FORGET_CONTACTS = """
delete from connector_contact k using connector c where k.connector = $1 and c.id = $1 and c.state = 'deleted'
"""
WANT_SHRED = "insert into job (kind, connector, run_at) values ('shred', $1, $2)"

# The job's result counts while its lease holds. A job that is wanted again gave its lease back in this transaction.
# A copy of a grant that wasn't taken is retired in the same transaction.
SETTLE_JOB = """
with settled as (
    delete from job where id = $1 and lease_token = $2::uuid returning kind, connector, attempt_id
),
retired as (
    update credential k set status = 'retiring' from settled s
    where s.kind = 'share' and k.connector = s.connector and k.attempt_id = s.attempt_id and k.status = 'candidate'
    returning k.connector, k.attempt_id
)
insert into job (kind, connector, attempt_id, run_at) select 'retire', connector, attempt_id, now() from retired
"""
HOLDS_LEASE = "select id from job where id = $1 and lease_token = $2::uuid for update"


async def carry_out(connection: Connection, consequences: Sequence[Consequence], pks: dict[ConnectorId, int]) -> None:
    await _check_leases(connection, [c for c in consequences if isinstance(c, JobSettled)])
    for consequence in consequences:
        match consequence:
            case AttemptOpened() as a:
                who = (a.person_id, a.person_name, a.return_url, a.browser_hash, a.expected)
                pk = pks[a.connector]
                await connection.execute(OPEN_ATTEMPT, pk, a.attempt, a.at, a.expires, a.completion, *who)
            case CodeReceived() as r:
                await connection.execute(RECEIVE_CODE, r.attempt, r.sealed, r.data_key, r.claimed_account)
            case AttemptEnded() as e:
                await connection.execute(END_ATTEMPT, e.attempt, e.at, e.reason, e.step, e.seen)
                await connection.execute(END_HANDOFFS, e.attempt, e.at)
                await connection.execute(END_VERIFICATION, e.attempt)
                await connection.execute(RETIRE_CANDIDATE, e.attempt, e.at)
            case AttemptHandedOn() as h:
                await connection.execute(VOID_HANDOFFS, h.attempt)
                given = (h.person_id, h.person_name, h.at, h.lifetime)
                await connection.execute(HAND_ON, h.hash, h.attempt, *given)
            case AttemptExplained() as x:
                await connection.execute(EXPLAIN_ATTEMPT, x.attempt, x.reason)
            case VerificationWanted() as v:
                await connection.execute(WANT_VERIFICATION, pks[v.connector], v.attempt, v.run_at, v.trace)
            case CredentialSwapped() as s:
                await connection.execute(RETIRE_CURRENT, pks[s.connector], s.at)
                made = await connection.execute(MAKE_CURRENT, pks[s.connector], s.attempt, s.generation)
                assert made == "UPDATE 1", "a verified attempt has its candidate, of the next generation"
                await connection.execute(COMPLETE_ATTEMPT, s.attempt, s.at, pks[s.connector])
                await connection.execute(SHARE_GRANT, s.attempt, pks[s.connector], s.at, s.trace, LOGIN_MENDS)
            case SyncBegan() as b:
                await connection.execute(SYNC_BEGAN, pks[b.connector])
            case ShredWanted() as w:
                await connection.execute(RETIRE_CURRENT, pks[w.connector], w.at)
                await connection.execute(RETIRE_DATA_KEY, pks[w.connector])
                await connection.execute(FORGET_CONTACTS, pks[w.connector])
                await connection.execute(WANT_SHRED, pks[w.connector], w.at)
            case JobSettled() as j:
                await connection.execute(SETTLE_JOB, j.job, j.token)


async def _check_leases(connection: Connection, settled: Sequence[JobSettled]) -> None:
    lost = {s.job for s in settled if await connection.fetchval(HOLDS_LEASE, s.job, s.token) is None}
    if lost:
        raise LeasesLost(lost)
