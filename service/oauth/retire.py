"""Retiring what is no longer used: revoked at the provider where that can't hurt, and shredded always.

No document says whether Intuit revokes one token, or everything that an app has at a company. So a description says
`revoke_scope`; with `account`, nothing is revoked while any live connector uses that account. A grant that several
connectors hold is revoked with the last of them.
"""

from datetime import timedelta

import structlog

from schemas.secret import Secret
from service.oauth import grant as oauth
from service.oauth.description import Providers
from service.oauth.grant import Unavailable
from service.oauth.keeper import Access, Keeper, owner_of
from service.oauth.outbound import Outbound
from service.store import credentials
from service.store.credentials import CredentialRow
from service.store.due import Job, finish, postpone
from service.store.pool import Pool
from service.telemetry import metrics
from service.vault.keys import NoKey, SealBroken

log = structlog.get_logger()

GIVE_UP_AFTER = 20
"""Tries of a revocation: with pauses up to five minutes, more than an hour. Then only our copy is shredded."""
_REVOKING = Access("regrant", "revoke")


class Retirer:
    """Runs jobs of the kinds `retire` (one credential) and `shred` (a connector's keys)."""

    def __init__(self, pool: Pool, keeper: Keeper, providers: Providers, outbound: Outbound) -> None:
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._outbound = outbound

    async def retire(self, job: Job) -> None:
        """Revokes a superseded or unused credential where that is safe, then shreds it."""
        assert job.attempt is not None
        async with self._pool.acquire() as connection:
            row = await credentials.retiring(connection, job.pk, job.attempt)
        if row is not None and await self._may_revoke(row) and not await self._revoke(row):
            if job.tries < GIVE_UP_AFTER:
                async with self._pool.acquire() as connection:
                    await postpone(connection, job, timedelta(seconds=min(2**job.tries, 300)))
                return
            log.warning("revocation_given_up", connector=row.connector, tries=job.tries)
        async with self._pool.acquire() as connection, connection.transaction():
            await credentials.shred_credential(connection, job.pk, job.attempt)
            await credentials.shred_keys(connection, job.pk)
            await finish(connection, job)

    async def shred(self, job: Job) -> None:
        """Destroys a connector's retired data keys, after the last credential under them is gone."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await credentials.shred_keys(connection, job.pk):
                await finish(connection, job)
            else:
                await postpone(connection, job, timedelta(seconds=2))

    async def _may_revoke(self, row: CredentialRow) -> bool:
        if row.borrowed:
            return False  # an import that was refused: the host works with it
        async with self._pool.acquire() as connection:
            if await credentials.grant_in_use(connection, row):
                return False  # another connector lives on this very grant
            if self._providers[row.provider].description.revoke_scope == "token":
                return True
            if not row.account_id:
                return False  # it isn't known what it is of: it may be of an account that somebody lives on
            return not await credentials.account_in_use(connection, row.provider, row.account_id)

    async def _revoke(self, row: CredentialRow) -> bool:
        """Whether nothing is left to be revoked."""
        try:
            token = await self._token(row)
            if await self._counts_still(row, token):
                return True
        except SealBroken as broken:
            metrics.SEALED_ROWS.labels("broken").inc()
            log.error("vault_integrity", connector=row.connector, generation=row.generation, found=str(broken))
            return True  # it can't be opened, so it can't be revoked either
        except NoKey as error:
            log.warning("revocation_waits_for_a_key", connector=row.connector, error=str(error))
            return False
        config, account = self._providers[row.provider], row.account_id or None
        result = await oauth.revoke(self._outbound, config, token, account)
        return not isinstance(result, Unavailable)

    async def _counts_still(self, row: CredentialRow, token: Secret) -> bool:
        """Whether the connector's present credential is this very grant, which a host brought a second time."""
        async with self._pool.acquire() as connection:
            current = await credentials.current(connection, row.pk)
        if current is None:
            return False
        try:
            return await self._token(current) == token
        except SealBroken:
            return False  # whoever needs it is told

    async def _token(self, row: CredentialRow) -> Secret:
        kind, sealed = f"access_token.{row.rotation}", row.access_sealed
        if row.refresh_sealed is not None:
            kind, sealed = f"refresh_token.{row.rotation}", row.refresh_sealed
        async with self._pool.acquire() as connection:
            key = await self._keeper.stored_key(connection, row.data_key)
            return await self._keeper.opened(connection, key, owner_of(row), kind, sealed, _REVOKING)
