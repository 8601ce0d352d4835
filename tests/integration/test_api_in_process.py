"""A page of this process asks the API by name, and gets what the same caller gets over HTTP: answers and refusals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from schemas.ids import TenantId
from schemas.problems import ProblemCode
from schemas.routes import Scope
from service.app import parts_of, web_app
from service.http.api import Api
from service.http.auth import Caller
from tests.loop import Loop, running_loop
from tests.window import host_token

READER = Caller(TenantId("drivewell"), "u-olivia", frozenset({Scope.CONNECTORS_READ.value}))
HOST = Caller(TenantId("drivewell"), "backend", frozenset(scope.value for scope in Scope))


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


@pytest.fixture
def api(loop: Loop) -> Api:
    return Api(parts_of(loop.service))


@pytest.fixture
async def over_http(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    client: TestClient[Any, Any] = await aiohttp_client(web_app(loop.service, "api", asyncio.Event()))
    token = host_token(key_file.read_bytes().strip(), "drivewell")

    async def get(path: str) -> tuple[int, Any]:
        async with client.get(path, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, await answer.json(content_type=None)

    return get


async def test_a_page_gets_what_a_caller_over_http_gets(api: Api, over_http: Callable[..., Awaitable[Any]]) -> None:
    body = {"connector_id": "c-1", "provider": "quickbooks-online", "name": "Books"}
    registered = await api.ask("register_connector", HOST, body=body)
    assert (registered.status, registered.headers["Location"]) == (201, "/v1/connectors/c-1")
    asked = {
        "get_connector": ({"connector_id": "c-1"}, {}, "/v1/connectors/c-1"),
        "get_history": ({"connector_id": "c-1"}, {"limit": "1"}, "/v1/connectors/c-1/history?limit=1"),
        "list_connectors": ({}, {"state": "failed"}, "/v1/connectors?state=failed"),
        "list_reasons": ({}, {}, "/v1/reasons"),
    }
    for name, (params, query, path) in asked.items():
        answer = await api.ask(name, HOST, params, query=query)
        assert (answer.status, answer.json) == await over_http(path), name
        assert answer.is_well


async def test_a_page_gets_the_problems_that_a_caller_over_http_gets(
    api: Api, over_http: Callable[..., Awaitable[Any]]
) -> None:
    for query, path in (({"state": "tired"}, "?state=tired"), ({"limit": "0"}, "?limit=0")):
        answer = await api.ask("list_connectors", HOST, query=query)
        status, told = await over_http(f"/v1/connectors{path}")
        mine = {name: value for name, value in answer.json.items() if name != "trace_id"}
        assert (answer.status, mine) == (status, {n: v for n, v in told.items() if n != "trace_id"})
        assert not answer.is_well
    unknown = await api.ask("get_connector", HOST, {"connector_id": "c-of-nobody"})
    assert unknown.json["code"] == ProblemCode.UNKNOWN_CONNECTOR


async def test_what_a_person_may_not_do_a_page_may_not_do_for_them(api: Api, loop: Loop) -> None:
    body = {"connector_id": "c-2", "provider": "quickbooks-online", "name": "Books"}
    refused = await api.ask("register_connector", READER, body=body)
    assert (refused.status, refused.json["code"]) == (403, ProblemCode.SCOPE_MISSING)
    assert await loop.pool.fetchval("select count(*) from connector") == 0


async def test_a_page_that_asks_twice_with_one_key_does_it_once(api: Api, loop: Loop) -> None:
    body = {"connector_id": "c-3", "provider": "quickbooks-online", "name": "Books"}
    answers = [await api.ask("register_connector", HOST, body=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert await loop.pool.fetchval("select count(*) from idempotency") == 1


async def test_what_breaks_is_a_problem_and_tells_nothing(api: Api, loop: Loop) -> None:
    await loop.pool.execute("alter table connector rename to moved")
    broken = await api.ask("list_connectors", HOST)
    assert (broken.status, broken.json["code"]) == (500, ProblemCode.INTERNAL_ERROR)
    assert "moved" not in str(broken.json)
