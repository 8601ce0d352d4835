"""PostgreSQL's own faults: a standby that takes over without losing a commit, and a disk that is full.

The disk is a small tmpfs in a mount namespace of the server's own, so nobody needs to be root, and nothing is left
mounted. The write-ahead log lies outside of it: what runs full is where the tables are, which PostgreSQL answers with
`53100 disk_full`. (Where the log's disk runs full, the server ends: that is the killed database.)
"""

import asyncio
import shutil
import time

import asyncpg

from service.demo.embedded import EmbeddedPostgres, Supervisor
from service.demo.embedded.child import ChildFailed, tail
from service.demo.embedded.postgres import Way, _way

TAKE_OVER_TIMEOUT_S = 30
_FOLLOWERS = "select count(*) from pg_stat_replication where sync_state = 'sync'"


class Primary(EmbeddedPostgres):
    """A server that acknowledges a commit only when its standby has it, once `wait_for` was called."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__(supervisor, "primary", settings={"wal_level": "replica", "hot_standby": "on"})

    async def wait_for(self, standby: "Standby") -> None:
        """From now on nothing is acknowledged that the standby hasn't made durable."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(f"alter system set synchronous_standby_names = '{standby.name}'")
            await connection.execute("select pg_reload_conf()")
            async with asyncio.timeout(TAKE_OVER_TIMEOUT_S):
                while not await connection.fetchval(
                    "select count(*) from pg_stat_replication where sync_state = 'sync'"
                ):
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()


class Standby(EmbeddedPostgres):
    """A streaming copy of a running primary, taken by pg_basebackup when it starts first."""

    def __init__(self, supervisor: Supervisor, primary: EmbeddedPostgres) -> None:
        self.name = "standby"
        super().__init__(supervisor, self.name, settings={"hot_standby": "on"})
        self._primary = primary

    async def promote(self) -> None:
        """Makes it the primary, and waits until it takes writes."""
        connection = await asyncpg.connect(self.dsn)
        try:
            # It waits for nobody: what it took over from the former primary's settings would block each commit.
            await connection.execute("select pg_promote()")
            await connection.execute("alter system reset synchronous_standby_names")
            await connection.execute("select pg_reload_conf()")
        finally:
            await connection.close()

    async def _initialise(self) -> Way:
        way = await asyncio.to_thread(_way, self._supervisor.folder)
        copy_from = f"{self._primary.dsn}?application_name={self.name}"
        options = ["-d", copy_from, "-D", str(self._folder), "-R", "--checkpoint=fast", "--no-sync"]
        command = [*way.wrapper, str(way.binaries / "pg_basebackup"), *options]
        if await self._supervisor.run(command, log=self._log, user=way.user) != 0:
            raise ChildFailed(f"pg_basebackup: {tail(self._log)}")
        return way


def failover_dsn(primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> str:
    """One address for both: whoever takes writes is used."""
    hosts = ",".join(server.dsn.split("@")[1].split("/")[0] for server in (primary, standby))
    return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"


class SmallDisk(EmbeddedPostgres):
    """A server whose tables lie on a disk of `size_mb`, which can be filled and freed. It can't be restarted."""

    def __init__(self, supervisor: Supervisor, size_mb: int = 96) -> None:
        super().__init__(supervisor, "small", settings={"fsync": "off", "max_wal_size": "128MB"})
        self._size_mb = size_mb

    async def fill(self) -> None:
        """Leaves no byte: what grows from now on is refused."""
        await self._shell("cat /dev/zero > ballast 2>/dev/null || true")

    async def free(self) -> None:
        await self._shell("rm ballast")

    async def _shell(self, command: str) -> None:
        """Runs in the server's data folder, as the server, where its namespace is."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(f"copy (select 1 where false) to program '{command}'")
        finally:
            await connection.close()

    async def _initialise(self) -> Way:
        """One chain of commands in one namespace: mount, initdb, and at last the server, in place of the shell."""
        way = await asyncio.to_thread(_way, self._supervisor.folder)
        self._folder.mkdir(mode=0o700)
        self._log.touch()
        log = self._folder.with_name("small-wal")
        set_up = (
            f'mount -t tmpfs -o size={self._size_mb}m,mode=0700 none "$0" && '
            f'"{way.binaries}/initdb" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync '
            f'-D "$0" --waldir="{log}" && exec "$@"'
        )
        namespace = (shutil.which("unshare") or "unshare", "-U", "-m", "--map-user=1000", "--map-group=1000")
        return Way(way.binaries, (*namespace, "--keep-caps", "sh", "-c", set_up, str(self._folder)))


async def until_it_answers(dsn: str, patience_s: float = 30) -> None:
    """Waits until a database takes writes."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=2)
        except (OSError, asyncpg.PostgresError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
            continue
        try:
            if not await connection.fetchval("select pg_is_in_recovery()"):
                return
        finally:
            await connection.close()
        await asyncio.sleep(0.1)
