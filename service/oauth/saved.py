"""Verifying again: the provider is asked about the credential in use, and nobody has to sign in.

What made a connector fail may have been mended elsewhere: an account that was paid for again, a permission that was
given back, a secret of ours that was put right. The grant is refreshed, which a dead one doesn't survive, and the new
token has to open the connector's account. A dead verdict stops workers; somebody who asks is one call, so it may.
"""

from dataclasses import dataclass
from datetime import timedelta

from schemas.ids import Generation
from schemas.reasons import Reason
from schemas.records import Evidence
from service.oauth.description import Providers
from service.oauth.grant import Grant, Unavailable
from service.oauth.keeper import Access, Keeper, owner_of
from service.oauth.outbound import Outbound
from service.oauth.refresh import Cause, Denied, Refresher
from service.oauth.verification import Rejection, verify_saved
from service.store import credentials
from service.store.credentials import CredentialRow
from service.store.pool import Pool
from service.vault.keys import SealBroken
from statemachine.connector import Account


@dataclass(frozen=True, slots=True)
class Finding:
    """What the provider says of a credential."""

    generation: Generation
    reason: Reason | None = None
    """What it has against it, or why it couldn't be asked; `None`: it is right."""
    evidence: Evidence | None = None
    retry_after: timedelta | None = None


class SavedVerifier:
    """Asks providers about credentials in use."""

    def __init__(
        self, pool: Pool, keeper: Keeper, providers: Providers, outbound: Outbound, refresher: Refresher
    ) -> None:
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._outbound = outbound
        self._refresher = refresher

    async def find(self, pk: int, who: str) -> Finding | None:
        """What the provider says of the connector's credential, to be handed in; `None`: it has none."""
        row, why = await self._current(pk), Access(who, "verify again")
        if row is None or row.provider not in self._providers:
            return None
        if row.refresh_sealed is not None:
            denied = await self._refresher.newer(row, Cause(why, ended=()))
            if denied is not None:
                return _of(row, denied)
            row = await self._current(pk)  # what was stored meanwhile
            if row is None:
                return None
        try:
            return await self._asked(row, why)
        except SealBroken as broken:
            return _of(row, await self._refresher.broken(row, broken))

    async def _current(self, pk: int) -> CredentialRow | None:
        async with self._pool.acquire() as connection:
            return await credentials.current(connection, pk)

    async def _asked(self, row: CredentialRow, why: Access) -> Finding:
        owner, kind = owner_of(row), f"access_token.{row.rotation}"
        async with self._pool.acquire() as connection:
            key = await self._keeper.stored_key(connection, row.data_key)
            token = await self._keeper.opened(connection, key, owner, kind, row.access_sealed, why)
        account = Account(row.account_id, row.account_name)
        found = await verify_saved(self._outbound, self._providers[row.provider], Grant(token), account)
        match found:
            case None:
                return Finding(row.generation)
            case Unavailable():
                evidence = Evidence(at="network", status=found.status, request_id=found.request_id)
                return Finding(row.generation, found.reason, evidence, found.retry_after)
            case Rejection():
                return Finding(row.generation, found.reason, found.evidence)


def _of(row: CredentialRow, denied: Denied) -> Finding:
    """The refresh says it already; what the provider's answer was, it has told where it changed the connector."""
    return Finding(row.generation, denied.reason or Reason.PROVIDER_UNAVAILABLE, retry_after=denied.retry_after)
