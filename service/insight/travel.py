"""Time travel: a connector as it stood at an instant, by the log, which holds no observations."""

from datetime import datetime

import orjson

from schemas.ids import ConnectorId, TenantId
from service.insight.entries import connector_of_record
from service.store import fleet, listing
from service.store.pool import Connection
from statemachine.connector import Connector


class BeforeTheLog(Exception):
    """The log no longer goes back to that instant."""

    def __init__(self, begins: datetime) -> None:
        super().__init__(f"The log goes back to {begins:%Y-%m-%dT%H:%M:%SZ}.")


async def check_reach(connection: Connection, then: datetime) -> None:
    """Raises `BeforeTheLog` for an instant of which nothing can be told any more."""
    if then < (begins := await fleet.log_begins(connection)):
        raise BeforeTheLog(begins)


async def stood(connection: Connection, id_: ConnectorId, tenant: TenantId, then: datetime) -> Connector | None:
    """A tenant's connector as it stood; `None` where it wasn't there. Raises `BeforeTheLog`."""
    await check_reach(connection, then)
    record = await listing.one_stood(connection, id_, tenant, then)
    return connector_of_record(orjson.loads(record)["connector"]) if record is not None else None
