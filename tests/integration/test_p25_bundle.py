"""The support bundle: one small document, made at once, with what support asks for, and without any secret."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.bundle import SupportBundle
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.app import web_app
from service.insight.bundle import LARGEST
from tests import markers
from tests.integration.test_api import Host
from tests.loop import Loop, running_loop
from tests.secret_shapes import SECRETS, parts_of

QUICK_S = 5.0


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


@pytest.fixture
async def host(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Host:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    return Host(await aiohttp_client(web_app(loop.service, "all", asyncio.Event())), key_file.read_bytes().strip())


async def bundled(host: Host, id_: str, accept: str = "application/json") -> bytes:
    began = time.monotonic()
    answer = await host.call("GET", f"/v1/connectors/{id_}/bundle", Accept=accept)
    body = await answer.read()
    assert (answer.status, answer.content_type) == (200, accept), body
    assert time.monotonic() - began < QUICK_S and len(body) <= LARGEST
    return body


async def wrong_company(loop: Loop) -> ConnectorId:
    id_ = await loop.failed()
    await loop.reconnect(id_, company="Drivewell Leasing LLC")
    await loop.state(id_, State.FAILED)
    return id_


async def test_p25_the_bundle_says_what_support_asks_for(loop: Loop, host: Host) -> None:
    id_ = await wrong_company(loop)
    told = SupportBundle.model_validate_json(await bundled(host, id_))

    assert (told.connector.connector_id, told.connector.state, told.why.reason) == (
        id_,
        State.FAILED,
        Reason.TOKEN_REFUSED,
    )
    last = told.attempts[0]
    assert (last.status, last.reason, last.person) == ("ended", Reason.WRONG_ACCOUNT, "Olivia")
    assert last.step is not None and last.step.value in ("exchanged", "returned")
    assert last.expected_account and last.seen_account
    assert (last.expected_account.name, last.seen_account.name) == ("Drivewell Inc", "Drivewell Leasing LLC")
    assert told.attempts[1].status == "connected"
    assert "1-tid" in [one.request_id for one in told.request_ids]
    current = [one for one in told.credentials if one.status == "current"]
    assert [(one.generation, one.refreshable) for one in current] == [(1, True)]
    assert told.provider.description and told.provider.environment == "production" and told.regrant_version
    assert told.settings["REGRANT_RULES__ATTEMPT_TIME"] == "PT30M"
    assert [record.transition["version"] for record in told.log] == list(range(1, told.connector.version + 1))
    first, again = ("awaiting_auth", "verifying", "syncing", "healthy"), ("awaiting_auth", "verifying", "failed")
    assert told.path == ["failed", *first, "failed", *again]
    assert [c.attempt_id is not None for c in told.timeline] == [False, True, False, True]
    assert not told.left_out

    page = (await bundled(host, id_, "text/markdown")).decode()
    assert page.startswith(f"# Support bundle: {id_}\n") and "Drivewell Leasing LLC" in page and "1-tid" in page
    stranger = await host.call("GET", f"/v1/connectors/{id_}/bundle", tenant="stranger")
    nobodys = await host.call("GET", "/v1/connectors/nobodys/bundle", tenant="stranger")
    unlike = ("trace_id", "instance")
    one, other = [{k: v for k, v in (await a.json()).items() if k not in unlike} for a in (stranger, nobodys)]
    assert (stranger.status, one) == (404, other)


async def test_p25_of_200_secrets_put_where_names_and_ids_stand_none_is_in_it(loop: Loop, host: Host) -> None:
    id_ = await wrong_company(loop)
    planted = await plant(loop, id_)
    assert len(planted) == 200
    for accept in ("application/json", "text/markdown"):
        body = await bundled(host, id_, accept)
        text = body.decode()
        assert [secret for secret in planted if any(part in text for part in parts_of(secret))] == []
        assert not markers.leaks(body)
        assert "redacted" in text
    credentials = await loop.pool.fetch("select access_sealed, refresh_sealed from credential")
    assert credentials and not any(sealed.hex().encode() in body for row in credentials for sealed in row.values())


async def plant(loop: Loop, id_: ConnectorId) -> list[str]:
    """Puts secrets into everything about the connector that anybody names; in the rows, since the door would refuse."""
    spare = iter([secret for shape, secret in SECRETS if shape != "half a key in hexadecimal"] * 2)
    used: list[str] = []

    def one() -> str:
        used.append(next(spare))
        return used[-1]

    pk = await loop.pool.fetchval("select id from connector where connector_id = $1", id_)
    await loop.pool.execute("update connector set name = $2, position = $3 where id = $1", pk, one(), one())
    await loop.pool.execute("update connector set account_name = $2 where id = $1", pk, one())
    for row in await loop.pool.fetch("select attempt_id from attempt where connector = $1", pk):
        await loop.pool.execute(
            "update attempt set person_name = $2, person_id = $3, return_url = $4, context = $5, claimed_account = $6"
            " where attempt_id = $1",
            row["attempt_id"],
            *(one() for _ in range(5)),
        )
    await loop.pool.execute("update credential set scope = $2, granted_by = $3 where connector = $1", pk, one(), one())
    for row in await loop.pool.fetch("select version, record, sync_request from transition where connector = $1", pk):
        record, request = orjson.loads(row["record"]), orjson.loads(row["sync_request"] or "null")
        record["actor"]["id"], record["connector"]["name"] = one(), one()
        for account in ("expected_account", "seen_account"):
            if record[account]:
                record[account]["name"] = one()
        if record["evidence"]:
            record["evidence"]["code"], record["evidence"]["request_id"] = one(), one()
        if request:
            request["position"] = one()
        trace = {"correlationid": one(), "causationid": one(), "traceparent": one()}
        await loop.pool.execute(
            "update transition set record = $3, sync_request = $4, trace = $5 where connector = $1 and version = $2",
            pk,
            row["version"],
            orjson.dumps(record).decode(),
            orjson.dumps(request).decode() if request else None,
            orjson.dumps(trace).decode(),
        )
    for _ in _until(used, 200, 4):
        evidence = {"at": "api", "status": 401, "code": one(), "request_id": one()}
        await loop.pool.execute(
            "insert into note (at, connector, outcome, trigger, reason, actor, evidence, cause)"
            " values (now(), $1, 'observation', 'sync_failed', 'rate_limited', $2, $3, $4)",
            pk,
            orjson.dumps({"kind": "host", "id": one()}).decode(),
            orjson.dumps(evidence).decode(),
            one(),
        )
    while len(used) < 200:
        await loop.pool.execute("update connector set name = name || ' ' || $2 where id = $1", pk, one())
    return used


def _until(used: list[str], number: int, each: int) -> Iterator[None]:
    while len(used) + each <= number:
        yield


async def test_p25_a_long_life_still_fits_and_comes_at_once(loop: Loop, host: Host) -> None:
    """A thousand failures and notes with the longest names that a host may give."""
    id_ = await loop.failed()
    pk = await loop.pool.fetchval("select id from connector where connector_id = $1", id_)
    long = "Ünternehmen & Söhne | " * 9
    await loop.pool.execute("update connector set name = $2, account_name = $2 where id = $1", pk, long[:200])
    newest = await loop.pool.fetchrow("select * from transition where connector = $1 order by version desc limit 1", pk)
    record = orjson.loads(newest["record"])
    record["connector"]["name"], record["actor"]["id"] = long[:200], "x" * 200
    record["connector"]["account"]["name"] = record["expected_account"] = None
    record["expected_account"] = {"id": "1", "name": long[:200]}
    record["connector"]["account"]["name"] = long[:200]
    request = {"position": "p " * 500}
    await loop.pool.execute(
        "insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, reason, record,"
        " sync_request) select $2, 1000000 + n, now(), $1, $3 + n, 'failed', 'failed', 'sync_failed', 'token_refused',"
        " jsonb_set($4::jsonb, '{version}', to_jsonb($3 + n))::text, $5 from generate_series(1, 1000) n",
        pk,
        newest["shard"],
        newest["version"],
        orjson.dumps(record).decode(),
        orjson.dumps(request).decode(),
    )
    await loop.pool.execute(
        "insert into note (at, connector, outcome, trigger, why, reason, actor, evidence, cause)"
        " select now(), $1, 'ignored', 'sync_failed', 'older_run', 'token_refused', $2, $3, $4"
        " from generate_series(1, 1000)",
        pk,
        orjson.dumps({"kind": "host", "id": "y" * 200}).decode(),
        orjson.dumps({"at": "api", "status": 401, "code": "3200", "request_id": "1-tid"}).decode(),
        "e" * 200,
    )
    told = SupportBundle.model_validate_json(await bundled(host, id_))
    assert told.left_out and told.log[-1].transition["version"] == newest["version"] + 1000
