"""Importing grants that a host has already: sealed on arrival, proved before they count, the host's if refused."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.api import AccessToken, ImportCredential
from schemas.ids import ConnectorId
from schemas.lifecycle import Refused, State
from schemas.problems import ProblemCode
from service.app import import_credentials, web_app
from service.demo.simulator.grants import IssuedTokens, RevokeScope
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_CANADA, DRIVEWELL_INC, OLIVIA
from service.demo.simulator.world import ACCOUNTING
from service.engine.submission import Trace
from service.oauth.importing import import_lines
from tests.faults.scenarios.s36_rewrap import command_environment
from tests.integration.test_api import Host, problem
from tests.integration.test_tokens import good, is_taken, token_requests
from tests.loop import HOST, QUICKBOOKS, TENANT, Loop, eventually, running_loop
from tests.sharing import revokes_tokens


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


def had(loop: Loop, realm: str) -> IssuedTokens:
    """A grant that the host got before regrant was there."""
    return loop.simulator.world.grant_without_pages(OLIVIA, realm, frozenset({ACCOUNTING}))


def line(id_: str, tokens: IssuedTokens, realm: str, **more: Any) -> bytes:
    said = {
        "tenant_id": "drivewell",
        "connector_id": id_,
        "provider": "quickbooks-online",
        "name": "Books",
        "refresh_token": tokens.refresh_token,
        "account_id": realm,
        **more,
    }
    return orjson.dumps(said)


def with_access(tokens: IssuedTokens) -> dict[str, str]:
    ends = datetime.now(UTC) + tokens.expires_in
    return {"access_token": tokens.access_token, "expires_at": ends.isoformat()}


async def test_lines_are_imported_each_or_refused_with_what_is_wrong(loop: Loop) -> None:
    inc, canada, acme = had(loop, DRIVEWELL_INC), had(loop, DRIVEWELL_CANADA), had(loop, ACME_LTD)
    before = token_requests(loop)
    said: list[str] = []
    refused = await import_lines(
        loop.service.importer,
        [
            line("with", inc, DRIVEWELL_INC, **with_access(inc)),
            line("without", canada, DRIVEWELL_CANADA),
            b"",
            line("elsewhere", acme, DRIVEWELL_INC, **with_access(acme)),
            line("dead", acme, ACME_LTD, refresh_token="RT1-nobodys"),
            line("short", acme, ACME_LTD, refresh_token=""),
            line("unknown", acme, ACME_LTD, provider="nobody"),
            line("odd", acme, ACME_LTD, surprise="SECRET-1"),
            b"{",
        ],
        said.append,
    )
    assert sorted(said) == [
        "line 1: imported",
        "line 2: imported",
        "line 4: refused: elsewhere: access_revoked",
        "line 5: refused: dead: grant_revoked",
        "line 6: refused: refresh_token value_error",
        "line 7: refused: unknown: unknown_provider",
        "line 8: refused: surprise extra_forbidden",
        "line 9: refused:  json_invalid",
    ]
    assert refused == 6
    assert token_requests(loop) == before + 2, "only those without an access token that works were refreshed"
    for id_, company in (("with", "Drivewell Inc"), ("without", "Drivewell Canada ULC")):
        await loop.state(ConnectorId(id_), State.SYNCING)
        token = await good(loop.token(ConnectorId(id_)))
        assert (token.account.name, token.generation, is_taken(loop, token)) == (company, 1, True)


async def test_the_command_imports_beside_the_running_service(loop: Loop) -> None:
    inc = had(loop, DRIVEWELL_INC)
    lines = [
        line("books", inc, DRIVEWELL_INC, **with_access(inc)),
        line("books", inc, DRIVEWELL_INC, tenant_id="other"),
    ]
    said: list[str] = []
    assert await import_credentials(loop.service.settings, lines, said.append) == 1
    assert sorted(said) == ["line 1: imported", "line 2: refused: books: id_taken"]
    assert is_taken(loop, await good(loop.token(ConnectorId("books"))))


async def test_the_command_says_how_each_line_ended_and_can_be_given_the_file_again(loop: Loop, tmp_path: Path) -> None:
    """A real process: what it says holds no secret, and the second time uses no token."""
    inc, canada = had(loop, DRIVEWELL_INC), had(loop, DRIVEWELL_CANADA)
    lines = [
        line("with", inc, DRIVEWELL_INC, **with_access(inc)),
        line("without", canada, DRIVEWELL_CANADA),
        line("dead", inc, DRIVEWELL_INC, refresh_token=f"{inc.refresh_token}-not"),
        b"{" + inc.refresh_token.encode(),
        b"\xff" + inc.refresh_token.encode() + b"\xe2\x80\xa8",
        line("odd", inc, DRIVEWELL_INC, refresh_token=f"{inc.refresh_token}\u2028"),
    ]
    file = tmp_path / "grants.jsonl"
    file.write_bytes(b"\n".join(lines))
    code, said = await _command(loop, "import", str(file))
    assert code == 1, said
    wrong = ["line 3: refused: dead: grant_revoked", "line 4: refused:  json_invalid", "line 5: refused:  json_invalid"]
    wrong.append("line 6: refused: refresh_token value_error")
    assert _lines_of(said) == ["line 1: imported", "line 2: imported", *wrong]
    before = token_requests(loop)
    file.write_bytes(b"\n".join(lines[:2]))
    code, again = await _command(loop, "import", str(file))
    assert (code, _lines_of(again)) == (0, ["line 1: there already", "line 2: there already"])
    assert token_requests(loop) == before
    for secret in (inc.refresh_token, inc.access_token, canada.refresh_token):
        assert secret not in said + again
    for id_ in ("with", "without"):
        assert (await good(loop.token(ConnectorId(id_)))).generation == 1
    code, said = await _command(loop, "import", str(tmp_path / "nothing"))
    assert code == 2 and "does not exist" in said


async def _command(loop: Loop, *words: str) -> tuple[int | None, str]:
    settings = loop.service.settings
    provider = settings.providers[QUICKBOOKS]
    told = {
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret.reveal(),
        "HOSTS": orjson.dumps(provider.hosts).decode(),
        "ALLOW_LOOPBACK_HTTP": "true",
    }
    environ = command_environment(settings)
    environ |= {f"REGRANT_PROVIDERS__QUICKBOOKS_ONLINE__{name}": value for name, value in told.items()}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.cli", *words),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode, said.decode()


def _lines_of(said: str) -> list[str]:
    return sorted(text for text in said.splitlines() if text.startswith("line "))


async def test_a_refused_import_is_shredded_and_stays_the_hosts(loop: Loop) -> None:
    loop.simulator.world.settings.grants.revoke_scope = RevokeScope.TOKEN
    id_ = await loop.connected()
    before = dict(await loop.current(id_))
    acme = had(loop, ACME_LTD)
    said: list[str] = []
    brought = line(id_, acme, ACME_LTD, **with_access(acme))
    assert await import_lines(loop.service.importer, [brought], said.append) == 1
    assert (await loop.state(id_, State.HEALTHY))["generation"] == 1
    assert dict(await loop.current(id_)) == before, "nothing old is touched"

    async def shredded() -> bool:
        return bool(await loop.pool.fetchval("select count(*) = 1 from credential"))

    await eventually(shredded, "the refused grant is shredded")
    assert loop.simulator.journal.by_endpoint["revoke"] == 0, "and not revoked: the host works with it"
    assert loop.simulator.world.grants.live(ACME_LTD)


async def test_what_is_imported_is_sealed_and_never_on_a_topic(loop: Loop) -> None:
    inc = had(loop, DRIVEWELL_INC)
    await import_lines(loop.service.importer, [line("books", inc, DRIVEWELL_INC, **with_access(inc))], lambda _: None)
    await loop.path(ConnectorId("books"), State.FAILED, State.AWAITING_AUTH, State.VERIFYING, State.SYNCING)
    for row in await loop.pool.fetch("select * from credential"):
        assert inc.refresh_token not in str(dict(row)) and inc.access_token not in str(dict(row))
        assert row["borrowed"] is False, "it counts: from now on it is ours to revoke"
    told = b"".join(r.value or b"" for topic in loop.topics.records.values() for rs in topic.values() for r in rs)
    assert b"books" in told
    assert inc.refresh_token.encode() not in told and inc.access_token.encode() not in told


async def test_a_grant_is_brought_over_http_and_its_attempt_tells_how_it_ends(
    loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]
) -> None:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    host = Host(await aiohttp_client(web_app(loop.service, "all", asyncio.Event())), key_file.read_bytes().strip())
    id_ = await host.registered()
    inc = had(loop, DRIVEWELL_INC)
    body = {"refresh_token": inc.refresh_token, "account_id": DRIVEWELL_INC, **with_access(inc)}
    answer = await host.call("POST", f"/v1/connectors/{id_}/credential", body)
    assert answer.status == 202, await answer.text()
    where = answer.headers["Location"]
    assert inc.refresh_token not in await answer.text()

    async def ended() -> Any:
        told = await (await host.call("GET", where)).json()
        return told if told["status"] == "ended" else None

    assert (await eventually(ended, "the checks end"))["reason"] == "connected"
    told = await (await host.call("POST", f"/v1/connectors/{id_}/token", {})).json()
    assert (told["generation"], told["rotation"], told["access_token"]) == (1, 0, inc.access_token)

    wrong = await host.call("POST", f"/v1/connectors/{id_}/credential", {"refresh_token": "SECRET\n2"})
    assert "SECRET" not in str(await problem(wrong, ProblemCode.INVALID_REQUEST))


async def test_an_access_token_that_is_soon_over_is_refreshed_before_the_checks(loop: Loop) -> None:
    inc = had(loop, DRIVEWELL_INC)
    before = token_requests(loop)
    soon = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    brought = line("books", inc, DRIVEWELL_INC, access_token=inc.access_token, expires_at=soon)
    assert await import_lines(loop.service.importer, [brought], lambda _: None) == 0
    assert token_requests(loop) == before + 1
    token = await loop.token(ConnectorId("books"))
    assert isinstance(token, AccessToken) and token.access_token != inc.access_token


async def test_a_grant_that_is_brought_a_second_time_is_not_revoked_with_its_first_copy(loop: Loop) -> None:
    """Also where a revocation ends one grant alone: it is the one that now counts."""
    revokes_tokens(loop)
    inc = had(loop, DRIVEWELL_INC)
    await import_lines(loop.service.importer, [line("books", inc, DRIVEWELL_INC, **with_access(inc))], lambda _: None)
    brought = ImportCredential.model_validate_json(
        orjson.dumps({"refresh_token": inc.refresh_token, "account_id": DRIVEWELL_INC, **with_access(inc)})
    )
    taken = await loop.service.importer.take_in(TENANT, ConnectorId("books"), brought, HOST, Trace())
    assert not isinstance(taken, Refused)

    async def retired() -> bool:
        credentials = await loop.pool.fetch("select generation, status from credential")
        return [(row["generation"], row["status"]) for row in credentials] == [(2, "current")]

    await eventually(retired, "the first copy is shredded")
    assert loop.simulator.journal.by_endpoint["revoke"] == 0
    assert is_taken(loop, await good(loop.refreshed(ConnectorId("books"))))
