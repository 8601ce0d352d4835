"""More databases on the tests' server: empty ones, and copies."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def another(database: str, template: str | None = None) -> AsyncIterator[str]:
    """One more database on that server, for the block."""
    server, name = database.rsplit("/", 1)[0], f"test_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(f"{server}/postgres")
    copied = f" template {template}" if template else ""
    await admin.execute(f"create database {name}{copied}")
    try:
        yield f"{server}/{name}"
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()
