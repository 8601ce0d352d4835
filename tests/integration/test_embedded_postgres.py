"""PostgreSQL from a wheel: it starts anywhere, and what it has committed survives a kill."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg
import psutil
import pytest

from service.demo.embedded import EmbeddedPostgres, Supervisor, postgres
from service.demo.embedded.child import ChildFailed, free_port
from tests.loop import eventually


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with closing(Supervisor(tmp_path)) as supervisor:
        yield supervisor


@asynccontextmanager
async def connected(server: EmbeddedPostgres) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(server.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def test_what_was_committed_survives_a_kill(supervisor: Supervisor) -> None:
    server = EmbeddedPostgres(supervisor)
    await server.start()
    dsn = server.dsn
    async with connected(server) as connection:
        await connection.execute("create table kept (word text)")
        await connection.execute("insert into kept values ('œuvre')")
    server.kill()
    with pytest.raises(OSError):
        await asyncpg.connect(dsn)
    await server.start()
    assert server.dsn == dsn
    async with connected(server) as connection:
        assert await connection.fetchval("select word from kept") == "œuvre"


async def test_a_clean_stop_leaves_nothing_running(supervisor: Supervisor) -> None:
    server = EmbeddedPostgres(supervisor)
    await server.start()
    assert server.pid is not None
    running = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
    assert len(running) > 3
    await server.stop()
    assert not any(process.is_running() for process in running)


async def test_a_kill_leaves_no_shared_memory(supervisor: Supervisor) -> None:
    """The system has room for some thousand such segments; without any, no PostgreSQL starts there."""
    server = EmbeddedPostgres(supervisor)
    await server.start()
    assert server.pid is not None
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    assert ("/dev/shm/" in maps, len(segments_of(server.pid))) == (False, 1)
    pid = server.pid
    server.kill()
    await eventually(lambda: not segments_of(pid), "the kernel has removed the segment")


def segments_of(pid: int) -> list[str]:
    """System V shared memory that a process has made: proc(5), the fifth field is its creator's."""
    return [line for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:] if line.split()[4] == str(pid)]


async def test_settings_reach_the_server(supervisor: Supervisor) -> None:
    server = EmbeddedPostgres(supervisor, settings={"work_mem": "5MB"})
    await server.start()
    async with connected(server) as connection:
        assert await connection.fetchval("show work_mem") == "5MB"
        assert await connection.fetchval("show server_encoding") == "UTF8"


async def test_it_listens_on_the_loopback_address_alone_and_its_data_is_closed_to_others(
    supervisor: Supervisor,
) -> None:
    server = EmbeddedPostgres(supervisor)
    await server.start()
    assert server.pid is not None
    addresses = {c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}
    assert (supervisor.folder / "postgres").stat().st_mode & 0o077 == 0


async def test_a_port_that_was_taken_meanwhile_is_replaced(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(postgres, "free_port", lambda: next(ports))
        server = EmbeddedPostgres(supervisor)
        await server.start()
        assert server.dsn.split(":")[-1] != f"{taken.getsockname()[1]}/postgres"
    async with connected(server) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_it_runs_where_user_namespaces_are_forbidden(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As root it then runs as another user, who can't reach what lies below a closed folder."""
    monkeypatch.setenv("PATH", str(tmp_path))  # no `unshare`
    let_others_through(supervisor.folder)
    server = EmbeddedPostgres(supervisor)
    await server.start()
    assert server.pid is not None
    assert psutil.Process(server.pid).uids().effective != 0
    async with connected(server) as connection:
        assert await connection.fetchval("select current_setting('data_directory')") == str(
            supervisor.folder / "postgres"
        )


def let_others_through(folder: Path) -> None:
    """pytest's folders are closed to others; the system's folder for temporary files, the default, isn't."""
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)


async def test_a_server_that_refuses_to_start_says_why(supervisor: Supervisor) -> None:
    server = EmbeddedPostgres(supervisor, settings={"shared_buffers": "a lot"})
    with pytest.raises(ChildFailed, match="shared_buffers"):
        await server.start()
