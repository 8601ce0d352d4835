"""Contacts: whom e-mail asks when a connector needs its owner, and of which transition each was told last.

A deleted connector has none: its deletion takes them along (`service/store/consequences.py`), and who sets some holds
the connector's row against it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from schemas.ids import ConnectorId, TenantId
from schemas.secret import Secret
from service.store.credentials import audit
from service.store.pool import Connection
from service.store.rows import connector_of
from statemachine.connector import Connector

# Held until the transaction's end, so that nobody deletes the connector or sets its contacts meanwhile.
HOLD = """
select id from connector where connector_id = $1 and tenant_id = $2 and state <> 'deleted' for no key update
"""
TAKE_OUT = "delete from connector_contact where connector = $1 and address <> all ($2::text[])"
# Whoever stays is still told of each transition once.
PUT_IN = """
insert into connector_contact (connector, address, language) select $1, * from unnest($2::text[], $3::text[])
on conflict (connector, address) do update set language = excluded.language, refused_at = null
"""
CONTACTS = "select address, language, refused_at from connector_contact where connector = $1 order by address"
UNTOLD = """
select address, language, refused_at from connector_contact where connector = $1 and told < $2 order by address
"""
TOLD = """
update connector_contact set told = greatest(told, $3), refused_at = case when $4 then now() end
where connector = $1 and address = $2
"""
# The connector now, and whether a later transition has one of these notices. Index transition_connector.
STANDS = """
select c.*, exists (
    select from transition t
    where t.connector = c.id and t.version > $2 and t.record::json ->> 'notice' = any ($3::text[])
) as has_newer
from connector c where c.id = $1
"""


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to write to, and in which language."""

    address: Secret
    """No secret, but personal: it hides itself alike."""
    language: str
    """A tag like `de` or `de-AT`."""
    refused_at: datetime | None = None


async def set_contacts(
    connection: Connection, connector: ConnectorId, tenant: TenantId, contacts: Sequence[Contact], actor: str
) -> int | None:
    """Puts these in the place of all that there were; returns the connector's internal key.

    `None` when the tenant has no such connector. In a transaction. The audit is told how many there are, never who.
    """
    pk: int | None = await connection.fetchval(HOLD, connector, tenant)
    if pk is None:
        return None
    addresses = [contact.address.reveal() for contact in contacts]
    await connection.execute(TAKE_OUT, pk, addresses)
    await connection.execute(PUT_IN, pk, addresses, [contact.language for contact in contacts])
    await audit(connection, "contacts_set", tenant, connector, actor, f'{{"contacts": {len(contacts)}}}')
    return pk


async def contacts_of(connection: Connection, pk: int) -> list[Contact]:
    """A connector's contacts."""
    return [_contact(row) for row in await connection.fetch(CONTACTS, pk)]


async def untold(connection: Connection, pk: int, version: int) -> list[Contact]:
    """Those who were told of no transition of this version or a later one."""
    return [_contact(row) for row in await connection.fetch(UNTOLD, pk, version)]


async def told(connection: Connection, pk: int, version: int, contact: Contact, *, refused: bool) -> None:
    """Notes that a contact's message of that version is done with: taken, or refused for good."""
    await connection.execute(TOLD, pk, contact.address.reveal(), version, refused)


async def stands(connection: Connection, pk: int, version: int, notices: Collection[str]) -> tuple[Connector, bool]:
    """The connector now, and whether one of these notices came after that version."""
    row = await connection.fetchrow(STANDS, pk, version, list(notices))
    assert row is not None, "a connector's row outlives it"
    return connector_of(row), row["has_newer"]


def _contact(row: asyncpg.Record) -> Contact:
    return Contact(Secret(row["address"]), row["language"], row["refused_at"])
