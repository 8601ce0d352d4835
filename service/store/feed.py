"""The log in the order of each shard's numbers, for its followers: what is visible has all before it visible."""

from dataclasses import dataclass

from schemas.ids import ConnectorId, TenantId
from service.store.pool import Connection

LOGGED = "select shard, next_seq - 1 as seq from shard"

# The next transitions of a shard (the index that begins with shard and seq), whosever they are.
NEXT = """
select t.seq, c.connector_id, c.tenant_id, t.record from transition t join connector c on c.id = t.connector
where t.shard = $1 and t.seq > $2 and t.seq <= $3 order by t.seq limit $4
"""


@dataclass(frozen=True, slots=True)
class Happened:
    """A transition, with its record's data as JSON."""

    seq: int
    connector: ConnectorId
    tenant: TenantId
    record: str


async def logged(connection: Connection) -> dict[int, int]:
    """The newest number of each shard's log."""
    return {row["shard"]: row["seq"] for row in await connection.fetch(LOGGED)}


async def next_of(connection: Connection, shard: int, after: int, until: int, limit: int) -> list[Happened]:
    """The next transitions of a shard behind a number, and not behind the last, at most `limit`."""
    rows = await connection.fetch(NEXT, shard, after, until, limit)
    return [Happened(r["seq"], ConnectorId(r["connector_id"]), TenantId(r["tenant_id"]), r["record"]) for r in rows]
