"""Processes of the service on a migrated database and topics, to be killed, frozen, thawed and drained. No provider.

Sync events, commands and deadlines need none; a made-up client at QuickBooks lets connectors be registered.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from service.demo.client import AUDIENCE, ISSUER, Regrant
from service.demo.embedded.child import ChildFailed, Supervisor, free_port, tail
from service.vault.keys import generate_key_file

TENANT = "drivewell"
PROVIDER = "quickbooks-online"
START_TIMEOUT_S = 60
DRAIN_TIMEOUT_S = 30


@dataclass(eq=False)
class Process:
    """One process of the service."""

    supervisor: Supervisor
    child: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self.child.poll() is None

    def kill(self) -> None:
        """SIGKILL, at once; also when it is frozen."""
        self.supervisor.kill(self.child)

    def freeze(self) -> None:
        """SIGSTOP: it is there, holds its connections, and does nothing."""
        os.kill(self.child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on in the middle of what it did, and knows nothing of the time between."""
        os.kill(self.child.pid, signal.SIGCONT)

    async def drain(self) -> int:
        """SIGTERM, and waits for its end. Returns its exit code."""
        await self.supervisor.end(self.child, signal.SIGTERM, DRAIN_TIMEOUT_S)
        return self.child.returncode

    def memory_mb(self) -> float:
        """What it holds in memory (resident)."""
        return float(psutil.Process(self.child.pid).memory_info().rss) / 2**20

    def said(self, lines: int = 15) -> str:
        """The end of its log."""
        return tail(self.log, lines)

    async def is_ready(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


@dataclass(eq=False)
class Fleet:
    """One deployment: its settings, and the processes that were started."""

    supervisor: Supervisor
    dsn: str
    bootstrap: str
    prefix: str
    shards: int = 4
    rules: Mapping[str, str] = field(default_factory=dict)
    """By the rules' names, in lower case: `{"attempt_time": "5"}`."""
    processes: list[Process] = field(default_factory=list)
    """All that were started and not forgotten, in order; some may be dead."""

    def __post_init__(self) -> None:
        keys, jwt_key = self.supervisor.folder / "fleet-keys", self.supervisor.folder / "fleet-jwt.key"
        if not jwt_key.exists():
            jwt_key.touch(mode=0o600)
            jwt_key.write_text(secrets.token_urlsafe(48))
            generate_key_file(keys)
        self.jwt_key = jwt_key
        self.environment = {
            "REGRANT_DEVELOPMENT": "true",
            "REGRANT_DATABASE__DSN": self.dsn,
            "REGRANT_KAFKA__BOOTSTRAP": self.bootstrap,
            "REGRANT_KAFKA__TOPIC_PREFIX": self.prefix,
            "REGRANT_SHARDS": str(self.shards),
            "REGRANT_HTTP__PUBLIC_URL": "http://127.0.0.1:18080",
            "REGRANT_KEYS__FOLDER": str(keys),
            "REGRANT_JWT__ISSUER": ISSUER,
            "REGRANT_JWT__AUDIENCE": AUDIENCE,
            "REGRANT_JWT__HS256_KEY_FILE": str(jwt_key),
            "REGRANT_WEB__HOST_NAME": "Drivewell",
            "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_ID": "nobody",
            "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_SECRET": "nothing",
            **{f"REGRANT_RULES__{name.upper()}": value for name, value in self.rules.items()},
        }

    @property
    def running(self) -> list[Process]:
        return [process for process in self.processes if process.is_running]

    async def migrate(self, release: Path | None = None) -> None:
        """Brings the database and the topics to this version, or to that of a release."""
        await self.run("migrate", release=release)

    async def run(self, *words: str, release: Path | None = None) -> str:
        """Runs a word of the command to its end, of this version or of a release. Returns what it said.

        Raises `ChildFailed` with the end of that unless it ends with 0.
        """
        log = self.supervisor.folder / f"{words[0]}-{len(list(self.supervisor.folder.glob(f'{words[0]}-*.log')))}.log"
        command = [sys.executable, *launcher_of(release), *words]
        child = self.supervisor.start(command, log=log, env={**self.environment, **paths_of(release)})
        if await asyncio.to_thread(child.wait) != 0:
            raise ChildFailed(f"regrant {' '.join(words)}: {tail(log)}")
        return log.read_text()

    def begin(
        self,
        role: str = "worker",
        *,
        launcher: tuple[str, ...] = ("-m", "service.cli"),
        release: Path | None = None,
    ) -> Process:
        """Starts a process, and doesn't wait for it: of this version or of a release.

        `launcher` is what Python runs in place of the command.
        """
        launcher = launcher_of(release) if release else launcher
        port = free_port()
        log = self.supervisor.folder / f"{role}-{len(self.processes)}.log"
        command = [sys.executable, *launcher, "serve", "--role", role]
        env = {**self.environment, "REGRANT_HTTP__PORT": str(port), **paths_of(release)}
        process = Process(self.supervisor, self.supervisor.start(command, log=log, env=env), port, log)
        self.processes.append(process)
        return process

    async def start(
        self,
        role: str = "worker",
        *,
        launcher: tuple[str, ...] = ("-m", "service.cli"),
        release: Path | None = None,
    ) -> Process:
        """Starts a process and waits until it says that it is ready. Raises `ChildFailed` with the end of its log."""
        process = self.begin(role, launcher=launcher, release=release)
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await process.is_ready():
                if not process.is_running:
                    raise ChildFailed(f"regrant serve --role {role}: {process.said()}")
                await asyncio.sleep(0.05)
        return process

    def host(self, session: aiohttp.ClientSession, process: Process) -> Regrant:
        """The host's backend, which calls this process."""
        return Regrant(session, process.url, TENANT, self.jwt_key)

    def kill_all(self) -> None:
        for process in self.running:
            process.kill()


def launcher_of(release: Path | None) -> tuple[str, ...]:
    """What Python runs for the command. A release's isn't shadowed by the working folder."""
    return ("-P", "-m", "service.cli") if release else ("-m", "service.cli")


def paths_of(release: Path | None) -> dict[str, str]:
    """The variables by which the code of an unpacked release comes before all other."""
    return {"PYTHONPATH": str(release)} if release else {}
