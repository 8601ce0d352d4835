"""The database, for one word of the command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.settings import Settings
from service.store.pool import Connection, open_pool


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """A connection, as long as the block lasts."""
    pool = await open_pool(settings.database.dsn.reveal(), size=1)
    try:
        async with pool.acquire() as connection:
            yield connection
    finally:
        await pool.close()
