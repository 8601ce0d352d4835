"""The marker hunt finds what it hunts for (S25): in outputs, logs of children, tables, topics and reprs."""

import base64
import dataclasses
import importlib
import pkgutil
import re
import secrets
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import BaseModel

import schemas
import service
import statemachine
from service.vault.envelope import unwrapped_parts
from service.vault.keys import FileKeySource, generate_key_file
from service.vault.vault import Vault
from tests.markers import DECOY, Hunt, around, leaks, look_into_database, look_into_topics
from tests.planted.marking import MARKER

ROOT = Path(__file__).parents[2]

LEAKY = """
import base64, contextlib, logging, secrets, sys
from service.demo.embedded import Supervisor

def test_clean(): print("nothing", secrets.token_hex(20))
def test_printed(): print("token", secrets.token_urlsafe(32))
def test_on_stderr(): print(secrets.token_urlsafe(32), file=sys.stderr)
def test_logged(): logging.getLogger("x").warning("state=%s", secrets.token_urlsafe(32))
def test_in_hexadecimal(): print(secrets.token_bytes(32).hex())
def test_in_base64(): print(base64.b64encode(b"id:" + secrets.token_urlsafe(32).encode()).decode())
def test_of_a_child():
    with contextlib.closing(Supervisor()) as supervisor:
        command = [sys.executable, "-c", "import secrets; print(secrets.token_urlsafe(32))"]
        supervisor.start(command, log=supervisor.folder / "child.log").wait()
"""
CLEAN = LEAKY[: LEAKY.index("def test_printed")]


def run(folder: Path, source: str, *more: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_leaky.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.markers", "-p", "no:cacheprovider", "-c", "/dev/null"]
    return subprocess.run(
        [*command, *more, f"--rootdir={folder}", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("lanes", [(), ("-n", "2")], ids=["one after the other", "two at once"])
def test_s25_a_secret_in_what_a_test_or_its_child_says_fails_the_run(tmp_path: Path, lanes: tuple[str, ...]) -> None:
    done = run(tmp_path, LEAKY, *lanes)
    found = {line.split("::")[-1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("LEAK outputs")}
    assert found == {"test_printed", "test_on_stderr", "test_logged", "test_in_hexadecimal", "test_in_base64"}
    assert "LEAK logs child.log" in done.stdout
    assert "; 11 leaks" in done.stdout  # the five outputs are looked into after the call and after the teardown
    assert "7 passed" in done.stdout and done.returncode == pytest.ExitCode.TESTS_FAILED
    assert MARKER not in done.stdout  # what was found isn't said


def test_s25_a_run_without_a_leak_passes_and_says_what_was_looked_at(tmp_path: Path) -> None:
    done = run(tmp_path, CLEAN)
    assert done.returncode == 0, done.stdout
    assert "marker hunt: went through 3 outputs; 0 leaks" in done.stdout


def test_s25_what_is_minted_carries_the_marker_and_is_as_long_as_ever() -> None:
    assert leaks(secrets.token_urlsafe(32).encode()) and len(secrets.token_urlsafe(32)) == 43
    assert leaks(secrets.token_bytes(32)) and len(secrets.token_bytes(32)) == 32
    assert secrets.token_urlsafe(32) != secrets.token_urlsafe(32)
    assert not leaks(secrets.token_bytes(12))


async def test_s25_keys_and_data_keys_carry_the_marker_and_what_is_stored_of_them_does_not(tmp_path: Path) -> None:
    generate_key_file(tmp_path)
    assert leaks(base64.b64decode((tmp_path / "1.key").read_bytes()))
    source = FileKeySource(tmp_path)
    stored = await Vault(source).new_data_key()
    number, made = unwrapped_parts(stored)
    assert leaks(await source.unwrap(number, made))
    assert not leaks(stored)


def test_s25_a_hit_is_told_without_the_secret() -> None:
    assert around(b"refresh_token=" + secrets.token_urlsafe(32).encode()) == "refresh_token=…"


async def test_s25_a_secret_in_a_table_is_found_as_text_and_as_bytes(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("create table t (name text, said text, kept bytea)")
        await connection.execute("insert into t values ('a', $1, null), ('b', null, $2)", MARKER, MARKER.encode())
        hunt = Hunt()
        await look_into_database(hunt, database)
        assert hunt.looked["tables"] > 1, "the schema's own are there, too"
        assert len(hunt.hits) == 1
        await connection.execute("delete from t where name = 'a'")
        await look_into_database(hunt, database)
        assert len(hunt.hits) == 2
        await connection.execute("drop table t")  # the session's own hunt comes, too
    finally:
        await connection.close()


async def test_s25_a_secret_in_a_record_is_found_in_key_value_and_headers(kafka_bootstrap: str) -> None:
    topic, marked = f"{DECOY}{secrets.token_hex(4)}", MARKER.encode()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 2, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        await producer.send_and_wait(topic, b"clean", key=b"clean", headers=[("a", b"clean")])
        await producer.send_and_wait(topic, marked)
        await producer.send_and_wait(topic, b"", key=marked)
        await producer.send_and_wait(topic, b"", headers=[("a", marked)])
    hunt = Hunt()
    await look_into_topics(hunt, kafka_bootstrap, [topic])
    assert (hunt.looked["records"], len(hunt.hits)) == (4, 3)


# Reprs.


def modules() -> Iterator[str]:
    for package in (schemas, statemachine, service):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__") and not found.name.startswith("service.demo"):
                yield found.name


def types_of_ours() -> Iterator[type]:
    seen: set[type] = set()
    for name in modules():
        for thing in vars(importlib.import_module(name)).values():
            if isinstance(thing, type) and thing.__module__ == name and thing not in seen:
                seen.add(thing)
                yield thing


def shown_fields(type_: type) -> Iterator[tuple[str, object]]:
    """The fields that the `repr` of a type shows, with their types."""
    if dataclasses.is_dataclass(type_):
        if type_.__dataclass_params__.repr:  # type: ignore[attr-defined]  # dataclasses keep it there
            yield from ((field.name, field.type) for field in dataclasses.fields(type_) if field.repr)
    elif issubclass(type_, BaseModel):
        yield from ((name, field.annotation) for name, field in type_.model_fields.items() if field.repr)


SECRET_WORDS = re.compile(r"(^|_)(token|secret|password|cookie|verifier|handoff|nonce|jwt|dsn|assertion)s?(_|$)")
ABOUT_SECRETS = re.compile(
    r"_(sealed|hash|endpoint|header|headers|claims|parameters|parameter|answer|path|field|fields|method)$"
)
"""What is sealed or hashed, and what only says where a secret goes or comes from."""
FENCES = {"service.engine.submission.JobLease.token", "service.store.consequences.JobSettled.token"}
"""The numbers of leases: they order writers, and open nothing."""


def holds_text(annotation: object) -> bool:
    if isinstance(annotation, str):  # a dataclass's, in a file that postpones them
        return re.search(r"\b(str|bytes)\b", annotation) is not None
    return annotation in (str, bytes) or any(holds_text(inner) for inner in typing.get_args(annotation))


def test_s25_no_type_of_ours_shows_in_its_repr_what_is_named_like_a_secret() -> None:
    found = {
        f"{type_.__module__}.{type_.__name__}.{name}"
        for type_ in types_of_ours()
        for name, annotation in shown_fields(type_)
        if SECRET_WORDS.search(name) and not ABOUT_SECRETS.search(name) and holds_text(annotation)
    }
    assert found == FENCES
