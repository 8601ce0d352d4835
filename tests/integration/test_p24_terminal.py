"""The terminal's words as real processes: list, why, timeline, bundle, and a bundle told again without a database."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import orjson
import pytest

from schemas.ids import AttemptId, ConnectorId
from schemas.lifecycle import ActorKind
from schemas.reasons import Reason
from schemas.records import Evidence
from service.demo.embedded.child import Supervisor
from service.engine.door import Engine
from service.engine.submission import Actor, Submission
from statemachine.inputs import Cancelled, StartReauth, SyncSucceeded
from tests.faults.fleet import Fleet
from tests.integration.test_engine import failed, register, running

ENGINE, HOST = Actor(ActorKind.SYNC_ENGINE), Actor(ActorKind.HOST, "backend")
PERSON = Actor(ActorKind.PERSON, "u-olivia")
SAID = Evidence(at="api", status=401, code="3200", request_id="1-tid")
NOBODYS_KAFKA = "127.0.0.1:9"

Command: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
async def engine(database: str) -> AsyncIterator[Engine]:
    """With one connector that failed and whose person gave up, one that works, and one of another tenant."""
    async with running(database) as engine:
        c1, attempt = ConnectorId("c1"), AttemptId(uuid4())
        for submission in (
            Submission(input=register("c1"), actor=HOST),
            Submission(input=failed("c1"), actor=ENGINE, evidence=SAID),
            Submission(input=StartReauth(connector=c1, attempt=attempt), actor=HOST),
            Submission(input=Cancelled(connector=c1, attempt=attempt), actor=PERSON),
            Submission(input=register("c2", connected=True), actor=HOST),
            Submission(input=register("c3", tenant="t2", connected=False), actor=HOST),
        ):
            await engine.submit(submission)
        yield engine


@pytest.fixture
def regrant(database: str, engine: Engine) -> Iterator[Command]:
    """Runs the command as an operator does; no Kafka is there, and none is needed."""
    with contextlib.closing(Supervisor()) as supervisor:
        environment = Fleet(supervisor, database, NOBODYS_KAFKA, "t.", shards=2).environment

        def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "service.cli", *words]
            return subprocess.run(command, env=environment | more, capture_output=True, text=True, timeout=60)

        yield run


async def said(regrant: Command, *words: str) -> str:
    done = await asyncio.to_thread(regrant, *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


async def test_connectors_are_listed_by_state_and_tenant(regrant: Command) -> None:
    head, *rows = (await said(regrant, "list")).splitlines()
    assert head.split("  ")[0] == "tenant" and "\x1b" not in head
    assert [row.split()[:2] for row in rows] == [["t1", "c1"], ["t1", "c2"], ["t2", "c3"]]
    failing = orjson.loads(await said(regrant, "list", "--state", "failed", "--tenant", "t1", "--json"))
    assert [(c["connector_id"], c["reason"], c["who_acts"]) for c in failing] == [("c1", "token_refused", "owner")]
    assert (await said(regrant, "list", "--provider", "xero")).strip() == "no connector fits"
    wrong = await asyncio.to_thread(regrant, "list", "--state", "broken")
    assert wrong.returncode == 2 and "there is no state broken" in " ".join(wrong.stderr.split())


async def test_p24_why_and_timeline_say_what_happened(regrant: Command) -> None:
    told = await said(regrant, "why", "c1")
    assert "c1 of t1 is failed since" in told and "because it was given up before the sign-in was complete" in told
    assert "(its API answered HTTP 401, code 3200, request id 1-tid)" in told
    assert "who acts: an Organization Admin at QuickBooks" in told
    why = orjson.loads(await said(regrant, "why", "c1", "--json"))
    assert why["paragraph"] in told and [e["version"] for e in why["events"]] == [2, 3, 4]
    lines = (await said(regrant, "timeline", "c1")).splitlines()
    assert lines[0] == "outside of attempts"
    assert "v3" in lines[4] and "The host (backend) opened an attempt." in lines[4]
    chapters = orjson.loads(await said(regrant, "timeline", "c1", "--json"))
    assert [len(chapter["happenings"]) for chapter in chapters] == [2, 2]


async def test_p25_a_bundle_is_told_again_on_a_machine_that_has_nothing(
    regrant: Command, engine: Engine, tmp_path: Path
) -> None:
    file, page = tmp_path / "c1.json", tmp_path / "c1.md"
    assert f"{file} is written" in await said(regrant, "bundle", "c1", "-o", str(file))
    await said(regrant, "bundle", "c1", "-o", str(page))
    assert page.read_text().startswith("# Support bundle: c1\n")
    assert orjson.loads(await said(regrant, "bundle", "c1", "--json"))["format"] == "regrant.support-bundle.v1"
    paragraph = orjson.loads(file.read_bytes())["why"]["paragraph"]
    back = SyncSucceeded(connector=ConnectorId("c1"), occurred=failed("c1", minute=9).occurred)
    await engine.submit(Submission(input=back, actor=ENGINE))  # what became of it since isn't in the bundle

    nothing = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "service.cli", "bundle", "replay", str(file)]
    done = await asyncio.to_thread(subprocess.run, command, env=nothing, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert paragraph in done.stdout and "otherwise" not in done.stdout
    path = done.stdout.partition("the path\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split("Z  ")[1].strip() for line in path] == [
        "absent → healthy  by register",
        "healthy → failed  by sync_failed (token_refused)",
        "failed → awaiting_auth  by start_reauth",
        "awaiting_auth → failed  by cancelled (cancelled)",
    ]
    assert "opened an attempt." in done.stdout.partition("the timeline\n")[2]
    told = orjson.loads(await asyncio.to_thread(subprocess.check_output, [*command, "--json"], env=nothing))
    assert told["is_the_same"] and told["why"]["reason"] == Reason.TOKEN_REFUSED
    assert [step["version"] for step in told["path"]] == [1, 2, 3, 4]


async def test_what_is_unknown_or_no_bundle_is_one_line(regrant: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"format": "of tomorrow"}')
    for words, told in (
        (("why", "nobodys"), "no connector has the id 'nobodys'"),
        (("timeline", "nobodys"), "no connector has the id 'nobodys'"),
        (("bundle", "nobodys"), "no connector has the id 'nobodys'"),
        (("bundle", "replay", str(other)), "its format is of tomorrow"),
    ):
        done = await asyncio.to_thread(regrant, *words)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("regrant: ") and told in line
