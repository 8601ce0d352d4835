"""Imported grants in the store: candidates that came without a code. They are the host's own until they count."""

from collections.abc import Sequence
from datetime import timedelta

from schemas.ids import ConnectorId, Generation, ProviderId, TenantId
from service.store.attempts import AttemptRow
from service.store.credentials import CredentialRow, DataKey, Lifetimes
from service.store.pool import Connection

# Kept beside the connector's own, as a person's grant is, while its attempt is open.
ADD_BORROWED = """
insert into credential (
    connector, generation, attempt_id, status, data_key, account_id, access_sealed, refresh_sealed,
    access_expires_at, refresh_expires_at, hard_expires_at, scope, borrowed, refresh_due, refresh_estimated,
    hard_estimated, announced_end
)
select connector, $2, $1, 'candidate', $3, '', $4, $5,
    now() + $6::interval, now() + $7::interval, now() + $8::interval, $9, true,
    now() + $7::interval * (0.3 + 0.1 * random()), $10, $11, $12
from attempt where attempt_id = $1 and ended_at is null
on conflict (attempt_id, connector) do nothing
returning id
"""
CLAIM = "update attempt set claimed_account = $2, step = 'exchanged' where attempt_id = $1 and ended_at is null"

# It was refreshed on arrival, since its access token was over, or didn't come along.
RENEW_BORROWED = """
update credential set
    access_sealed = $2, refresh_sealed = $3, access_expires_at = now() + $4::interval, refreshed_at = now(),
    refresh_expires_at = coalesce(now() + $5::interval, refresh_expires_at),
    hard_expires_at = coalesce(now() + $6::interval, hard_expires_at),
    hard_estimated = hard_estimated and $6::interval is null
where connector = $7 and attempt_id = $1 and status = 'candidate' and borrowed
"""
# Whether a tenant's connector works with a credential of this provider and account, whichever account if none is told.
WORKS = """
select exists (
    select from connector c join credential k on k.connector = c.id and k.status = 'current'
    where c.connector_id = $1 and c.tenant_id = $2 and c.provider = $3 and ($4::text is null or c.account_id = $4)
      and c.state not in ('disconnected', 'deleted') and (c.reason is null or c.reason <> all($5::text[]))
)
"""


async def works(
    connection: Connection,
    connector: ConnectorId,
    tenant: TenantId,
    provider: ProviderId,
    account: str | None,
    ended: Sequence[str],
) -> bool:
    """Whether there is nothing to be brought. `ended` are the reasons after which a credential is of no use."""
    there: bool = await connection.fetchval(WORKS, connector, tenant, provider, account, ended)
    return there


async def add_borrowed(
    connection: Connection,
    attempt: AttemptRow,
    key: DataKey,
    generation: Generation,
    access_sealed: bytes,
    refresh_sealed: bytes | None,
    access_left: timedelta,
    lifetimes: Lifetimes,
    scope: str,
    claimed: str | None,
) -> bool:
    """Keeps a sealed grant as the attempt's candidate; false when the attempt has ended."""
    sealed = (key.id, access_sealed, refresh_sealed, access_left, lifetimes.refresh, lifetimes.hard)
    ends = (lifetimes.refresh_estimated, lifetimes.hard_estimated, lifetimes.announced_end)
    async with connection.transaction():
        await connection.execute(CLAIM, attempt.attempt, claimed)
        added = await connection.fetchval(ADD_BORROWED, attempt.attempt, generation, *sealed, scope, *ends)
    return added is not None


async def renew_borrowed(
    connection: Connection, candidate: CredentialRow, access_sealed: bytes, refresh_sealed: bytes, lifetimes: Lifetimes
) -> None:
    await connection.execute(
        RENEW_BORROWED,
        candidate.attempt,
        access_sealed,
        refresh_sealed,
        lifetimes.access,
        lifetimes.refresh,
        lifetimes.hard,
        candidate.pk,
    )
