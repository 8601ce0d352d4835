"""`regrant demo` as a command: it starts, says where, and leaves nothing behind, however it ends."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient

START_S = 90
END_S = 30
RUNNING = b"Ctrl-C ends it"

pytestmark = pytest.mark.slow


async def started(folder: Path, *options: str) -> tuple[Process, list[psutil.Process]]:
    """The demo, running, with all processes of its tree. Its folder is in `folder`."""
    command = [sys.executable, "-m", "service.cli", "demo", *options]
    demo = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env={**os.environ, "TMPDIR": str(folder)})
    assert demo.stdout is not None
    said = b""
    async with asyncio.timeout(START_S):
        while RUNNING not in said:
            line = await demo.stdout.readline()
            assert line, said.decode()
            said += line
    return demo, psutil.Process(demo.pid).children(recursive=True)


async def nothing_is_left(folder: Path, children: list[psutil.Process]) -> None:
    """Waits until every process and the folder are gone."""
    async with asyncio.timeout(END_S):
        while any(is_alive(child) for child in children):
            await asyncio.sleep(0.05)
        while list(folder.glob("regrant-*")):
            await asyncio.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    """A zombie is dead: whoever adopted it just hasn't looked yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_killed_demo_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    demo, children = await started(tmp_path)
    assert len(children) >= 4, "the watcher, PostgreSQL, Kafka and regrant"
    demo.kill()
    await demo.wait()
    await nothing_is_left(tmp_path, children)


async def test_the_demo_on_given_servers_takes_its_database_and_topics_away(
    tmp_path: Path, postgres_server: str, kafka_bootstrap: str
) -> None:
    demo, children = await started(tmp_path, "--postgres", postgres_server, "--kafka", kafka_bootstrap)
    database, topics = await ours(postgres_server, kafka_bootstrap)
    assert len(database) == 1 and topics
    demo.send_signal(signal.SIGINT)
    async with asyncio.timeout(END_S):
        assert await demo.wait() == 0
    await nothing_is_left(tmp_path, children)
    assert await ours(postgres_server, kafka_bootstrap) == ([], [])


async def ours(postgres: str, kafka: str) -> tuple[list[str], list[str]]:
    """The demo's databases and topics on these servers."""
    connection = await asyncpg.connect(postgres)
    try:
        rows = await connection.fetch("select datname from pg_database where datname like 'regrant\\_demo\\_%'")
    finally:
        await connection.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        topics = await admin.list_topics()
    finally:
        await admin.close()
    return [row["datname"] for row in rows], [topic for topic in topics if topic.startswith("regrant-demo-")]
