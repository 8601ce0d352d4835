"""Migrating: each migration once, by the phases of a roll-out, and printed for a DBA as it is run."""

import asyncio
import subprocess
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.demo.embedded.postgres import _binaries
from service.store import migrate as migrating
from service.store.migrate import FIRST_RELEASE, CannotMigrate, ShardsDiffer, migrate, pending, plan, script
from service.store.migration import Migration, migrations
from service.store.pool import open_pool
from tests.databases import database_on


@pytest.fixture
async def connection(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database)
    yield connection
    await connection.close()


WIDER = Migration(9001, "9001_pre_wider", "alter table probe add column place text")
NARROWER = Migration(9002, "9002_post_narrower", "alter table probe drop column asked_at")
WIDER_AGAIN = Migration(9003, "9003_pre_wider_again", "alter table probe add column street text")


# What runs, and when.


async def test_a_schema_that_is_there_already_has_nothing_to_do(connection: asyncpg.Connection) -> None:
    assert await migrate(connection, shards=2) == [migration.name for migration in migrations()]
    assert await migrate(connection, shards=2) == []
    assert await plan(connection, shards=2) == []
    assert await pending(connection) == []


async def test_another_number_of_shards_is_refused(connection: asyncpg.Connection) -> None:
    await migrate(connection, shards=2)
    with pytest.raises(ShardsDiffer, match="REGRANT_SHARDS=2"):
        await migrate(connection, shards=3)


async def test_many_that_migrate_at_once_apply_each_migration_once(empty_database: str) -> None:
    opened = await asyncio.gather(*(asyncpg.connect(empty_database) for _ in range(4)))
    applied = await asyncio.gather(*(migrate(one, shards=2) for one in opened))
    assert sorted(len(names) for names in applied) == [0, 0, 0, len(migrations())]
    for one in opened:
        await one.close()


async def test_what_comes_after_a_roll_out_waits_for_its_word(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(connection, shards=2)
    known = [*migrations(), WIDER, NARROWER]
    monkeypatch.setattr(migrating, "migrations", lambda: known)
    with pytest.raises(CannotMigrate, match="9001_pre_wider comes first"):
        await migrate(connection, shards=2, post=True)
    assert await migrate(connection, shards=2) == ["9001_pre_wider"]
    assert await pending(connection) == [], "the new code runs without it"
    assert await migrate(connection, shards=2, post=True) == ["9002_post_narrower"]


async def test_what_comes_after_a_roll_out_is_refused_while_an_older_process_is_connected(
    connection: asyncpg.Connection, empty_database: str
) -> None:
    await migrate(connection, shards=2)
    old = await open_pool(empty_database, size=1)
    known = [*migrations(), NARROWER]
    with pytest.raises(CannotMigrate, match="1 connections of an older version"):
        await migrate(connection, shards=2, post=True, known=known)
    await old.close()
    while await migrating.older_processes(connection, 9002):
        await asyncio.sleep(0.01)
    assert await migrate(connection, shards=2, post=True, known=known) == ["9002_post_narrower"]


async def test_processes_of_0_1_0_which_name_no_migration_count_as_older(
    connection: asyncpg.Connection, empty_database: str
) -> None:
    old = await asyncpg.connect(empty_database, server_settings={"application_name": "regrant"})
    assert await migrating.older_processes(connection, FIRST_RELEASE + 1) == 1
    assert await migrating.older_processes(connection, FIRST_RELEASE) == 0
    await old.close()


async def test_a_version_is_not_left_out_whose_last_step_is_still_to_come(connection: asyncpg.Connection) -> None:
    await migrate(connection, shards=2)
    with pytest.raises(CannotMigrate, match="9002_post_narrower of an earlier version comes first"):
        await migrate(connection, shards=2, known=[*migrations(), NARROWER, WIDER_AGAIN])


async def test_an_empty_database_gets_everything_at_once(connection: asyncpg.Connection) -> None:
    assert (await migrate(connection, shards=2, known=[*migrations(), NARROWER]))[-1] == "9002_post_narrower"


# For a DBA.


async def schema_of(database: str) -> str:
    """What pg_dump says of it, without the token that each dump has of its own."""
    dumped = await asyncio.to_thread(
        subprocess.run,
        [_binaries() / "pg_dump", "--schema-only", database],
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line for line in dumped.stdout.splitlines() if "restrict" not in line)


async def test_what_is_printed_for_psql_makes_the_schema_that_migrate_makes(
    connection: asyncpg.Connection, empty_database: str
) -> None:
    printed = script(await plan(connection, shards=3))
    async with database_on(empty_database) as other:
        psql = [_binaries() / "psql", "--quiet", "--no-psqlrc", "--dbname", other]
        ran = await asyncio.to_thread(subprocess.run, psql, input=printed, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        await migrate(connection, shards=3)
        assert await schema_of(other) == await schema_of(empty_database)
        there = await asyncpg.connect(other)
        assert await plan(there, shards=3) == []
        assert await there.fetchval("select count(*) from shard") == 3
        await there.close()
    for told in ("set local lock_timeout", "insert into migration (number, name)", "pg_try_advisory_lock"):
        assert told in printed
