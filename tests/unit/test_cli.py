"""The command: quick to start, one line for what an operator can mend, exit codes that stay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError

from service.app import NotMigrated
from service.cli import UNREACHABLE, WRONG_SET_UP, _told
from service.http.auth import WeakKey
from service.oauth.description import BadDescription
from service.roll_out import TopicsUnfit
from service.settings import SettingsError
from service.store.migrate import ShardsDiffer
from service.vault.keys import FileKeySource, NoKey

PLANTED = "s3cr3t-M4RK3R-value"


def regrant(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as an operator does, with nothing of our own environment but the paths."""
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"}
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, env={**paths, **environ}, capture_output=True, text=True, timeout=60)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "hs256.key").write_bytes(b"k" * 32)
    return {
        "REGRANT_DATABASE__DSN": f"postgresql://regrant:{PLANTED}@db/regrant",
        "REGRANT_KAFKA__BOOTSTRAP": "kafka:9092",
        "REGRANT_HTTP__PUBLIC_URL": "https://connect.example.com",
        "REGRANT_KEYS__FOLDER": str(tmp_path / "keys"),
        "REGRANT_JWT__ISSUER": "https://app.example.com",
        "REGRANT_JWT__AUDIENCE": "regrant",
        "REGRANT_JWT__HS256_KEY_FILE": str(tmp_path / "hs256.key"),
        "REGRANT_WEB__HOST_NAME": "Drivewell",
    }


def test_the_help_names_every_word_and_loads_no_part_of_the_service() -> None:
    heavy = "{'pydantic', 'pydantic_settings', 'aiohttp', 'aiokafka', 'asyncpg', 'structlog', 'cryptography'}"
    script = f"import sys, service.cli; print(sorted({heavy} & sys.modules.keys()))"
    environ = {"PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    said = regrant("--help")
    assert said.returncode == 0
    for word in (
        "serve",
        "migrate",
        "demo",
        "simulator",
        "doctor",
        "expiring",
        "console",
        "list",
        "why",
        "timeline",
        "bundle",
        "settings",
        "schemas",
        "keys",
        "--install-completion",
    ):
        assert word in said.stdout


@pytest.mark.parametrize("arguments", [("serve",), ("serve", "--role", "worker"), ("migrate",), ("settings",)])
def test_a_wrong_setting_ends_the_start_with_one_line(environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    said = regrant(*arguments, **{**environ, "REGRANT_KAFKA__BOOTSTRAP": "nowhere"})
    assert said.returncode == 2
    assert said.stdout == ""
    (line,) = said.stderr.splitlines()
    assert line.startswith("regrant: REGRANT_KAFKA__BOOTSTRAP is wrong: ")
    assert "for example" in line


def test_a_role_that_isn_t_is_refused() -> None:
    said = regrant("serve", "--role", "boss")
    assert said.returncode == 2
    assert "boss" in said.stderr


def test_settings_are_printed_without_secrets(environ: dict[str, str], tmp_path: Path) -> None:
    said = regrant("settings", "--json", **environ)
    assert said.returncode == 0
    shown = json.loads(said.stdout)
    assert (shown["REGRANT_DATABASE__DSN"], shown["REGRANT_HTTP__PORT"]) == ("(set)", "8080")
    assert PLANTED not in said.stdout + said.stderr
    (tmp_path / "regrant.yaml").write_text("http: {port: 9090}\n")
    said = regrant("settings", "--config", str(tmp_path / "regrant.yaml"), **environ)
    assert "REGRANT_HTTP__PORT" in said.stdout and "9090" in said.stdout


def test_the_names_of_all_settings_are_listed_without_any_being_set() -> None:
    said = regrant("settings", "--names")
    assert said.returncode == 0
    assert "REGRANT_PROVIDERS__<PROVIDER>__CLIENT_ID" in said.stdout


async def test_a_new_key_can_be_used_at_once(tmp_path: Path) -> None:
    for number in (1, 2):
        assert regrant("keys", "new", str(tmp_path / "keys")).returncode == 0
        assert await FileKeySource(tmp_path / "keys").current() == number


def test_the_contracts_are_listed_and_printed() -> None:
    names = regrant("schemas").stdout.split()
    assert {"asyncapi.json", "openapi.json"} <= set(names)
    assert json.loads(regrant("schemas", "asyncapi.json").stdout)["asyncapi"].startswith("3.")
    assert regrant("schemas", "nothing.json").returncode == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("REGRANT_X is wrong"), WRONG_SET_UP),
        (NoKey("no key"), WRONG_SET_UP),
        (ShardsDiffer(8, 4), WRONG_SET_UP),
        (NotMigrated(["0001_pre_first"]), WRONG_SET_UP),
        (TopicsUnfit("connectors.commands.v1 doesn't exist"), WRONG_SET_UP),
        (WeakKey("holds 3 bytes"), WRONG_SET_UP),
        (BadDescription("there is no provider x"), WRONG_SET_UP),
        (asyncpg.InvalidPasswordError("password authentication failed"), WRONG_SET_UP),
        (asyncpg.InvalidCatalogNameError("no such database"), WRONG_SET_UP),
        (ConnectionRefusedError(111, "Connection refused"), UNREACHABLE),
        (KafkaConnectionError("Unable to bootstrap"), UNREACHABLE),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [NoKey("no key")]), NoKey("no key")]), WRONG_SET_UP),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_operator_can_mend_is_one_line(error: Exception, code: int) -> None:
    told = _told(error)
    assert told is not None
    assert told[0] == code
    assert "\n" not in told[1]


def test_a_fault_of_ours_keeps_its_traceback_even_beside_a_known_one() -> None:
    assert _told(KeyError("bug")) is None
    assert _told(ExceptionGroup("tasks", [NoKey("no key"), KeyError("bug")])) is None
