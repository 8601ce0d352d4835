"""Copies of a grant: what a sign-in brought becomes the candidate of another connector, which it repairs, too.

A copy is a credential of its own, sealed under its connector's data key. What it has in common with the others that
hold the grant is the grant's id and the rotation: they are refreshed together (`refreshes.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.ids import AttemptId
from service.store.consequences import SETTLE_JOB
from service.store.credentials import FIELDS, CredentialRow, DataKey, known
from service.store.due import Job
from service.store.pool import Connection

# The credential that an attempt brought its own connector, while it is in use.
_BROUGHT = """
join attempt a on a.attempt_id = k.attempt_id and a.connector = k.connector
where k.attempt_id = $1 and k.status = 'current'
"""
BROUGHT = f"{FIELDS} {_BROUGHT}"
CURRENT = f"{FIELDS} where k.connector = $1 and k.status = 'current'"

# A copy of what was read, and of nothing else: while nobody refreshes the grant, and nobody has. The count is what
# tells a refresh that reads the holders at this very moment: both write that row, so one of them comes second. Only
# under the job's lease, and once.
COPY = """
with brought as (
    update credential k set copies = copies + 1
    from connector c
    where k.id = $1 and k.rotation = $2 and k.status = 'current' and c.id = k.connector
      and (k.refresh_until is null or k.refresh_until < now())
      and (c.reason is null or c.reason <> all($8::text[]))
      and not exists (select from credential newer where newer.grant_id = k.grant_id and newer.rotation > k.rotation)
      and exists (select from job where id = $9 and lease_token = $10)
      and exists (select from connector where id = $3 and state = 'failed' and generation = $4)
      and not exists (select from credential where connector = $3 and attempt_id = k.attempt_id)
    returning k.*
)
insert into credential (
    connector, generation, attempt_id, status, data_key, account_id, access_sealed, refresh_sealed, rotation,
    access_expires_at, refresh_expires_at, hard_expires_at, scope, granted_by, made_at, refreshed_at, refresh_due,
    previous_sealed, refresh_estimated, hard_estimated, announced_end, grant_id
)
select $3, $4 + 1, attempt_id, 'candidate', $5, account_id, $6, $7, rotation,
    access_expires_at, refresh_expires_at, hard_expires_at, scope, granted_by, made_at, refreshed_at, refresh_due,
    $11, refresh_estimated, hard_estimated, announced_end, grant_id
from brought
on conflict (attempt_id, connector) do nothing
returning id
"""


@dataclass(frozen=True, slots=True)
class Copied:
    """The tokens of a grant, sealed for another connector."""

    key: DataKey
    access: bytes
    refresh: bytes | None
    previous: bytes | None


async def brought(connection: Connection, attempt: AttemptId) -> CredentialRow | None:
    """The credential that an attempt brought, in its own connector; `None` where that has another one by now."""
    row = await connection.fetchrow(BROUGHT, attempt)
    return known(row) if row else None


async def current(connection: Connection, pk: int) -> CredentialRow | None:
    """The credential that a connector uses."""
    row = await connection.fetchrow(CURRENT, pk)
    return known(row) if row else None


async def copy(
    connection: Connection,
    job: Job,
    brought: CredentialRow,
    other: CredentialRow,
    sealed: Copied,
    ended: Sequence[str],
) -> bool:
    """Keeps a copy as the other connector's candidate; false when anything of it has changed since it was read.

    `ended` are the reasons after which a grant is dead.
    """
    values = (sealed.key.id, sealed.access, sealed.refresh, ended, job.id, job.lease, sealed.previous)
    made = await connection.fetchval(COPY, brought.id, brought.rotation, other.pk, other.newest, *values)
    return made is not None


async def give_up(connection: Connection, job: Job) -> None:
    """Ends a job without a result; a copy that it has made is retired."""
    await connection.execute(SETTLE_JOB, job.id, str(job.lease))
