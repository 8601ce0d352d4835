"""Reads what a story is told from: the connector's log and notes, and how far the person of its attempt is."""

from dataclasses import dataclass

from schemas.ids import ConnectorId, TenantId
from schemas.lifecycle import State
from service.insight.entries import Entry, in_order, of_note, of_record
from service.insight.names import Names, ProviderNames
from service.insight.why import Glimpse, Why, why
from service.store import reads, stories
from service.store.pool import Connection
from statemachine.connector import Connector

NEWEST = 200
"""So many transitions, and so many notes, are looked at for a paragraph."""


@dataclass(frozen=True, slots=True)
class Known:
    """A connector and what happened to it, the oldest first."""

    pk: int
    connector: Connector
    entries: list[Entry]
    glimpse: Glimpse | None
    more: bool
    """Whether older entries are left out."""

    def why(self, provider: ProviderNames) -> Why:
        return why(self.connector, self.entries, Names.of(self.connector, provider), self.glimpse)


async def known(
    connection: Connection, id_: ConnectorId, tenant: TenantId | None = None, limit: int = NEWEST
) -> Known | None:
    """What is told of a connector, as of one moment; `None` where the tenant (or, without one, nobody) has it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if tenant is None:
            found = await stories.connector_of_any_tenant(connection, id_)
        else:
            found = await reads.connector(connection, id_, tenant)
        if found is None:
            return None
        pk, connector = found
        log = await stories.log(connection, pk, limit)
        glimpse = await glimpse_of(connection, connector)
        return Known(pk, connector, entries_of(log), glimpse, log.more)


def entries_of(log: stories.Log) -> list[Entry]:
    """The log's rows as entries, the oldest first."""
    transitions = [of_record(record.transition, record.trace) for record in log.transitions]
    return in_order([*transitions, *map(of_note, log.notes)])


async def glimpse_of(connection: Connection, connector: Connector) -> Glimpse | None:
    if connector.state is not State.AWAITING_AUTH or connector.attempt is None:
        return None
    step = await stories.step(connection, connector.attempt)
    return Glimpse(connector.attempt, step) if step else None
