"""Fleets: databases with N healthy connectors, made once as templates and copied for every run."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.servers import Servers, execute
from service.kafka.topics import partition_of
from service.store.migrate import migrate

TENANTS = 500
PROVIDER = "quickbooks-online"
_COLUMNS = ("connector_id", "shard", "tenant_id", "provider", "name", "state", "version", "since")


def connector_id(number: int) -> str:
    return f"c{number:07d}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A template database, and which connector belongs to which shard."""

    database: str
    connectors: int
    shards: int
    shard_of: list[int]
    """Of the connector with that number."""


@dataclass(slots=True)
class Fleets:
    """Makes each fleet once."""

    servers: Servers
    _made: dict[tuple[int, int], Fleet] = field(default_factory=dict)
    _copies: int = 0

    async def of(self, connectors: int, shards: int) -> Fleet:
        """A fleet of that many connectors over that many shards."""
        known = self._made.get((connectors, shards))
        if known is None:
            known = self._made[connectors, shards] = await self._make(connectors, shards)
        return known

    @asynccontextmanager
    async def copy(self, fleet: Fleet) -> AsyncIterator[str]:
        """The DSN of a fresh copy. Its pages are in the server's buffers and were written since the last checkpoint."""
        self._copies += 1
        name = f"run_{self._copies}"
        await execute(self.servers.admin_dsn, f"create database {name} template {fleet.database}")
        try:
            yield self.servers.dsn(name)
        finally:
            await execute(self.servers.admin_dsn, f"drop database {name} with (force)")

    async def _make(self, connectors: int, shards: int) -> Fleet:
        database = f"fleet_{connectors}_{shards}"
        shard_of = [partition_of(connector_id(number).encode(), shards) for number in range(connectors)]
        await execute(self.servers.admin_dsn, f"create database {database}")
        connection = await asyncpg.connect(self.servers.dsn(database))
        try:
            await migrate(connection, shards=shards)
            since = datetime.now(UTC) - timedelta(days=1)
            rows = (_row(number, shard, since) for number, shard in enumerate(shard_of))
            await connection.copy_records_to_table("connector", records=rows, columns=_COLUMNS, timeout=1800)
            await connection.execute("vacuum (analyze) connector", timeout=1800)
        finally:
            await connection.close()
        return Fleet(database, connectors, shards, shard_of)


def _row(number: int, shard: int, since: datetime) -> tuple[object, ...]:
    tenant = f"tenant-{number % TENANTS:04d}"
    return connector_id(number), shard, tenant, PROVIDER, f"Books of {number}", "healthy", 1, since


def visiting_order(connectors: int, seed: int = 7) -> list[int]:
    """The connectors in an order that has nothing to do with where their rows lie."""
    order = list(range(connectors))
    random.Random(seed).shuffle(order)
    return order
