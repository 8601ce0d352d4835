"""Apache Kafka from wheels and jars: what it has acknowledged survives a kill."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.demo.embedded import EmbeddedKafka, Supervisor, jars, kafka
from service.demo.embedded.child import ChildFailed, free_port
from service.demo.embedded.kafka import Node, server_properties
from tests.broker import LARGEST_VALUE, make_topic, read, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with closing(Supervisor(tmp_path)) as supervisor:
        yield supervisor


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill_and_a_clean_stop(supervisor: Supervisor) -> None:
    node = EmbeddedKafka(supervisor)
    await node.start()
    bootstrap, values = node.bootstrap, [b"small", b"x" * LARGEST_VALUE]
    await make_topic(bootstrap, "kept")
    await write(bootstrap, "kept", *values)
    node.kill()
    await node.start()
    assert node.bootstrap == bootstrap
    assert await read(bootstrap, "kept") == values
    await write(bootstrap, "kept", b"after the kill")
    await node.stop()
    assert node.pid is None
    await node.start()
    assert await read(bootstrap, "kept") == [*values, b"after the kill"]


@pytest.mark.slow
async def test_a_port_that_was_taken_meanwhile_is_replaced(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], *(free_port() for _ in range(3))])
        monkeypatch.setattr(kafka, "free_port", lambda: next(ports))
        node = EmbeddedKafka(supervisor)
        await node.start()
        assert node.bootstrap != f"127.0.0.1:{taken.getsockname()[1]}"
        await make_topic(node.bootstrap, "answers")


async def test_a_node_that_refuses_to_start_says_why(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "LARGEST_RECORD", "a lot")
    with pytest.raises(ChildFailed, match=r"a lot.*message\.max\.bytes"):
        await EmbeddedKafka(supervisor).start()


def test_three_nodes_vote_and_keep_everything_thrice() -> None:
    nodes = [Node(number, 1000 + number, 2000 + number) for number in (1, 2, 3)]
    lines = server_properties(nodes[1], nodes, Path("data")).splitlines()
    assert "node.id=2" in lines
    assert "advertised.listeners=PLAINTEXT://127.0.0.1:1002" in lines
    assert "controller.quorum.voters=1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003" in lines
    assert "offsets.topic.replication.factor=3" in lines
    assert "transaction.state.log.min.isr=2" in lines


async def test_the_jars_are_those_that_were_tried_and_fetched_only_once(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await jars.kafka_jars(supervisor)
    assert jars.digest_of(sorted(folder.iterdir())) == jars._DIGEST
    said: list[str] = []
    monkeypatch.setattr(sys, "executable", "/there/is/no/resolver")
    assert await jars.kafka_jars(supervisor, said.append) == folder
    assert said == []


FETCH = """
import asyncio, contextlib
from service.demo.embedded import Supervisor
from service.demo.embedded.jars import kafka_jars
with contextlib.closing(Supervisor()) as supervisor:
    print("has", asyncio.run(kafka_jars(supervisor, lambda said: print(said, flush=True))))
"""


@pytest.mark.slow
async def test_a_process_that_is_killed_while_it_fetches_leaves_the_work_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path / "temporary"),
    }

    async def fetching() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", FETCH, env=environment, stdout=asyncio.subprocess.PIPE
        )

    async def says(process: asyncio.subprocess.Process, what: str) -> str:
        assert process.stdout is not None
        async for line in process.stdout:
            if what in line.decode():
                return line.decode().strip()
        raise AssertionError(f"it ended without saying {what!r}")

    async with asyncio.timeout(300):
        first = await fetching()
        await says(first, "fetches Apache Kafka")
        second = await fetching()
        await says(second, "waits for another process")
        first.send_signal(signal.SIGKILL)
        assert await first.wait() == -signal.SIGKILL
        folder = Path((await says(second, "has")).removeprefix("has "))
        assert await second.wait() == 0
    assert folder.is_relative_to(tmp_path / "cache")
    assert jars.digest_of(sorted(folder.iterdir())) == jars._DIGEST
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, "kafka.lock"]
