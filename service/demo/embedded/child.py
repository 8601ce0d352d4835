"""Child processes that never outlive us: each in a group of its own, watched by a process that sees us die.

A death signal by the kernel (`PR_SET_PDEATHSIG`) was rejected: it is cleared in a user namespace, and it fires when the
thread that forked ends.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

Progress: TypeAlias = Callable[[str], None]
"""Told what takes time, for people."""


def silent(message: str) -> None:
    """Tells nobody."""


class ChildFailed(Exception):
    """A child process ended before it was ready; the message holds the end of its output."""


class Supervisor:
    """Starts child processes and a folder for them; `close` ends and removes what is left, and so does our death."""

    def __init__(self, parent_folder: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="regrant-", dir=parent_folder))
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._watcher = subprocess.Popen(
            [sys.executable, "-m", "service.demo.embedded.watcher"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        self._say(f"folder {self.folder}")

    def start(
        self, command: Sequence[str], *, log: Path, env: dict[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Starts a child in a process group of its own, with its output in `log`."""
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        self._children[child.pid] = child
        self._say(f"watch {child.pid}")
        return child

    def kill(self, child: "subprocess.Popen[bytes]") -> None:
        """Ends a child and its whole group at once."""
        self._signal(child, signal.SIGKILL)
        child.wait()
        self._forget(child)

    async def end(self, child: "subprocess.Popen[bytes]", how: signal.Signals, at_most_s: float) -> None:
        """Asks a child to end, and kills it when it doesn't in time."""
        if child.poll() is None:
            child.send_signal(how)
        try:
            async with asyncio.timeout(at_most_s):
                while child.poll() is None:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self._signal(child, signal.SIGKILL)
        child.wait()
        self._forget(child)

    def close(self) -> None:
        """Kills what is left and removes the folder."""
        for child in list(self._children.values()):
            self.kill(child)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait()

    def _signal(self, child: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
        if child.poll() is None:
            os.killpg(child.pid, how)

    def _forget(self, child: "subprocess.Popen[bytes]") -> None:
        if self._children.pop(child.pid, None) is not None:
            self._say(f"forget {child.pid}")

    def _say(self, line: str) -> None:
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(line.encode() + b"\n")
        self._watcher.stdin.flush()


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(log: Path, lines: int = 15) -> str:
    """The end of a child's output."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
