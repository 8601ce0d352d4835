"""How many shards there are. A connector stays in the shard in which it was registered, however many come later."""

from service.store.pool import Connection

COUNT = "select count(*) from shard"

ADD = "insert into shard (shard) select generate_series($1::int, $2::int - 1) on conflict (shard) do nothing"

LOGGED = "select shard, next_seq - 1 as seq from shard order by shard"

# How much of the logs up to these numbers isn't published yet.
UNPUBLISHED = """
select coalesce(sum(greatest(l.seq - s.published_seq, 0)), 0)::bigint
from shard s join unnest($1::int[], $2::bigint[]) as l (shard, seq) on l.shard = s.shard
"""


async def count(connection: Connection) -> int:
    """The number of shards, 0 before the first `migrate`."""
    return int(await connection.fetchval(COUNT))


async def add(connection: Connection, wanted: int) -> None:
    """Makes the shards that are missing up to `wanted`."""
    await connection.execute(ADD, await count(connection), wanted)


async def logged(connection: Connection) -> dict[int, int]:
    """The newest number of each shard's log."""
    return {row["shard"]: row["seq"] for row in await connection.fetch(LOGGED)}


async def unpublished(connection: Connection, logged: dict[int, int]) -> int:
    """How many entries of the logs, up to these numbers, are not published yet."""
    return int(await connection.fetchval(UNPUBLISHED, list(logged), list(logged.values())))
