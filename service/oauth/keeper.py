"""The keeper: seals and opens what a connector owns, with the connector's own data key, and keeps record of openings.

What doesn't open is never used: the connector fails with `vault_integrity`, and whoever wanted the secret is told so.
"""

from dataclasses import dataclass

import orjson
import structlog

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.lifecycle import ActorKind
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.submission import Actor, Door, Submission
from service.store import credentials
from service.store.credentials import CredentialRow, DataKey
from service.store.pool import Connection, Pool
from service.telemetry import metrics
from service.vault.envelope import SealContext, WrappedKey
from service.vault.keys import KeyRetired, NoKey, SealBroken
from service.vault.vault import Vault
from statemachine.inputs import RefreshRejected

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose secret it is: part of what a seal covers."""

    pk: int
    tenant: TenantId
    connector: ConnectorId
    account: str
    """The proved account's id; empty while there is none."""
    generation: Generation

    def context(self, kind: str) -> SealContext:
        return SealContext(
            tenant=self.tenant,
            connector=self.connector,
            account=self.account,
            kind=kind,
            generation=self.generation,
        )


@dataclass(frozen=True, slots=True)
class Access:
    """Who opens a secret and what for, as the audit keeps it (S40)."""

    who: str
    why: str


def owner_of(row: CredentialRow) -> Owner:
    """The owner of a stored credential's secrets.

    Raises `SealBroken` of an older row that was put back: the connector and its data key know of a newer one.
    """
    if row.is_put_back:
        raise SealBroken(f"the credential of {row.connector} is an older one than was kept last")
    return Owner(row.pk, row.tenant, row.connector, row.account_id, row.generation)


class Keeper:
    """The vault, with the data keys from the store."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def key_of(self, connection: Connection, pk: int) -> DataKey:
        """The connector's data key; made, where it has none, or none that opens. Raises `NoKey`."""
        key = await credentials.data_key(connection, pk)
        if key is not None:
            try:
                await self._check(connection, key)
            except SealBroken as broken:
                metrics.SEALED_ROWS.labels("broken").inc()
                log.error("data_key_replaced", data_key=key.id, found=str(broken))
                await credentials.replace_data_key(connection, key)
            else:
                return key
        made = await self._vault.new_data_key()
        key = await credentials.add_data_key(connection, pk, bytes(made))
        if key is None:
            raise NoKey("the key that wraps was retired: this process doesn't see the newer one yet")
        return key

    async def stored_key(self, connection: Connection, id_: int) -> DataKey:
        """The data key that something was sealed with. Raises `SealBroken` when it is gone or doesn't open, `NoKey`."""
        key = await credentials.data_key_by_id(connection, id_)
        if key is None:
            raise SealBroken(f"data key {id_} is gone")
        await self._check(connection, key)
        return key

    async def seal(self, key: DataKey, owner: Owner, kind: str, secret: Secret) -> bytes:
        return await self._vault.seal(WrappedKey(key.wrapped), owner.context(kind), secret)

    async def opened(
        self, connection: Connection, key: DataKey, owner: Owner, kind: str, sealed: bytes, access: Access
    ) -> Secret:
        """The secret, once it is on record who opens it and why. Raises as `open`."""
        detail = orjson.dumps({"kind": kind, "generation": owner.generation, "why": access.why}).decode()
        await credentials.audit(connection, "secret_opened", owner.tenant, owner.connector, access.who, detail)
        return await self.open(key, owner, kind, sealed)

    async def open(self, key: DataKey, owner: Owner, kind: str, sealed: bytes) -> Secret:
        """The secret, for a caller who leaves the audit row. Raises `SealBroken` when the row isn't what was sealed."""
        return await self._vault.open(WrappedKey(key.wrapped), owner.context(kind), sealed)

    async def _check(self, connection: Connection, key: DataKey) -> None:
        """Raises `SealBroken` of a data key that doesn't open; `NoKey` where none of its neighbours does either.

        Then it isn't the row that is wrong, but the key that was mounted: that must send nobody to sign in.
        """
        try:
            await self._vault.check(WrappedKey(key.wrapped))
        except KeyRetired:
            raise
        except SealBroken:
            others = await credentials.others_under_its_key(connection, key.id)
            if others and not any([await self._opens(other) for other in others]):
                raise NoKey("no data key opens: another key has the number of the one that wrapped them") from None
            raise

    async def _opens(self, key: DataKey) -> bool:
        try:
            await self._vault.check(WrappedKey(key.wrapped))
        except SealBroken:
            return False
        return True


async def found_broken(engine: Door, pool: Pool, row: CredentialRow, broken: SealBroken) -> None:
    """The current credential isn't what was sealed (S34): its connector fails, so that nobody asks for it again.

    The next sign-in begins under another data key: what was done to this one, or said of it, doesn't matter then.
    """
    metrics.SEALED_ROWS.labels("broken").inc()
    log.error("vault_integrity", connector=row.connector, generation=row.generation, found=str(broken))
    async with pool.acquire() as connection:
        await credentials.give_up_data_key(connection, row.pk)
    rejected = RefreshRejected(connector=row.connector, generation=row.newest, reason=Reason.VAULT_INTEGRITY)
    await engine.submit(Submission(input=rejected, actor=Actor(ActorKind.REGRANT, "vault")))
