"""No migration holds up who writes: each is run from the version before it, on a filled database that is in use."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from service.store import migrate as migrating
from service.store.migrate import migrate
from service.store.migration import OUTSIDE, Migration
from tests.databases import created, database_on, dropped, named
from tests.faults.scenarios.migrations import OF_THE_FIRST_RELEASE, fill, hold_nobody_up, writing

CONNECTORS = 50_000
"""`make soak` fills a million."""


@pytest.fixture(scope="module")
def filled(postgres_server: str) -> Iterator[str]:
    """The name of a database of the first release with many connectors, to be copied."""
    name = asyncio.run(_filled(postgres_server))
    yield name
    asyncio.run(dropped(postgres_server, name))


async def _filled(server: str) -> str:
    name = await created(server, "filled")
    dsn = named(server, name)
    first = await asyncpg.connect(dsn)
    await migrate(first, shards=4, known=OF_THE_FIRST_RELEASE)
    await first.close()
    await fill(dsn, CONNECTORS)
    return name


@asynccontextmanager
async def copied(postgres_server: str, filled: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    async with database_on(postgres_server, filled) as dsn:
        connection = await asyncpg.connect(dsn)
        yield dsn, connection
        await connection.close()


async def test_no_migration_since_the_first_release_holds_up_who_writes(postgres_server: str, filled: str) -> None:
    async with copied(postgres_server, filled) as (dsn, connection):
        await hold_nobody_up(dsn, connection, CONNECTORS)


async def test_a_migration_that_rewrites_a_table_is_seen_to_hold_up_who_writes(
    postgres_server: str, filled: str
) -> None:
    rewrites = "alter table connector add column k uuid not null default gen_random_uuid(); select pg_sleep(1.5)"
    async with copied(postgres_server, filled) as (dsn, connection):
        known = [*OF_THE_FIRST_RELEASE, Migration(9001, "9001_pre_rude", rewrites)]
        async with writing(dsn, CONNECTORS) as writer:
            await migrate(connection, shards=4, known=known)
        assert writer.held_up != []


async def test_an_index_of_every_month_is_built_while_others_write(postgres_server: str, filled: str) -> None:
    sql = f"""{OUTSIDE}
drop index if exists transition_by_reason;
drop index concurrently if exists {{transition}}_by_reason;
create index concurrently {{transition}}_by_reason on {{transition}} (reason);
create index transition_by_reason on only transition (reason);
alter index transition_by_reason attach partition {{transition}}_by_reason;
drop index concurrently if exists connector_by_name;
create index concurrently connector_by_name on connector (name);
"""
    async with copied(postgres_server, filled) as (dsn, connection):
        known = [*OF_THE_FIRST_RELEASE, Migration(9001, "9001_pre_indexes", sql)]
        async with writing(dsn, CONNECTORS) as writer:
            assert await migrate(connection, shards=4, known=known) == ["9001_pre_indexes"]
        assert writer.held_up == []
        made = "select indisvalid from pg_index where indexrelid = $1::text::regclass"
        assert await connection.fetchval(made, "transition_by_reason")
        assert await connection.fetchval(made, "connector_by_name")


async def test_who_reads_for_long_makes_a_migration_wait_and_nobody_behind_it(
    postgres_server: str, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with copied(postgres_server, filled) as (dsn, connection):
        added = Migration(9001, "9001_pre_wider", "alter table connector add column place text")
        known = [*OF_THE_FIRST_RELEASE, added]
        waits = asyncio.Event()
        monkeypatch.setattr(migrating.log, "info", lambda *_, **__: waits.set())
        reader = await asyncpg.connect(dsn)
        async with writing(dsn, CONNECTORS) as writer:
            async with reader.transaction():
                await reader.fetchval("select count(*) from connector where id < 100")
                migration = asyncio.create_task(migrate(connection, shards=4, known=known))
                await asyncio.wait_for(waits.wait(), 30)
                before = writer.written
                while writer.written < before + 5:
                    await asyncio.sleep(0.01)
                assert not migration.done()
            assert await migration == ["9001_pre_wider"]
        await reader.close()
        assert writer.held_up == []
