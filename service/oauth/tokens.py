"""The token service: a fresh access token for the sync engine, and never one that its provider has refused.

A fresh one costs one round trip to the sealed store, shared with whoever asks at the same moment. For everything else
the refresher is asked, and what it stored is read.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import orjson

from schemas import api
from schemas.ids import ConnectorId, Generation, TenantId
from schemas.reasons import Reason
from schemas.records import Account
from schemas.secret import Secret
from service.oauth.keeper import Keeper, owner_of
from service.oauth.reading import Reader
from service.oauth.refresh import ENDED, LATER, WAIT, Denied, NoToken, Refresher
from service.store import credentials, tokens
from service.store.pool import Pool
from service.store.tokens import Asked, Read
from service.vault.keys import SealBroken

TRIES = 5
"""How often a token that came is too short-lived, or refused meanwhile, before the caller is told to come back."""
NEW = timedelta(seconds=30)
"""A token that was refreshed so recently is not refreshed because it was refused."""


@dataclass(frozen=True, slots=True)
class RefusedToken:
    """The access token that the provider's API refused, as the answer that held it named it."""

    generation: Generation
    rotation: int


class Tokens:
    """Hands out access tokens."""

    def __init__(self, pool: Pool, keeper: Keeper, refresher: Refresher) -> None:
        self._pool = pool
        self._keeper = keeper
        self._refresher = refresher
        self._reader = Reader(pool, ENDED)

    async def access_token(
        self,
        tenant: TenantId,
        connector: ConnectorId,
        min_ttl: timedelta,
        caller: str,
        refused: RefusedToken | None = None,
    ) -> api.AccessToken | Denied:
        """An access token that is valid for `min_ttl` at least, as far as the provider's lifetimes allow.

        `refused` is one that nobody gets again.
        """
        is_refused = refused is not None and await self._end(tenant, connector, refused, caller)
        give_up = asyncio.get_running_loop().time() + WAIT.total_seconds()
        for _ in range(TRIES):
            read = await self._reader.read(Asked(connector, tenant, min_ttl, caller))
            if read is None:
                return Denied(NoToken.NOT_CONNECTED)
            if read.is_served or (read.row.is_put_back and not read.row.wants_login):
                return await self._opened(read)
            if read.row.wants_login:
                return Denied(NoToken.NEEDS_REAUTHORISATION, read.row.reason)
            if is_refused and read.row.rotation > 0 and read.row.since_refresh < NEW:
                # Refreshing doesn't help: the next sync tells why, and a caller that goes on refusing causes no storm.
                return Denied(NoToken.PROVIDER_UNAVAILABLE, Reason.TOKEN_REFUSED, NEW - read.row.since_refresh)
            if asyncio.get_running_loop().time() > give_up:
                break
            denied = await self._refresher.newer(read.row)
            if denied is not None:
                return denied
            is_refused, min_ttl = False, timedelta(0)  # whatever came is the freshest there is
        return LATER

    async def _opened(self, read: Read) -> api.AccessToken | Denied:
        row = read.row
        try:
            token = await self._access_token(read)
        except SealBroken as broken:
            return await self._refresher.broken(row, broken)
        return api.AccessToken(
            access_token=token.reveal(),
            expires_at=row.access_expires_at,
            generation=row.generation,
            rotation=row.rotation,
            account=Account(id=row.account_id, name=row.account_name),
            provider=row.provider,
        )

    async def _access_token(self, read: Read) -> Secret:
        """The token, whose audit row is there. Raises `SealBroken`, or `NoKey` where it isn't the row that is wrong."""
        row, kind = read.row, f"access_token.{read.row.rotation}"
        owner = owner_of(row)
        if read.key is not None:
            try:
                return await self._keeper.open(read.key, owner, kind, row.access_sealed)
            except SealBroken:
                pass  # whose fault it is, the keeper finds out
        async with self._pool.acquire() as connection:
            key = await self._keeper.stored_key(connection, row.data_key)
        return await self._keeper.open(key, owner, kind, row.access_sealed)

    async def _end(self, tenant: TenantId, connector: ConnectorId, refused: RefusedToken, caller: str) -> bool:
        """The provider's API refused a token: it counts as over, if it is still the one that would be served."""
        async with self._pool.acquire() as connection:
            is_ended = await tokens.end_access(connection, connector, tenant, refused.generation, refused.rotation)
            if is_ended:
                detail = orjson.dumps({"generation": refused.generation, "rotation": refused.rotation}).decode()
                await credentials.audit(connection, "token_refused", tenant, connector, caller, detail)
        return is_ended
