"""The fleet's words of the terminal as real processes: funnel, errors, dlq, tap, and top on a terminal of its own."""

import asyncio
import contextlib
import os
import pty
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

import orjson
import pytest

from schemas.ids import ConnectorId
from schemas.lifecycle import State
from service.demo.embedded.child import Supervisor
from statemachine.inputs import Register, Update
from tests.faults.fleet import Fleet
from tests.fleets import SHARDS, Herd, engine_on, logged, recounted
from tests.loop import eventually

NOBODYS_KAFKA = "127.0.0.1:9"
LETTER = """
insert into dead_letter (
    shard, seq, at, topic, partition, record_offset, record_key, record_value, header_names, header_values, code, detail
) values (
    0, 9000, now(), 't.connectors.sync.events.v1', 0, 5, 'c001', '{}', $1, $2, 'schema', 'reason: enum; error.at: x'
)
"""

Command: TypeAlias = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
async def herd(database: str) -> AsyncIterator[Herd]:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(41))
        await herd.live(200)
        yield herd


@pytest.fixture
def regrant(database: str, herd: Herd) -> Iterator[Command]:
    """Starts the command as an operator does; no Kafka is there, and none is needed."""
    with contextlib.closing(Supervisor()) as supervisor, contextlib.ExitStack() as ends:
        environment = Fleet(supervisor, database, NOBODYS_KAFKA, "t.", shards=SHARDS).environment

        def start(*words: str, **how: Any) -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "service.cli", *words]
            given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            child = ends.enter_context(subprocess.Popen(command, env=environment, **given | how))
            ends.callback(child.kill)
            return child

        yield start


async def said(regrant: Command, *words: str, code: int = 0) -> str:
    """What the command prints until it ends."""
    child = regrant(*words)
    out, err = await asyncio.to_thread(child.communicate, timeout=120)
    assert child.returncode == code, (out, err)
    return (out + err).decode()


async def test_p30_the_terminal_counts_what_the_log_holds(regrant: Command, herd: Herd) -> None:
    found = recounted(await logged(herd.pool))
    told = orjson.loads(await said(regrant, "funnel", "--json"))
    assert told["attempts"] == len(found.attempts) > 0
    lines = (await said(regrant, "funnel")).splitlines()
    assert lines[0].startswith(f"{len(found.attempts)} attempts for ")
    flowing = next(line for line in lines if line.startswith("data_flowing")).split()
    assert int(flowing[1]) == found.reached()["data_flowing"]
    told = orjson.loads(await said(regrant, "errors", "--provider", "xero", "--json"))
    of_xero = [key for key in found.errors if key[0] == "xero"]
    assert of_xero and {e["provider"] for e in told["errors"]} == {"xero"}
    assert "tid-1" in await said(regrant, "errors")


async def test_a_dead_letter_is_listed_explained_and_decided_on_by_name(regrant: Command, herd: Herd) -> None:
    assert await said(regrant, "dlq", "list") == "no dead letters\n"
    await herd.pool.execute(LETTER, [b"ce_type"], [b"sync.failed.v1"])
    assert "0-9000" in await said(regrant, "dlq", "list", "--status", "waiting")
    told = await said(regrant, "dlq", "explain", "0-9000")
    assert "wrong: reason, error.at" in told and "next: Send a corrected record" in told
    dropped = orjson.loads(await said(regrant, "dlq", "drop", "0-9000", "--name", "olivia", "--json"))
    assert (dropped["status"], dropped["decided_by"]) == ("dropped", "olivia")
    assert "0-9000 is dropped already, by olivia" in await said(regrant, "dlq", "replay", "0-9000", code=2)
    assert "there is no dead letter '0-1'" in await said(regrant, "dlq", "explain", "0-1", code=2)
    assert await herd.pool.fetchval("select actor from audit where what = 'dead_letter_drop'") == "olivia"


async def test_tap_tells_each_transition_as_it_comes(regrant: Command, herd: Herd) -> None:
    id_ = ConnectorId("c777")
    register = Register(connector=id_, tenant="acme", provider="xero", name="B", connected=True)  # type: ignore[arg-type]
    words = {"plain": (), "json": ("--json",)}
    tapping = {kind: regrant("tap", "--most", "2", *more) for kind, more in words.items()}

    async def are_listening() -> bool:
        sessions = "select count(*) from pg_stat_activity where datname = current_database() and query like $1"
        return await herd.pool.fetchval(sessions, "select shard, next_seq%") >= 2  # type: ignore[no-any-return]

    await eventually(are_listening, "both follow the log", patience_s=60)
    await herd.say(register)
    await herd.say(Update(connector=id_, name="C"))
    out = {kind: (await asyncio.to_thread(child.communicate, timeout=60))[0] for kind, child in tapping.items()}
    told = [orjson.loads(line) for line in out["json"].splitlines()]
    assert [(one["connector_id"], one["version"], one["to"]) for one in told] == [
        (id_, 1, State.HEALTHY),
        (id_, 2, State.HEALTHY),
    ]
    first, second = out["plain"].decode().splitlines()
    assert "acme  c777  v1  absent → healthy  register" in first and "v2  healthy → healthy  update" in second


async def test_top_prints_an_object_a_look_for_programs(regrant: Command) -> None:
    lines = (await said(regrant, "top", "--json", "--every", "0.2", "--most", "3")).splitlines()
    looks = [orjson.loads(line) for line in lines]
    assert len(looks) == 3 and all(look["sentence"] and look["arrows"] for look in looks)
    plain = await said(regrant, "top", "--most", "1")
    assert "act now" in plain and "\x1b" not in plain


@pytest.mark.parametrize("way", ["q", "ctrl-c"])
async def test_top_draws_on_the_other_screen_and_leaves_the_terminal_as_it_was(regrant: Command, way: str) -> None:
    ours, theirs = pty.openpty()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background hands on that it is ignored
    child = regrant("top", stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen = bytearray()
    loop, drawn = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        try:
            seen.extend(os.read(ours, 65536))
        except OSError:  # the other side is closed
            loop.remove_reader(ours)
        if seen.count(b"\x1b[H") >= 2:
            drawn.set()

    loop.add_reader(ours, read)
    async with asyncio.timeout(60):
        await drawn.wait()
    if way == "q":
        os.write(ours, b"q")
    else:
        child.send_signal(signal.SIGINT)
    code = await asyncio.to_thread(child.wait, timeout=30)
    await eventually(lambda: b"\x1b[?1049l" in seen, "the screen is given back")
    loop.remove_reader(ours)
    os.close(ours)
    assert code == (0 if way == "q" else 130), bytes(seen)
    assert seen.startswith(b"\x1b[?1049h") and seen.rstrip().endswith(b"\x1b[?1049l")
