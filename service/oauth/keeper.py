"""The keeper: seals and opens what a connector owns, with the connector's own data key."""

from dataclasses import dataclass

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.secret import Secret
from service.store import credentials
from service.store.credentials import CredentialRow, DataKey
from service.store.pool import Connection
from service.vault.envelope import SealContext, WrappedKey
from service.vault.vault import Vault


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


def owner_of(row: CredentialRow) -> Owner:
    """The owner of a stored credential's secrets."""
    return Owner(row.pk, row.tenant, row.connector, row.account_id, row.generation)


class Keeper:
    """The vault, with the data keys from the store."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def key_of(self, connection: Connection, pk: int) -> DataKey:
        """The connector's data key; made, where it has none."""
        key = await credentials.data_key(connection, pk)
        if key is None:
            made = await self._vault.new_data_key()
            key = await credentials.add_data_key(connection, pk, bytes(made))
        return key

    async def seal(self, key: DataKey, owner: Owner, kind: str, secret: Secret) -> bytes:
        return await self._vault.seal(WrappedKey(key.wrapped), owner.context(kind), secret)

    async def open(self, key: DataKey, owner: Owner, kind: str, sealed: bytes) -> Secret:
        """The secret. Raises `SealBroken` when the row isn't what was sealed."""
        return await self._vault.open(WrappedKey(key.wrapped), owner.context(kind), sealed)
