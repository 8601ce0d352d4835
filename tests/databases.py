"""Databases on the tests' server: each of a test's own, and gone through for secrets before it is dropped."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from service.store.migrate import migrate
from tests import markers


def named(server: str, name: str) -> str:
    """The address of a database on the server that another address leads to."""
    return f"{server.rsplit('/', 1)[0]}/{name}"


async def execute(dsn: str, statement: str) -> None:
    """Runs one statement, on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def created(server: str, kind: str, template: str = "template1") -> str:
    """The name of a new database, a copy of `template`; `kind` stands before it."""
    name = f"{kind}_{uuid.uuid4().hex[:12]}"
    await execute(named(server, "postgres"), f"create database {name} template {template}")
    return name


async def dropped(server: str, name: str) -> None:
    """Drops a database, whoever is connected to it."""
    await execute(named(server, "postgres"), f"drop database {name} with (force)")


@asynccontextmanager
async def database_on(server: str, template: str = "template1") -> AsyncIterator[str]:
    """The address of a database for the block: an empty one, or a copy."""
    name = await created(server, "test", template)
    try:
        yield (dsn := named(server, name))
        await markers.look_into(dsn)
    finally:
        await dropped(server, name)


async def make_schema(server: str) -> str:
    """The name of a new database that has this version's schema and nothing in it, to be copied."""
    name = await created(server, "schema")
    connection = await asyncpg.connect(named(server, name))
    await migrate(connection, shards=1)
    await connection.execute("delete from shard")  # each copy has as many as its test wants
    await connection.close()  # one that is in use can't be copied
    return name
