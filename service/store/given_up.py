"""Events that an endpoint never accepted: which they are, and sending one once more because somebody asked for it.

Who asks marks the row, with an audit row of it, and the connector's courier sends the event: at least once, like any.
Accepted, it was never given up; else its row is as before, with what went wrong this time.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from schemas.ids import ConnectorId, Shard, TenantId
from service.store.couriers import LOG_ROW, LogRow, log_row
from service.store.pool import Connection

_COLUMNS = "c.connector_id, c.tenant_id, g.version, g.at, g.since, g.tries, g.failure, g.asked_at"
_IN_THE_LOG = "exists (select from transition t where t.connector = g.connector and t.version = g.version)"
_VIEW = f"select {_COLUMNS} from webhook_given_up g join connector c on c.id = g.connector"  # noqa: S608 - as they are
# The newest. Index webhook_given_up_at.
NEWEST = f"{_VIEW} where g.endpoint = $1 order by g.at desc limit $2"
# One that can be sent: the log still has it.
ONE = f"{_VIEW} where g.endpoint = $1 and c.connector_id = $2 and g.version = $3 and {_IN_THE_LOG}"
# Of two who ask at once one marks it, and leaves the audit row.
ASK = f"""
with asked as (
    update webhook_given_up g set asked_at = now() from connector c
    where c.connector_id = $2 and g.connector = c.id and g.endpoint = $1 and g.version = $3 and g.asked_at is null
      and {_IN_THE_LOG}
    returning {_COLUMNS}
), audited as (
    insert into audit (what, tenant_id, connector_id, actor, detail)
    select 'webhook_send_again', tenant_id, connector_id, $4, $5 from asked
)
select * from asked
"""  # noqa: S608 - likewise
# What somebody wants sent, one of each connector, and of none that has others to be sent first. Index
# webhook_given_up_asked.
ASKED = f"""
{LOG_ROW} join webhook_given_up g on g.connector = t.connector and g.version = t.version
where g.endpoint = $1 and g.asked_at is not null and c.shard = $2
  and not exists (select from webhook_parked p where p.endpoint = g.endpoint and p.connector = g.connector)
  and not exists (
    select from webhook_given_up e where e.endpoint = g.endpoint and e.connector = g.connector
      and e.version < g.version and e.asked_at is not null
  )
order by g.asked_at limit $3
"""  # noqa: S608 - built from the store's own constants
ACCEPTED = "delete from webhook_given_up where endpoint = $1 and connector = $2 and version = $3"
REFUSED = """
update webhook_given_up set asked_at = null, tries = tries + 1, at = now(), failure = $4
where endpoint = $1 and connector = $2 and version = $3
"""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An event that an endpoint never accepted."""

    connector: ConnectorId
    tenant: TenantId
    version: int
    at: datetime
    since: datetime
    tries: int
    failure: str
    asked_at: datetime | None
    """Somebody wants it sent once more, and it wasn't yet."""


async def newest(connection: Connection, endpoint: str, limit: int) -> list[GivenUp]:
    """The newest events that the endpoint never accepted."""
    return [_given_up(row) for row in await connection.fetch(NEWEST, endpoint, limit)]


async def ask(connection: Connection, endpoint: str, id_: ConnectorId, version: int, who: str) -> GivenUp | None:
    """Has an event sent once more, as somebody says; `None` where there is none, or the log has it no longer."""
    detail = orjson.dumps({"endpoint": endpoint, "version": version}).decode()
    row = await connection.fetchrow(ASK, endpoint, id_, version, who, detail)
    if row is None:  # somebody did so before
        row = await connection.fetchrow(ONE, endpoint, id_, version)
    return _given_up(row) if row else None


async def asked(connection: Connection, endpoint: str, shard: Shard, limit: int) -> list[LogRow]:
    """What is to be sent once more now."""
    return [log_row(row) for row in await connection.fetch(ASKED, endpoint, shard, limit)]


async def accepted(connection: Connection, endpoint: str, row: LogRow) -> None:
    """The endpoint has it after all. Under its cursor's `move`, in that transaction."""
    await connection.execute(ACCEPTED, endpoint, row.pk, row.version)


async def refused(connection: Connection, endpoint: str, row: LogRow, failure: str) -> None:
    """It wasn't accepted this time either. Under `move`, likewise."""
    await connection.execute(REFUSED, endpoint, row.pk, row.version, failure)


def _given_up(row: asyncpg.Record) -> GivenUp:
    return GivenUp(
        ConnectorId(row["connector_id"]),
        TenantId(row["tenant_id"]),
        row["version"],
        row["at"],
        row["since"],
        row["tries"],
        row["failure"],
        row["asked_at"],
    )
