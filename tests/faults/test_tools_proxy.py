"""The proxy: each of its faults is what it says, seen by a client of a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.faults.proxy import Proxy, before

LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    plain = await asyncpg.connect(database)
    await plain.execute("create table kept (what text)")
    await plain.close()
    async with before(database) as proxy:
        yield proxy


async def kept(database: str) -> list[str]:
    connection = await asyncpg.connect(database)
    try:
        return [row["what"] for row in await connection.fetch("select what from kept order by what")]
    finally:
        await connection.close()


async def test_a_commit_whose_answer_is_cut_is_stored_and_nobody_is_told(database: str, proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.dsn(database))
    has_cut = proxy.cut_next_commit()
    with pytest.raises(LOST):
        async with connection.transaction():
            await connection.execute("insert into kept values ($1)", "in a transaction")
            assert not has_cut.is_set(), "a statement inside a transaction commits nothing"
    assert has_cut.is_set()
    assert await kept(database) == ["in a transaction"]


async def test_an_autocommitted_statement_whose_answer_is_cut_is_stored(database: str, proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.dsn(database))
    has_cut = proxy.cut_next_commit()
    with pytest.raises(LOST):
        await connection.fetch("insert into kept values ($1) returning what", "alone")
    assert has_cut.is_set()
    assert await kept(database) == ["alone"]
    assert proxy.commits_cut == 1


async def test_a_statement_that_fails_is_answered_and_the_next_commit_is_cut(database: str, proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.dsn(database))
    proxy.cut_next_commit()
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connection.execute("insert into kept select (1 / 0)::text")
    with pytest.raises(LOST):
        await connection.execute("insert into kept values ('after it')")
    assert await kept(database) == ["after it"]


async def test_cut_refused_and_welcome_again(database: str, proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.dsn(database))
    proxy.cut()
    with pytest.raises(LOST):
        await connection.fetchval("select 1")
    await proxy.refuse()
    with pytest.raises(OSError):
        await asyncpg.connect(proxy.dsn(database))
    await proxy.accept()
    connection = await asyncpg.connect(proxy.dsn(database))
    assert await connection.fetchval("select 1") == 1
    await connection.close()


async def test_stalled_nothing_is_answered_and_nothing_is_lost(database: str, proxy: Proxy) -> None:
    connection = await asyncpg.connect(proxy.dsn(database))
    proxy.stall()
    asked = asyncio.create_task(connection.fetchval("select 1"))
    done, _ = await asyncio.wait([asked], timeout=0.2)
    assert not done
    proxy.resume()
    assert await asked == 1
    proxy.delay_s = 0.1
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await connection.fetchval("select 2") == 2
    assert loop.time() - began >= 0.2
    await connection.close()
