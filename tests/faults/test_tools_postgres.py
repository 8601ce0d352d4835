"""PostgreSQL's faults as tools: a crash, a full disk, a standby that takes over."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from service.demo.embedded import EmbeddedPostgres, Supervisor
from tests.faults.postgres import Primary, SmallDisk, Standby, failover_dsn, until_it_answers

pytestmark = pytest.mark.slow


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with contextlib.closing(Supervisor(tmp_path)) as supervisor:
        yield supervisor


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from kept"))
    finally:
        await connection.close()


async def test_after_a_crash_what_was_committed_is_there(supervisor: Supervisor) -> None:
    server = EmbeddedPostgres(supervisor)
    await server.start()
    await run(server.dsn, "create table kept (what text)", "insert into kept values ('x')")
    await server.crash()
    assert server.pid is None
    await server.start()
    assert await count(server.dsn) == 1


async def test_a_full_disk_refuses_what_grows_and_takes_it_when_it_is_freed(supervisor: Supervisor) -> None:
    server = SmallDisk(supervisor)
    await server.start()
    await run(server.dsn, "create table kept (what text)", "insert into kept values ('x')")
    await server.fill()
    much = "insert into kept select repeat('x', 1000) from generate_series(1, 1000)"
    with pytest.raises(asyncpg.DiskFullError):
        await run(server.dsn, much)
    assert await count(server.dsn) == 1
    await server.free()
    await run(server.dsn, much)
    assert await count(server.dsn) == 1001


async def test_the_standby_has_every_commit_and_takes_over_by_the_same_address(supervisor: Supervisor) -> None:
    primary = Primary(supervisor)
    await primary.start()
    await run(primary.dsn, "create table kept (what text)")
    standby = Standby(supervisor, primary)
    await standby.start()
    await primary.wait_for(standby)
    both = failover_dsn(primary, standby)
    await run(both, "insert into kept values ('x')")
    primary.kill()
    await standby.promote()
    await until_it_answers(standby.dsn)
    await run(both, "insert into kept values ('y')")
    assert await count(standby.dsn) == 2
