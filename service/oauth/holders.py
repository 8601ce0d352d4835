"""The credentials that hold one grant: what a refresh brings is sealed for each of them, under its own data key.

One of them that can't be sealed for fails alone (S34): the grant goes on without it, and its own token is never sent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.secret import Secret
from service.engine.submission import Door
from service.oauth.keeper import Keeper, found_broken, owner_of
from service.store.credentials import CredentialRow, DataKey
from service.store.pool import Pool
from service.store.refreshes import Resealed
from service.vault.keys import SealBroken


@dataclass(frozen=True, slots=True)
class Holder:
    """A credential that holds the grant, with the data key that it is sealed under."""

    row: CredentialRow
    key: DataKey


class Holders:
    """Finds and serves the holders of a grant."""

    def __init__(self, engine: Door, pool: Pool, keeper: Keeper) -> None:
        self._engine = engine
        self._pool = pool
        self._keeper = keeper

    async def usable(self, rows: Iterable[CredentialRow]) -> list[Holder]:
        """Those that can be sealed for. Raises `NoKey` where it isn't a row that is wrong."""
        usable = []
        for row in rows:
            try:
                owner_of(row)
                async with self._pool.acquire() as connection:
                    usable.append(Holder(row, await self._keeper.stored_key(connection, row.data_key)))
            except SealBroken as broken:
                await found_broken(self._engine, self._pool, row, broken)
        return usable

    async def resealed(self, holders: Sequence[Holder], access: Secret, refresh: Secret) -> list[Resealed]:
        """Both tokens for each of them, for the rotation after its own. Raises `NoKey`, likewise."""
        sealed = []
        for holder in holders:
            row, rotation = holder.row, holder.row.rotation + 1
            owner, seal = owner_of(row), self._keeper.seal
            try:
                new = await seal(holder.key, owner, f"access_token.{rotation}", access)
                sealed.append(Resealed(row, new, await seal(holder.key, owner, f"refresh_token.{rotation}", refresh)))
            except SealBroken as broken:
                await found_broken(self._engine, self._pool, row, broken)
        return sealed
