"""Child processes that never outlive us: each in a group of its own, watched by a process that sees us die.

A death signal by the kernel (`PR_SET_PDEATHSIG`) was rejected: it is cleared in a user namespace, and it fires when the
thread that forked ends. Children started by the watcher itself were rejected, too: we couldn't wait for them.
"""

import asyncio
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from service.demo.embedded.watcher import remove

Progress: TypeAlias = Callable[[str], None]
"""Told what takes time, for people."""

_POLL_S = 0.02
_SAY_S = 0.3
_PORTS = range(20_000, 32_768)
# A child runs its command only once it is told to, that is: once the watcher knows it. If we die before, it just ends.
_LAUNCHER = ("/bin/sh", "-c", 'read -r told && exec "$@" </dev/null', "sh")


def silent(message: str) -> None:
    """Tells nobody."""


class ChildFailed(Exception):
    """A child process ended, or took too long, before it was ready; the message holds the end of its output."""


class Supervisor:
    """Starts child processes and a folder for them; `close` ends and removes what is left, and so does our death."""

    def __init__(self, parent_folder: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="regrant-", dir=parent_folder))
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        # By its path and without `site`: it needs the standard library alone, so it is small and up at once.
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watcher.py"))],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._say(f"folder {self.folder}")

    def start(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        user: pwd.struct_passwd | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Starts a child in a process group of its own, with its output in `log`; as `user`, where we are root.

        A command that doesn't exist ends the child with 127 and a line in `log`.
        """
        with log.open("ab") as output:
            child = subprocess.Popen(
                [*_LAUNCHER, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {})},
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        self._children[child.pid] = child
        self._say(f"watch {child.pid}")
        assert child.stdin is not None
        with child.stdin as told:
            told.write(b"\n")
        return child

    async def run(
        self,
        command: Sequence[str],
        *,
        log: Path,
        user: pwd.struct_passwd | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> int:
        """Runs a child to its end, and kills it when we are cancelled. Returns its exit code.

        `meanwhile` is called now and then, to say how far it is.
        """
        child = self.start(command, log=log, user=user)
        try:
            while child.poll() is None:
                if meanwhile is not None:
                    meanwhile()
                await asyncio.sleep(_POLL_S if meanwhile is None else _SAY_S)
        finally:
            self.kill(child)
        return child.returncode

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
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            self._signal(child, signal.SIGKILL)
        child.wait()
        self._forget(child)

    def close(self) -> None:
        """Kills what is left and removes the folder; also when the watcher is gone. Raises OSError if that fails."""
        for child in self._children.values():
            self._signal(child, signal.SIGKILL)
            child.wait()
        self._children.clear()
        try:
            remove(self.folder)
        finally:
            assert self._watcher.stdin is not None
            with suppress(BrokenPipeError):  # the watcher was killed: there is nobody to tell
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
    """A port of the loopback address that nobody listens on now.

    Below the range from which the kernel serves outgoing connections (from 32768, ip(7)): a server that is killed
    finds its port free when it comes back, and a client that tries meanwhile can't connect to itself.
    """
    for port in random.sample(_PORTS, 50):
        with socket.socket() as probe, suppress(OSError):  # taken: the next one
            probe.bind(("127.0.0.1", port))
            return port
    raise ChildFailed("no port of 127.0.0.1 is free")


def tail(log: Path, lines: int = 15) -> str:
    """The end of a child's output."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
