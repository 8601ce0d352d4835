"""After a restore from a backup: when the database stopped knowing, where its connectors stand, and new epochs."""

from collections.abc import Iterable
from datetime import datetime

from schemas.ids import ConnectorId
from service.store.pool import APPLICATION, Connection

# The newest entry of each shard, by the index that begins with (shard, seq).
NEWEST = """
select max(t.at) from shard s
cross join lateral (select at from transition where shard = s.shard order by seq desc limit 1) t
"""
VERSIONS = "select connector_id, version from connector where connector_id = any($1::text[])"

# A process of before the restore may still hold an epoch that is higher than the one that was restored.
RAISE_OWNERS = "update input_partition set owner_epoch = owner_epoch + 1000000000"
RAISE_RELAYS = "update shard set relay_epoch = relay_epoch + 1000000000"
RAISE_COURIERS = "update webhook_cursor set epoch = epoch + 1000000000"
CONNECTED = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like $1 || '%'
"""


async def newest(connection: Connection) -> datetime | None:
    """When the last transition was stored that the database knows."""
    at: datetime | None = await connection.fetchval(NEWEST)
    return at


async def versions(connection: Connection, connectors: Iterable[ConnectorId]) -> dict[ConnectorId, int]:
    """The versions of those connectors that there are."""
    rows = await connection.fetch(VERSIONS, list(connectors))
    return {ConnectorId(row["connector_id"]): row["version"] for row in rows}


async def raise_epochs(connection: Connection) -> None:
    """Shuts out whoever owned a partition, relayed a shard, or delivered its webhooks, before the restore."""
    async with connection.transaction():
        await connection.execute(RAISE_OWNERS)
        await connection.execute(RAISE_RELAYS)
        await connection.execute(RAISE_COURIERS)


async def connected(connection: Connection) -> int:
    """How many connections our processes have to this database."""
    return int(await connection.fetchval(CONNECTED, APPLICATION))
