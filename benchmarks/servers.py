"""The servers that everything is measured on: PostgreSQL that keeps what it says, and one node of Apache Kafka."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres, Supervisor

POSTGRES_SETTINGS = {
    # What a commit says is on disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # As a database of this size would be set up by anybody.
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_buffers": "64MB",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "10s",
    "max_connections": "200",
    # What the latencies are measured by; its cost is everybody's.
    "track_commit_timestamp": "on",
}
KAFKA_HEAP_MB = 1024
"""A backlog of half a million records needs more than the demo's."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers."""

    supervisor: Supervisor
    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    @property
    def admin_dsn(self) -> str:
        return self.postgres.dsn

    def dsn(self, database: str) -> str:
        return urlunsplit(urlsplit(self.postgres.dsn)._replace(path=f"/{database}"))


@asynccontextmanager
async def running_servers(heap_mb: int = KAFKA_HEAP_MB) -> AsyncIterator[Servers]:
    """Starts both, and leaves nothing behind."""
    with contextlib.closing(Supervisor()) as supervisor:
        settings = dict(POSTGRES_SETTINGS)
        postgres = EmbeddedPostgres(supervisor, settings=settings)
        kafka = EmbeddedKafka(supervisor, heap_mb=heap_mb)
        await postgres.start()
        await kafka.start()
        yield Servers(supervisor, postgres, kafka)


async def execute(dsn: str, *statements: str) -> None:
    """Runs statements, each in a transaction of its own."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=1800)
    finally:
        await connection.close(timeout=10)
