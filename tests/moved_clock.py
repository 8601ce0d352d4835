"""A database whose clock is ours: the service's own statements, unchanged, at any time.

`now()` is an ordinary function, and a search path that names `pg_catalog` last finds ours before PostgreSQL's. No
statement is edited and no time is passed in: whatever the service asks of the clock, it gets this one.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

_MOVED = """
create schema moved;
create table moved.clock (at timestamptz not null);
create function moved.now() returns timestamptz language sql stable as 'select at from moved.clock';
create function moved.clock_timestamp() returns timestamptz language sql stable as 'select at from moved.clock';
"""


@dataclass(frozen=True, slots=True)
class MovedClock:
    """The clock of one database, for the connections that are opened once it is there."""

    connection: "asyncpg.Connection[asyncpg.Record]"

    @classmethod
    async def install(cls, dsn: str, at: datetime) -> "MovedClock":
        """Puts the clock of an empty database to `at`; it stands still from then on."""
        connection = await asyncpg.connect(dsn)
        await connection.execute(_MOVED)
        await connection.execute("insert into moved.clock values ($1)", at)
        name = await connection.fetchval("select current_database()")
        await connection.execute(f'alter database "{name}" set search_path = public, moved, pg_catalog')
        return cls(connection)

    async def to(self, at: datetime) -> None:
        await self.connection.execute("update moved.clock set at = $1", at)

    async def close(self) -> None:
        await self.connection.close()
