"""The token service: a fresh access token for the sync engine, with one refresh in flight per connector.

The rotated refresh token is stored before the new access token is handed to anybody. `invalid_grant` is judged only
after the stored credential was read again: somebody else may have rotated it.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from uuid import UUID

import orjson
import structlog

from schemas import api
from schemas.ids import ConnectorId, TenantId
from schemas.lifecycle import ActorKind, State
from schemas.reasons import Reason
from schemas.records import Account
from service.engine.door import Engine
from service.engine.submission import Actor, Submission
from service.oauth import grant as oauth
from service.oauth.description import Providers
from service.oauth.grant import Grant, Refusal, Unavailable
from service.oauth.keeper import Access, Keeper, found_broken, owner_of
from service.oauth.outbound import Outbound
from service.oauth.verify import lifetimes_of
from service.store import credentials
from service.store.credentials import CredentialRow
from service.store.pool import Pool
from service.vault.keys import SealBroken
from statemachine.inputs import RefreshRejected

log = structlog.get_logger()

REFRESH_LEASE = timedelta(seconds=20)
WAIT = timedelta(seconds=15)
POLL_S = 0.1
_REFRESHING = Access("regrant", "refresh")


class NoToken(Enum):
    """Why there is no token to be had."""

    UNKNOWN = "unknown"
    NOT_CONNECTED = "not_connected"
    NEEDS_REAUTHORISATION = "needs_reauthorisation"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    CLIENT_REJECTED = "client_rejected"


@dataclass(frozen=True, slots=True)
class Denied:
    """No token, and when to ask again."""

    why: NoToken
    reason: Reason | None = None
    retry_after: timedelta | None = None


class Tokens:
    """Hands out access tokens."""

    def __init__(self, engine: Engine, pool: Pool, keeper: Keeper, providers: Providers, outbound: Outbound) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper
        self._providers = providers
        self._outbound = outbound

    async def access_token(
        self, tenant: TenantId, connector: ConnectorId, min_ttl: timedelta, caller: str
    ) -> api.AccessToken | Denied:
        """An access token that is valid for `min_ttl` at least (as far as the provider's lifetimes allow)."""
        give_up = asyncio.get_running_loop().time() + WAIT.total_seconds()
        while True:
            row = await self._current(connector, tenant)
            if isinstance(row, Denied):
                return row
            if row.is_put_back or row.access_left > min_ttl:
                return await self._handed_out(row, caller)
            async with self._pool.acquire() as connection:
                lease = await credentials.lease_refresh(connection, row, REFRESH_LEASE)
            if lease is not None:
                denied = await self._refresh(row, lease)
                if denied is not None:
                    return denied
                min_ttl = timedelta(0)  # whatever came is the freshest there is
            elif asyncio.get_running_loop().time() > give_up:
                return Denied(NoToken.PROVIDER_UNAVAILABLE, Reason.PROVIDER_UNAVAILABLE, timedelta(seconds=5))
            else:
                await asyncio.sleep(POLL_S)  # somebody else refreshes: their result is ours, too

    async def _current(self, connector: ConnectorId, tenant: TenantId) -> CredentialRow | Denied:
        async with self._pool.acquire() as connection:
            row = await credentials.current(connection, connector, tenant)
        if row is None or row.state in (State.DISCONNECTED, State.DELETED):
            return Denied(NoToken.NOT_CONNECTED)
        if row.reason is not None and row.reason.offers_login:
            # A dead verdict stops every further call, also while somebody is on their way to sign in.
            return Denied(NoToken.NEEDS_REAUTHORISATION, row.reason)
        return row

    async def _handed_out(self, row: CredentialRow, caller: str) -> api.AccessToken | Denied:
        try:
            async with self._pool.acquire() as connection:
                key = await self._keeper.stored_key(connection, row.data_key)
                token = await self._keeper.open(key, owner_of(row), f"access_token.{row.rotation}", row.access_sealed)
                detail = orjson.dumps({"generation": row.generation, "rotation": row.rotation}).decode()
                await credentials.audit(connection, "token_read", row.tenant, row.connector, caller, detail)
        except SealBroken as broken:
            return await self._broken(row, broken)
        return api.AccessToken(
            access_token=token.reveal(),
            expires_at=row.access_expires_at,
            generation=row.generation,
            account=Account(id=row.account_id, name=row.account_name),
            provider=row.provider,
        )

    async def _refresh(self, row: CredentialRow, lease: UUID) -> Denied | None:
        """Refreshes under the lease; `None` when there is something new to read."""
        config = self._providers[row.provider]
        if row.refresh_sealed is None:
            return await self._dead(row, lease, Reason.TOKEN_REFUSED)
        kind = f"refresh_token.{row.rotation}"
        try:
            async with self._pool.acquire() as connection:
                key = await self._keeper.stored_key(connection, row.data_key)
                old = await self._keeper.opened(connection, key, owner_of(row), kind, row.refresh_sealed, _REFRESHING)
        except SealBroken as broken:
            return await self._broken(row, broken)
        match await oauth.refresh(self._outbound, config, old, row.account_id or None):
            case Grant() as grant:
                owner, rotation = owner_of(row), row.rotation + 1
                access = await self._keeper.seal(key, owner, f"access_token.{rotation}", grant.access_token)
                kept = grant.refresh_token or old
                refresh = await self._keeper.seal(key, owner, f"refresh_token.{rotation}", kept)
                async with self._pool.acquire() as connection:
                    lifetimes = lifetimes_of(grant, config)
                    await credentials.keep_refreshed(connection, row, lease, access, refresh, lifetimes)
                return None
            case Unavailable() as unavailable:
                await self._release(row, lease)
                pause = unavailable.retry_after or timedelta(seconds=5)
                return Denied(NoToken.PROVIDER_UNAVAILABLE, unavailable.reason, pause)
            case Refusal() as refusal:
                return await self._dead(row, lease, refusal.reason)
        raise AssertionError("every answer is one of the three")

    async def _dead(self, row: CredentialRow, lease: UUID, reason: Reason) -> Denied | None:
        """The provider refused. Only if nobody has rotated the credential since is it dead."""
        await self._release(row, lease)
        async with self._pool.acquire() as connection:
            now = await credentials.current(connection, row.connector, row.tenant)
        if now is None or (now.id, now.rotation) != (row.id, row.rotation):
            return None
        rejected = RefreshRejected(connector=row.connector, generation=row.generation, reason=reason)
        actor = Actor(ActorKind.PROVIDER, row.provider)
        await self._engine.submit(Submission(input=rejected, actor=actor))
        if reason is Reason.CLIENT_REJECTED:
            return Denied(NoToken.CLIENT_REJECTED, reason, timedelta(minutes=1))
        return Denied(NoToken.NEEDS_REAUTHORISATION, reason)

    async def _broken(self, row: CredentialRow, broken: SealBroken) -> Denied:
        """What is stored isn't what was sealed: the connector fails, and the provider isn't asked (S34)."""
        await found_broken(self._engine, self._pool, row, broken)
        return Denied(NoToken.NEEDS_REAUTHORISATION, Reason.VAULT_INTEGRITY)

    async def _release(self, row: CredentialRow, lease: UUID) -> None:
        async with self._pool.acquire() as connection:
            await credentials.release_refresh(connection, row, lease)
