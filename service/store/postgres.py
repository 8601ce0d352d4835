"""The store on PostgreSQL: each call takes a connection of the pool for its one statement or transaction."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from schemas.ids import AttemptId, ConnectorId, Shard
from schemas.lifecycle import Step
from service.store import due, log, partitions, write
from service.store.batch import Batch, Conflict, Loaded, ShardOf
from service.store.due import Due, Job
from service.store.log import Entry
from service.store.partitions import FenceLost, Position
from service.store.pool import Pool


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """Implements `service.store.port.Store`."""

    pool: Pool
    dsn: str = field(repr=False)
    """For the connection that listens, which is nobody else's."""

    async def load(self, ids: Collection[ConnectorId], shard_of: ShardOf) -> tuple[datetime, dict[ConnectorId, Loaded]]:
        async with self.pool.acquire() as connection:
            return await write.load(connection, ids, shard_of)

    async def steps(self, attempts: Collection[AttemptId]) -> dict[AttemptId, Step]:
        async with self.pool.acquire() as connection:
            return await write.steps(connection, attempts)

    async def store(self, batch: Batch, now: datetime) -> None:
        async with self.pool.acquire() as connection:
            try:
                await write.store(connection, batch, now)
            except FenceLost:
                if lost := await write.lost_moves(connection, batch.offsets):
                    raise FenceLost(lost) from None
                raise Conflict from None  # it holds again: somebody's unknown commit was undone

    async def claim_partition(self, topic: str, partition: int) -> Position:
        async with self.pool.acquire() as connection:
            return await partitions.claim_partition(connection, topic, partition)

    async def position(self, topic: str, partition: int) -> Position:
        async with self.pool.acquire() as connection:
            return await partitions.position(connection, topic, partition)

    async def claim_relay(self, shard: Shard) -> Position:
        async with self.pool.acquire() as connection:
            return await log.claim_relay(connection, shard)

    async def unpublished(self, shard: Shard, after: int, limit: int) -> list[Entry]:
        async with self.pool.acquire() as connection:
            return await log.unpublished(connection, shard, after, limit)

    async def move_watermark(self, shard: Shard, epoch: int, seq: int) -> bool:
        async with self.pool.acquire() as connection:
            return await log.move_watermark(connection, shard, epoch, seq)

    async def listen(self, heard: Callable[[Shard], None]) -> None:
        def on_notice(connection: object, pid: int, channel: str, payload: object) -> None:
            for shard in str(payload).split(","):
                heard(Shard(int(shard)))

        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(log.CHANNEL, on_notice)
            await lost.wait()
        finally:
            await connection.close(timeout=2)

    async def due(self, own: Sequence[Shard], lateness: timedelta, limit: int) -> list[Due]:
        async with self.pool.acquire() as connection:
            return await due.due(connection, own, lateness, limit)

    async def lease_jobs(self, limit: int, lease: timedelta) -> list[Job]:
        async with self.pool.acquire() as connection:
            return await due.lease_jobs(connection, limit, lease)

    async def renew(self, job: Job, lease: timedelta) -> None:
        async with self.pool.acquire() as connection:
            await due.renew(connection, job, lease)

    async def postpone(self, job: Job, pause: timedelta) -> None:
        async with self.pool.acquire() as connection:
            await due.postpone(connection, job, pause)
