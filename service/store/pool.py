"""Connections to PostgreSQL: one pool a process, with what every connection needs."""

from typing import TypeAlias

import asyncpg
import asyncpg.pool

from service.store.migration import newest

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

APPLICATION = "regrant"

_SETTINGS = {
    # With the newest migration that this version knows: what is done after a roll-out waits for the older ones to end.
    "application_name": f"{APPLICATION} schema {newest()}",
    "jit": "off",  # set-based statements over few rows: compiling them costs more than it saves
    # A page must not take the cores of those who write; and plans for many workers read whole tables.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "5s",  # a worker that is frozen in a transaction must not hold its shard
}


async def open_pool(dsn: str, *, size: int = 8) -> Pool:
    """A pool of at most `size` connections, opened as needed. Raises what asyncpg raises when none can be had."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=10,
        command_timeout=40,
        server_settings=_SETTINGS,
        reset=_nothing_to_reset,
    )


async def _nothing_to_reset(connection: Connection) -> None:
    """No statement of ours leaves anything in a session: asyncpg's own reset would be a round trip at every return.

    An open transaction is still rolled back.
    """


LOCKED = asyncpg.LockNotAvailableError
"""Somebody else holds on to the row for too long."""
TRANSIENT: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut while it idled, whose end is not read yet
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What passes by itself: the database is away, full, read-only for a moment, or chose us in a deadlock. Try again."""
