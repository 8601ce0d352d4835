"""What `regrant republish` reads: the log up to where it was published, and every connector's newest snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from schemas.ids import ConnectorId, Shard, TenantId
from service.store.log import Logged
from service.store.pool import Connection
from service.store.rows import connector_of
from statemachine.connector import Connector

BEGIN = """
insert into republished (shard, until) select shard, published_seq from shard on conflict (shard) do nothing
returning shard
"""
# Another cluster's topics are read from their beginning, and who still reads the old ones loses its fence.
FORGET_OFFSETS = "update input_partition set next_offset = 0, owner_epoch = owner_epoch + 1"
PROGRESS = "select shard, until, seq, connector from republished order by shard"
NOTE = "update republished set seq = $2, connector = $3 where shard = $1"
END = "delete from republished"

# The index that begins with (shard, seq).
TRANSITIONS = """
select t.seq, c.connector_id, c.tenant_id, t.version, t.at, t.to_state, t.record, t.trace
from transition t join connector c on c.id = t.connector
where t.shard = $1 and t.seq > $2 and t.seq <= $3 order by t.seq limit $4
"""
# Connectors by their row's number, each with its newest entry of the log: the index (connector, version) of each month.
STATES = """
select c.*, t.at, t.record::json -> 'connector' as snapshot, t.trace
from (select * from connector where shard = $1 and id > $2 order by id limit $3) c
left join lateral (
    select at, record, trace from transition where connector = c.id order by version desc limit 1
) t on true
order by c.id
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a shard is published once more."""

    shard: Shard
    until: int
    seq: int
    connector: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A connector as the compacted topic shows it. `entry` has no snapshot where the log no longer holds one."""

    row: int
    entry: Logged
    connector: Connector
    is_in_the_log: bool


async def begin(connection: Connection, *, new_cluster: bool) -> bool:
    """Begins, unless an earlier one is still to be ended; returns whether it does. Offsets are forgotten only then."""
    async with connection.transaction():
        begun = await connection.fetch(BEGIN)
        if begun and new_cluster:
            await connection.execute(FORGET_OFFSETS)
    return bool(begun)


async def progress(connection: Connection) -> list[Progress]:
    """How far each shard is."""
    rows = await connection.fetch(PROGRESS)
    return [Progress(Shard(row["shard"]), row["until"], row["seq"], row["connector"]) for row in rows]


async def note(connection: Connection, shard: Shard, seq: int, connector: int) -> None:
    """Kafka has the shard's transitions and states up to there."""
    await connection.execute(NOTE, shard, seq, connector)


async def end(connection: Connection) -> None:
    """All is published once more."""
    await connection.execute(END)


async def transitions(connection: Connection, of: Progress, limit: int) -> Sequence[Logged]:
    """The next transitions of a shard, in order. Their snapshots are left out."""
    rows = await connection.fetch(TRANSITIONS, of.shard, of.seq, of.until, limit)
    return [
        Logged(
            seq=row["seq"],
            shard=of.shard,
            at=row["at"],
            connector=ConnectorId(row["connector_id"]),
            tenant=TenantId(row["tenant_id"]),
            version=row["version"],
            deleted=row["to_state"] == "deleted",
            record=row["record"],
            state="",
            sync_request=None,
            trace=row["trace"],
        )
        for row in rows
    ]


async def snapshots(connection: Connection, of: Progress, limit: int) -> Sequence[Snapshot]:
    """The next connectors of a shard, each as it stands now."""
    return [_snapshot(of.shard, row) for row in await connection.fetch(STATES, of.shard, of.connector, limit)]


def _snapshot(shard: Shard, row: asyncpg.Record) -> Snapshot:
    logged = row["snapshot"]
    in_the_log = logged is not None and orjson.loads(logged)["version"] == row["version"]
    entry = Logged(
        shard=shard,
        at=row["at"] if in_the_log else row["since"],
        connector=ConnectorId(row["connector_id"]),
        tenant=TenantId(row["tenant_id"]),
        version=row["version"],
        deleted=row["state"] == "deleted",
        record="",
        state=logged if in_the_log else "",
        sync_request=None,
        trace=row["trace"],
    )
    return Snapshot(row["id"], entry, connector_of(row), in_the_log)
