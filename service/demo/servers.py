"""The database and the brokers: our own as child processes, or those whose address is given.

Where others are used, the demo keeps to a database and topics of its own, and takes them away when it ends.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from schemas import channels
from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres
from service.demo.embedded.child import Supervisor
from service.demo.platform import Servers
from service.demo.steps import Steps


@asynccontextmanager
async def running_postgres(
    supervisor: Supervisor, steps: Steps, given: str | None, databases: Sequence[str]
) -> AsyncIterator[dict[str, str]]:
    """The DSN of each database, new and empty. Raises OSError or asyncpg.PostgresError when `given` can't be used."""
    suffix = "" if given is None else f"_{secrets.token_hex(4)}"
    names = {name: f"regrant_{name}{suffix}" for name in databases}
    async with steps.step("PostgreSQL") as step:
        if given is None:
            embedded = EmbeddedPostgres(supervisor)
            await embedded.start()
            dsn = embedded.dsn
        else:
            dsn = given
        await _execute(dsn, *(f'create database "{name}"' for name in names.values()))
        step.done(_without_password(dsn))
    try:
        yield {name: _database_of(dsn, real) for name, real in names.items()}
    finally:
        if given is not None:  # our own server goes with its folder
            await _execute(dsn, *(f'drop database "{name}" with (force)' for name in names.values()))


@asynccontextmanager
async def running_kafka(
    supervisor: Supervisor, steps: Steps, given: str | None, platforms: Sequence[str]
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The brokers' address, and the prefix of each platform's topics."""
    suffix = "" if given is None else f"regrant-demo-{secrets.token_hex(4)}."
    prefixes = {name: f"{suffix}{name}." for name in platforms}
    async with steps.step("Apache Kafka") as step:
        if given is None:
            embedded = EmbeddedKafka(supervisor, progress=step.say)
            await embedded.start()
        address = given or embedded.bootstrap
        step.done(address)
    try:
        yield address, prefixes
    finally:
        if given is not None:
            await _delete_topics(given, list(prefixes.values()))


async def servers_of(
    name: str, postgres: "asyncio.Future[dict[str, str]]", kafka: "asyncio.Future[tuple[str, dict[str, str]]]"
) -> Servers:
    """What one platform uses, once both are up."""
    dsns, (bootstrap, prefixes) = await postgres, await kafka
    return Servers(dsns[name], bootstrap, prefixes[name])


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _delete_topics(bootstrap: str, prefixes: Sequence[str]) -> None:
    names = [c.topic for c in channels.CHANNELS] + [c.dead_letters for c in channels.INPUTS]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        ours = [prefix + name for prefix in prefixes for name in names]
        await admin.delete_topics([topic for topic in ours if topic in there])
    finally:
        await admin.close()


def _database_of(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def _without_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    return f"{parts.hostname}:{parts.port or 5432}"
