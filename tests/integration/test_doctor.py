"""The doctor, on real parts: well when all is well, and with what to do when one thing is wrong."""

import json
import os
import socket
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka.admin import AIOKafkaAdminClient
from joserfc.jwk import ECKey

from service.doctor import Finding, Verdict, examine, printed
from service.kafka.topics import ensure_topics
from service.store.migrate import migrate
from service.vault.keys import generate_key_file
from tests.postoffice import PostOffice

SHARDS = 2
PLANTED = "s3cr3t-M4RK3R-value"
Environ = dict[str, str]


@pytest.fixture
async def public_url() -> AsyncIterator[str]:
    """Where something answers `/livez`, and serves a JWK set."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]})

    app = web.Application()
    app.add_routes([web.get("/livez", answer), web.get("/jwks", keys)])
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def environ(empty_database: str, kafka_bootstrap: str, topic_prefix: str, public_url: str, tmp_path: Path) -> Environ:
    """Settings of a set-up where nothing was migrated yet."""
    generate_key_file(tmp_path / "keys")
    return {
        "REGRANT_DEVELOPMENT": "true",
        "REGRANT_SHARDS": str(SHARDS),
        "REGRANT_DATABASE__DSN": empty_database,
        "REGRANT_KAFKA__BOOTSTRAP": kafka_bootstrap,
        "REGRANT_KAFKA__TOPIC_PREFIX": topic_prefix,
        "REGRANT_HTTP__PUBLIC_URL": public_url,
        "REGRANT_KEYS__FOLDER": str(tmp_path / "keys"),
        "REGRANT_JWT__ISSUER": "https://app.example.com",
        "REGRANT_JWT__AUDIENCE": "regrant",
        "REGRANT_JWT__JWKS_URL": f"{public_url}/jwks",
        "REGRANT_WEB__HOST_NAME": "Drivewell",
        "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_ID": "AB12",
        "REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__CLIENT_SECRET": PLANTED,
    }


@pytest.fixture
async def migrated(environ: Environ) -> Environ:
    """The same, with its tables and topics made."""
    connection = await asyncpg.connect(environ["REGRANT_DATABASE__DSN"])
    await migrate(connection, shards=SHARDS)
    await connection.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=environ["REGRANT_KAFKA__BOOTSTRAP"])
    await admin.start()
    try:
        made = await ensure_topics(admin, SHARDS, 1, prefix=environ["REGRANT_KAFKA__TOPIC_PREFIX"])
    finally:
        await admin.close()
    assert not [finding for finding in made if finding.is_fault]
    return environ


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def mail_at(port: int) -> Environ:
    """Settings of a mail server there."""
    mail = {"HOST": "127.0.0.1", "PORT": str(port), "SECURITY": "none", "SENDER": "us@example.com"}
    return {f"REGRANT_MAIL__{name}": value for name, value in mail.items()}


async def faults(environ: Environ) -> dict[str, Finding]:
    found = await examine(environ=environ)
    return {finding.part: finding for finding in found if finding.verdict is Verdict.FAULT}


async def test_all_is_well_when_every_part_is_there(migrated: Environ) -> None:
    office = PostOffice()
    async with office.open():
        findings = await examine(environ={**migrated, **mail_at(office.port)})
    assert [finding for finding in findings if finding.verdict is not Verdict.OK] == []
    assert office.asked == [], "nobody is written to"
    parts = {finding.part for finding in findings}
    assert parts >= {"python", "settings", "database", "migrations", "shards", "clock", "kafka", "topics", "keys"}
    assert parts >= {"jwt", "providers", "mail", "public url"}


async def test_what_wasn_t_migrated_is_told_with_the_command(environ: Environ) -> None:
    found = await faults(environ)
    assert found.keys() == {"migrations", "topics"}
    assert all("regrant migrate" in finding.mend for finding in found.values())


async def test_parts_that_don_t_answer_are_told_without_their_passwords(environ: Environ) -> None:
    port = closed_port()
    environ["REGRANT_DATABASE__DSN"] = f"postgresql://regrant:{PLANTED}@127.0.0.1:{port}/regrant"
    environ["REGRANT_KAFKA__BOOTSTRAP"] = f"127.0.0.1:{port}"
    environ["REGRANT_JWT__JWKS_URL"] = f"http://127.0.0.1:{port}/jwks"
    environ["REGRANT_HTTP__PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    findings = await examine(environ=environ | mail_at(port))
    wrong = {finding.part: finding for finding in findings if finding.verdict is not Verdict.OK}
    assert wrong.keys() == {"database", "kafka", "jwt", "mail", "public url"}
    assert wrong["public url"].is_ok, "people may see another network than this machine does"
    assert wrong["mail"].is_ok, "all else runs without"
    assert all(str(port) in finding.sentence and finding.mend for finding in wrong.values())
    assert PLANTED not in printed(findings) + printed(findings, as_json=True)


async def test_another_number_of_shards_is_told(migrated: Environ) -> None:
    found = await faults({**migrated, "REGRANT_SHARDS": "3"})
    assert found.keys() == {"shards", "topics"}
    assert found["shards"].mend == f"set REGRANT_SHARDS={SHARDS}"


async def test_an_address_that_is_no_database_is_told(migrated: Environ) -> None:
    for dsn in ("not an address", "postgresql://127.0.0.1:port/x", migrated["REGRANT_DATABASE__DSN"] + "_no_such"):
        assert (await faults({**migrated, "REGRANT_DATABASE__DSN": dsn})).keys() == {"database"}


async def test_keys_that_are_missing_or_wrong_are_told(migrated: Environ, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"k" * 31)
    (tmp_path / "set").write_text('{"keys": []}')
    (tmp_path / "text").write_text("no JSON")
    del migrated["REGRANT_JWT__JWKS_URL"]
    for name, file in (("HS256_KEY_FILE", "short"), ("JWKS_FILE", "set"), ("JWKS_FILE", "text")):
        found = await faults({**migrated, f"REGRANT_JWT__{name}": str(tmp_path / file)})
        assert found.keys() == {"jwt"}
        assert str(tmp_path / file) in found["jwt"].sentence
    found = await faults(
        {
            **migrated,
            "REGRANT_JWT__JWKS_FILE": str(tmp_path / "set"),
            "REGRANT_KEYS__FOLDER": str(tmp_path / "none"),
        }
    )
    assert found.keys() == {"jwt", "keys"}
    assert "regrant keys new" in found["keys"].mend


async def test_without_settings_that_hold_only_they_are_told(environ: Environ) -> None:
    del environ["REGRANT_KAFKA__BOOTSTRAP"]
    found = await faults(environ)
    assert found.keys() == {"settings"}
    assert "REGRANT_KAFKA__BOOTSTRAP is missing" in found["settings"].sentence


@pytest.mark.parametrize("well", [True, False], ids=["well", "faulty"])
async def test_the_command_prints_json_and_its_exit_code_tells(migrated: Environ, well: bool) -> None:
    if not well:
        migrated["REGRANT_SHARDS"] = "3"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **migrated}
    command = await create_subprocess_exec(
        sys.executable, "-m", "service.cli", "doctor", "--json", env=environment, stdout=PIPE, stderr=PIPE
    )
    out, err = await command.communicate()
    said = json.loads(out)
    assert (command.returncode, said["ok"]) == ((0, True) if well else (1, False))
    assert err == b""
    assert PLANTED.encode() not in out
