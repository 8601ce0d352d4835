"""A filled database and a writer that goes on: what a migration is run against, to see whether it holds anybody up.

The judge is the database itself: a transaction of the writer that waits for a lock longer than `PAUSE` fails. A slow
machine makes a wait no longer than the lock is held.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from service.store.migrate import FIRST_RELEASE, migrate
from service.store.migration import migrations

OF_THE_FIRST_RELEASE = [migration for migration in migrations() if migration.number <= FIRST_RELEASE]

PAUSE = "1s"
"""The longest that a writer may wait for a lock."""

# Set based, and without the indexes' upkeep where that is a sort at the end.
FILL = """
insert into connector (
    connector_id, shard, tenant_id, provider, name, state, version, since, account_id, account_name, generation
)
select 'c' || n, n % 4, 't' || n % 500, 'quickbooks-online', 'Books', 'healthy', 1, now(), 'a' || n, 'Books', 1
from generate_series(1, $1::bigint) n;
insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, record)
select shard, id, now(), id, 1, 'absent', 'healthy', 'register', '{"version": 1}' from connector;
insert into credential (
    connector, generation, attempt_id, status, data_key, account_id, access_sealed, access_expires_at, scope
)
select id, 1, gen_random_uuid(), 'current', id, account_id, '\\x00', now() + interval '1 day', 'books' from connector
where id % 10 = 0;
insert into note (at, connector, outcome, trigger, actor) select now(), id, 'observation', 'sync_succeeded', '{}'
from connector where id % 10 = 0;
"""

# What a batch of the service writes, in the order of its locks.
WRITE = """
update shard set next_seq = next_seq + 1 where shard = $1 returning next_seq + 1000000000 as seq
"""
CHANGE = "update connector set revision = revision + 1, version = version + 1 where id = $1"
LOG = """
insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, record)
values ($1, $2, now(), $3, 2, 'healthy', 'failed', 'sync_failed', '{}')
"""
NOTE = """
insert into note (at, connector, outcome, trigger, actor) values (now(), $1, 'observation', 'sync_succeeded', '{}')
"""
CREDENTIAL = "update credential set rotation = rotation + 1 where connector = $1 and status = 'current'"


async def hold_nobody_up(dsn: str, connection: asyncpg.Connection, connectors: int) -> None:
    """Runs each migration since the first release on what `fill` left, from the version before it, beside a writer."""
    for number in [m.number for m in migrations() if m.number > FIRST_RELEASE]:
        known = [migration for migration in migrations() if migration.number <= number]
        async with writing(dsn, connectors) as writer:
            assert await migrate(connection, shards=4, known=known) == [known[-1].name]
        assert writer.held_up == [], known[-1].name


async def fill(dsn: str, connectors: int) -> None:
    """So many connectors, each with an entry of the log, and a tenth with a credential and a note."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set synchronous_commit = off")
        await connection.execute("alter table credential disable trigger user")  # what it plans isn't looked at
        for statement in FILL.strip().split(";\n"):
            if "$1" in statement:
                await connection.execute(statement, connectors)
            elif statement.strip():
                await connection.execute(statement)
        await connection.execute("alter table credential enable trigger user")
        await connection.execute("analyze connector, transition, credential, note")
    finally:
        await connection.close()


@dataclass
class Writer:
    """What the writer met."""

    written: int = 0
    held_up: list[str] = field(default_factory=list)
    """Transactions that waited longer than they may."""


@asynccontextmanager
async def writing(dsn: str, connectors: int) -> AsyncIterator[Writer]:
    """Small transactions as the service's, one after the other, as long as the block lasts."""
    told, stop = Writer(), asyncio.Event()
    connection = await asyncpg.connect(dsn, server_settings={"lock_timeout": PAUSE})
    task = asyncio.create_task(_write(connection, connectors, told, stop))
    try:
        while not (told.written or task.done()):
            await asyncio.sleep(0.01)
        yield told
    finally:
        stop.set()
        await task
        await connection.close()


async def _write(connection: asyncpg.Connection, connectors: int, told: Writer, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        number = number % connectors + 10
        try:
            async with connection.transaction():
                seq = await connection.fetchval(WRITE, number % 4)
                await connection.execute(CHANGE, number)
                await connection.execute(LOG, number % 4, seq, number)
                await connection.execute(NOTE, number)
                await connection.execute(CREDENTIAL, number)
            told.written += 1
        except asyncpg.LockNotAvailableError as error:
            told.held_up.append(str(error))
        await asyncio.sleep(0)
