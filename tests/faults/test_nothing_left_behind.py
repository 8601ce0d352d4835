"""However the process that started Kafka and PostgreSQL ends, none of their processes and folders stays."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from service.demo.embedded import Supervisor
from tests.loop import eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

SERVERS = """
import asyncio, contextlib, signal
# Who runs the tests under nohup, or in the background of a shell, ignores these, and that is inherited.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres, Supervisor

async def main(supervisor):
    await asyncio.gather(EmbeddedPostgres(supervisor).start(), EmbeddedKafka(supervisor).start())
    print("ready", flush=True)
    await asyncio.Event().wait()

with contextlib.closing(Supervisor()) as supervisor:
    print("begins", flush=True)
    asyncio.run(main(supervisor))
"""

DIES_BETWEEN = """
import os, signal, sys
from pathlib import Path
from service.demo.embedded import Supervisor

class Dying(Supervisor):
    def _say(self, line):
        if line.startswith("watch"):
            os.kill(os.getpid(), signal.SIGKILL)
        super()._say(line)

supervisor = Dying()
supervisor.start(["/bin/sh", "-c", "touch {marker}; sleep 1000"], log=supervisor.folder / "log")
"""


class Parent:
    """A process that starts children, with a folder for temporary files of its own."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._seen: set[psutil.Process] = set()

    async def says(self, word: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(90):
            async for line in self.process.stdout:
                if word in line.decode():
                    return
        raise AssertionError(f"the parent ended without saying {word!r}")

    def descendants(self) -> set[psutil.Process]:
        """All processes below it that were ever seen."""
        self._seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        return self._seen

    async def is_gone(self) -> None:
        async with asyncio.timeout(90):
            await self.process.wait()

        async def nothing() -> bool | None:
            left = [process for process in self._seen if is_alive(process)]
            return None if left or any(self.folder.iterdir()) else True

        await eventually(nothing, "no process and no folder is left")


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


async def begun(folder: Path, *command: str) -> Parent:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    return Parent(process, folder)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
async def test_nothing_is_left_of_running_servers(folder: Path, how: signal.Signals) -> None:
    parent = await begun(folder, "-c", SERVERS)
    await parent.says("ready")
    names = {process.name() for process in parent.descendants()}
    assert {"java", "postgres"} <= names
    os.killpg(parent.process.pid, how)  # as a terminal does
    await parent.is_gone()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_nothing_is_left_of_servers_that_are_just_starting(folder: Path, number: int) -> None:
    """Killed when the first child is seen, the second, …: among them `initdb` and the tool that formats."""
    parent = await begun(folder, "-c", SERVERS)
    await parent.says("begins")

    async def seen() -> bool | None:
        return True if len(parent.descendants()) > number else None  # the watcher is one of them

    await eventually(seen, f"{number} children")
    parent.process.kill()
    await parent.is_gone()


async def test_a_child_that_the_watcher_does_not_know_yet_never_runs(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    parent = await begun(folder, "-c", DIES_BETWEEN.replace("{marker}", str(marker)))
    await parent.is_gone()

    async def no_waiting_shell() -> bool | None:
        lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        return None if any(str(marker) in word for line in lines for word in line) else True

    await eventually(no_waiting_shell, "the launcher has ended")
    assert not marker.exists()


async def test_nothing_is_left_of_the_demo_when_it_is_killed(folder: Path) -> None:
    parent = await begun(folder, "-m", "service.cli", "demo")
    await parent.says("Ctrl-C ends it")
    assert len(parent.descendants()) > 5
    parent.process.kill()
    await parent.is_gone()


async def test_nothing_is_left_of_the_demo_after_ctrl_c(folder: Path) -> None:
    parent = await begun(folder, "-m", "service.cli", "demo")
    await parent.says("Ctrl-C ends it")
    assert len(parent.descendants()) > 5
    os.killpg(parent.process.pid, signal.SIGINT)
    assert await parent.process.wait() == 0
    await parent.is_gone()


def test_a_supervisor_cleans_up_even_when_its_watcher_was_killed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    with closing(supervisor):
        child = supervisor.start(["/bin/sleep", "1000"], log=supervisor.folder / "log")
        supervisor._watcher.kill()
        supervisor._watcher.wait()
    assert child.returncode == -signal.SIGKILL
    assert not any(tmp_path.iterdir())


async def test_a_command_that_ran_to_its_end_is_watched_no_more(tmp_path: Path) -> None:
    with closing(Supervisor(tmp_path)) as supervisor:
        assert await supervisor.run(["/bin/true"], log=supervisor.folder / "log") == 0
        assert await supervisor.run(["/there/is/no/such/program"], log=supervisor.folder / "log") == 127
        assert supervisor._children == {}
