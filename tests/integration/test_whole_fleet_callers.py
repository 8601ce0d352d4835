"""S38: who speaks for the whole fleet names a tenant where one is meant; nobody else gets anything by naming one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.lifecycle import ActorKind
from schemas.problems import ProblemCode
from schemas.routes import ROUTES, Reach, Route
from service.app import web_app
from tests.integration.test_api import Host, problem
from tests.loop import Loop, running_loop

TENANTS_ROUTES = [route for route in ROUTES if route.reach is Reach.TENANT]
FLEETS_ROUTES = [route for route in ROUTES if route.reach is Reach.FLEET]
PATH = {
    "connector_id": "drivewells",
    "attempt_id": "6f1c2d0e-6f62-4c39-9f0b-0d3c5b1c9f11",
    "letter_id": "0-1",
    "endpoint": "host",
    "given_up_id": "1-drivewells",
}


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


@pytest.fixture
async def host(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Host:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    host = Host(await aiohttp_client(web_app(loop.service, "all", asyncio.Event())), key_file.read_bytes().strip())
    await host.registered("drivewells")
    body = {"connector_id": "strangers", "provider": "quickbooks-online", "name": "Far Books"}
    assert (await host.call("POST", "/v1/connectors", body, tenant="stranger")).status == 201
    return host


@pytest.mark.parametrize("route", TENANTS_ROUTES, ids=lambda route: route.name)
async def test_s38_on_a_tenants_routes_the_whole_fleet_must_say_which(host: Host, route: Route) -> None:
    answer = await host.call(route.method, route.path.format_map(PATH), {}, tenant="*")
    await problem(answer, ProblemCode.TENANT_NEEDED)


async def test_s38_the_whole_fleet_is_the_tenant_that_it_names_and_nobody_else(host: Host) -> None:
    for tenant, own, other in (("drivewell", "drivewells", "strangers"), ("stranger", "strangers", "drivewells")):
        answer = await host.call("GET", "/v1/connectors", tenant="*", Regrant_Tenant=tenant)
        assert [c["connector_id"] for c in (await answer.json())["connectors"]] == [own]
        seen = await host.call("GET", f"/v1/connectors/{own}", tenant="*", Regrant_Tenant=tenant)
        assert (await seen.json())["tenant_id"] == tenant
        far = await host.call("GET", f"/v1/connectors/{other}", tenant="*", Regrant_Tenant=tenant)
        await problem(far, ProblemCode.UNKNOWN_CONNECTOR)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_s38_a_tenants_token_gets_nothing_of_another_by_naming_it(host: Host, method: str) -> None:
    for named in ("drivewell", "nobody"):
        answer = await host.call(
            method, "/v1/connectors/drivewells", {"name": "x"}, tenant="stranger", Regrant_Tenant=named
        )
        await problem(answer, ProblemCode.UNKNOWN_CONNECTOR)
    told = await (await host.call("GET", "/v1/connectors", tenant="stranger", Regrant_Tenant="drivewell")).json()
    assert [c["connector_id"] for c in told["connectors"]] == ["strangers"]
    fleet = await (await host.call("GET", "/v1/fleet", tenant="stranger", Regrant_Tenant="drivewell")).json()
    assert fleet["connectors"] == 1


async def test_s38_a_spanning_route_shows_each_caller_what_it_speaks_for(host: Host) -> None:
    for tenant, seen in (("*", 2), ("drivewell", 1), ("stranger", 1), ("nobody", 0)):
        assert (await (await host.call("GET", "/v1/fleet", tenant=tenant)).json())["connectors"] == seen
    named = await host.call("GET", "/v1/fleet", tenant="*", Regrant_Tenant="stranger")
    assert (await named.json())["connectors"] == 1
    assert (await host.call("GET", "/v1/reasons", tenant="*")).status == 200


@pytest.mark.parametrize("named", ["*", "", "a b", "a" * 129], ids=["star", "empty", "blank", "long"])
async def test_s38_what_is_no_tenants_name_is_refused_whoever_says_it(host: Host, named: str) -> None:
    for tenant in ("*", "drivewell"):
        answer = await host.call("GET", "/v1/connectors", tenant=tenant, Regrant_Tenant=named)
        await problem(answer, ProblemCode.MALFORMED_REQUEST)


async def test_what_the_whole_fleet_does_is_done_by_an_operator(host: Host, loop: Loop) -> None:
    await host.call("PATCH", "/v1/connectors/drivewells", {"name": "Ledger"}, tenant="*", Regrant_Tenant="drivewell")
    history = await (await host.call("GET", "/v1/connectors/drivewells/history")).json()
    assert [entry["actor"]["kind"] for entry in history["entries"]] == [ActorKind.OPERATOR, ActorKind.HOST]


async def test_s38_what_is_the_whole_fleets_is_no_tenants(host: Host) -> None:
    for route in FLEETS_ROUTES:
        for headers in ({}, {"Regrant_Tenant": "drivewell"}):
            answer = await host.call(route.method, route.path.format_map(PATH), {}, **headers)
            await problem(answer, ProblemCode.WHOLE_FLEET_ONLY)
