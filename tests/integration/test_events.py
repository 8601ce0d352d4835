"""What happens can be followed: each transition, in its connector's order, one's own alone, from any position."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from schemas.ids import TenantId
from schemas.problems import ProblemCode
from schemas.routes import Scope
from service.app import parts_of, web_app
from service.http.access import runner_of
from service.http.api import Api
from service.http.auth import Caller
from service.insight import feed
from service.insight.feed import Feed
from tests.fleets import Herd, engine_on, logged
from tests.integration.test_api import Host, problem
from tests.loop import Loop, eventually, running_loop
from tests.window import host_token


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


@pytest.fixture
async def host(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Host:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    return Host(await aiohttp_client(web_app(loop.service, "api", asyncio.Event())), key_file.read_bytes().strip())


class Reader:
    """Somebody who follows a stream over HTTP, and goes on behind the last event that it read."""

    def __init__(self, host: Host, tenant: str) -> None:
        self.host, self.tenant = host, tenant
        self.last = ""
        self.events: list[Any] = []

    async def read(self, count: int, *, subject: str = "reader") -> None:
        """Reads so many more events, then hangs up."""
        headers = {"Authorization": f"Bearer {self.host.token(self.tenant, sub=subject)}"}
        if self.last:
            headers["Last-Event-ID"] = self.last
        async with self.host.client.get("/v1/events", headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream"), await answer.text()
            wanted = len(self.events) + count
            async for raw in answer.content:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "id":
                    self.last = value
                elif name == "data":
                    self.events.append(orjson.loads(value))
                if len(self.events) >= wanted and not raw.strip():
                    return


def versions(events: list[Any]) -> list[tuple[str, int]]:
    return [(event["connector_id"], event["version"]) for event in events]


async def test_a_reader_that_comes_back_goes_on_where_it_was(host: Host) -> None:
    reader = Reader(host, "drivewell")
    await reader.read(0)  # from now on
    ids = [await host.registered() for _ in range(7)]
    await reader.read(3)
    await host.call("POST", f"/v1/connectors/{ids[0]}/disconnect")
    await reader.read(5)
    assert sorted(versions(reader.events)) == sorted([*((id_, 1) for id_ in ids), (ids[0], 2)])
    own = [version for id_, version in versions(reader.events) if id_ == ids[0]]
    assert own == [1, 2]


async def test_s38_a_tenant_follows_its_own_and_the_whole_fleet_all(host: Host) -> None:
    own, all_ = Reader(host, "drivewell"), Reader(host, "*")
    await asyncio.gather(own.read(0), all_.read(0))
    body = {"connector_id": "far", "provider": "quickbooks-online", "name": "Far"}
    assert (await host.call("POST", "/v1/connectors", body, tenant="stranger")).status == 201
    near = await host.registered()
    await asyncio.gather(own.read(1), all_.read(2))
    assert versions(own.events) == [(near, 1)]
    assert sorted(versions(all_.events)) == sorted([("far", 1), (near, 1)])
    # Even from a position of somebody else's.
    own.last = all_.last = Reader(host, "*").last
    stolen = Reader(host, "stranger")
    stolen.last = feed.written({0: 0, 1: 0})
    await stolen.read(1)
    assert versions(stolen.events) == [("far", 1)]


@pytest.mark.parametrize(
    "last", ["x", "W10.", "a" * 70_001, feed.written({0: 1})[:-1] + "=", "W1sxLC0xXV0", "eyJhIjoxfQ"]
)
async def test_a_position_that_is_none_is_told_so(host: Host, last: str) -> None:
    answer = await host.call("GET", "/v1/events", Last_Event_ID=last[:8000])
    await problem(answer, ProblemCode.INVALID_REQUEST)


async def test_too_many_streams_of_one_caller_are_refused_and_room_is_made_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.insight.feed.OF_A_READER", 2)
    headers = {"Authorization": f"Bearer {host.token()}"}
    open_ = [await host.client.get("/v1/events", headers=headers) for _ in range(2)]
    for answer in open_:
        assert await answer.content.readline()
    refused = await host.call("GET", "/v1/events")
    assert "Retry-After" in refused.headers
    await problem(refused, ProblemCode.TOO_MANY_REQUESTS)
    open_[0].close()

    async def is_room() -> bool:
        again = await host.client.get("/v1/events", headers=headers)
        again.close()
        return again.status == 200

    await eventually(is_room, "room for another")
    open_[1].close()


async def test_a_stream_that_says_nothing_beats_and_ends_after_its_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.events.HEARTBEAT_S", 0.1)
    monkeypatch.setattr("service.http.events.STREAM_S", 1.0)
    answer = await host.call("GET", "/v1/events")
    text = await answer.text()
    assert text.startswith("retry: ") and text.count(": still here") >= 2


async def test_a_reader_that_takes_nothing_is_cut_off_and_costs_no_memory(
    loop: Loop, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.streams.SLOWEST_S", 0.5)
    for first in range(0, 600, 200):
        await asyncio.gather(*(loop.register(f"{n:03}" + "x" * 100) for n in range(first, first + 200)))
    runner = runner_of(web_app(loop.service, "api", asyncio.Event()))
    await runner.setup()
    with socket.socket() as listening, socket.socket() as plain:  # one that asks and never reads
        for one, room in ((listening, socket.SO_SNDBUF), (plain, socket.SO_RCVBUF)):
            one.setsockopt(socket.SOL_SOCKET, room, 4096)  # next to no room on the way
            one.setblocking(False)
        listening.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listening).start()
        await asyncio.get_running_loop().sock_connect(plain, listening.getsockname())
        asked = (
            f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {host.token('*')}\r\n"
            f"Last-Event-ID: {feed.written({0: 0, 1: 0})}\r\n\r\n"
        )
        await asyncio.get_running_loop().sock_sendall(plain, asked.encode())
        server = runner.server
        assert server is not None
        try:
            await eventually(lambda: server.connections, "it is listened to")
            await eventually(lambda: not server.connections, "it is cut off")
        finally:
            await runner.cleanup()


async def test_every_reader_gets_every_transition_however_many_are_written_meanwhile(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd, log = Herd(engine, pool, random.Random(31)), Feed(pool)
        start = await log.end()
        found: list[list[tuple[str, int]]] = [[] for _ in range(4)]

        async def follow(number: int) -> None:
            tenant = TenantId("acme") if number == 3 else None
            clock = asyncio.get_running_loop().time
            async for _, one in log.follow(number, tenant, dict(start), clock() + 60):
                if one is not None:
                    found[number].append((one.connector, orjson.loads(one.record)["version"]))

        following = [asyncio.create_task(follow(number)) for number in range(4)]
        await herd.live(300)
        records = await logged(pool)
        every = sorted((r["connector_id"], r["version"]) for r in records)
        acmes = sorted((r["connector_id"], r["version"]) for r in records if r["tenant_id"] == "acme")
        await eventually(lambda: [len(f) for f in found] == [len(every)] * 3 + [len(acmes)], "all is read")
        log.close()
        await asyncio.gather(*following)
        assert [sorted(f) for f in found] == [every, every, every, acmes]
        for f in found:
            for id_ in {id_ for id_, _ in f}:
                own = [version for other, version in f if other == id_]
                assert own == sorted(own), "in the connector's order"


async def test_a_stream_ends_when_the_process_does(loop: Loop) -> None:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    runner = runner_of(web_app(loop.service, "api", asyncio.Event()), drain_s=20)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    headers = {"Authorization": f"Bearer {host_token(key_file.read_bytes().strip(), 'drivewell')}"}
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/events"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert await answer.content.readline()
        async with asyncio.timeout(5):
            await asyncio.gather(runner.cleanup(), answer.read())


async def test_a_page_of_this_process_follows_the_same(loop: Loop, host: Host) -> None:
    api = Api(parts_of(loop.service))
    caller = Caller(TenantId("*"), "console", frozenset({Scope.FLEET_READ.value}))
    events = await api.follow("follow_events", caller)
    assert (await anext(events)).startswith(b"retry:")
    id_ = await host.registered()
    async with asyncio.timeout(10):
        event = await anext(events)
    assert b"event: transition" in event and id_.encode() in event
    await events.aclose()
