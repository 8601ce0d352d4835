"""The window's stream over HTTP: whoever began follows the attempt as it goes; everybody else gets what asking gets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from schemas.lifecycle import State, Step
from schemas.secret import Secret
from service.web.following import Following, Told, TooManyStreams
from tests.integration.test_window_routes import ATTEMPT_PAGE, STATUS, MemoryFlow, Person, client_of
from tests.window import Running

Client = TestClient[web.Request, web.Application]
Clients = Callable[..., Awaitable[Client]]
EVENTS = f"{ATTEMPT_PAGE}/events"
PATIENCE_S = 15


@pytest.fixture
def flow() -> MemoryFlow:
    return MemoryFlow()


@pytest.fixture
async def person(aiohttp_client: Clients, flow: MemoryFlow) -> Person:
    return Person(await client_of(aiohttp_client, flow), flow)


class Events:
    """What a stream says, one event at a time."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.id = ""

    async def next(self) -> tuple[str, str]:
        """The next event's name and data. Raises `EOFError` where the stream ended."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    self.id = fields.get("id", self.id)
                    return fields["event"], fields["data"]
                else:
                    fields = {}
        raise EOFError

    async def news(self) -> tuple[str, str]:
        """The next event that says more than that nothing is new."""
        while (event := await self.next())[0] == "still":
            pass
        return event

    async def screen(self) -> dict[str, str]:
        """The next screen, which differs from the one before."""
        name, data = await self.news()
        assert name == "screen"
        shown: dict[str, str] = orjson.loads(data)
        return shown


@asynccontextmanager
async def following(person: Person, **headers: str) -> AsyncIterator[Events]:
    response = await person.get(EVENTS, **headers)
    assert (response.status, response.content_type) == (200, "text/event-stream")
    try:
        yield Events(response)
    finally:
        response.close()


async def test_a_stream_tells_each_step_as_it_is_reached_and_ends_with_the_attempt(
    person: Person, flow: MemoryFlow
) -> None:
    await person.begin()
    await person.come_back()
    async with following(person) as events:
        assert "Checking the company" in (await events.screen())["html"]
        flow.view_ = replace(flow.view_, step=Step.ACCOUNT_CHECKED)
        assert "Company checked" in (await events.screen())["html"]
        flow.view_ = replace(flow.view_, live=False, succeeded=True, state=State.SYNCING, step=Step.SYNC_STARTED)
        assert "Waiting for the first data" in (await events.screen())["html"]
        flow.view_ = replace(flow.view_, state=State.HEALTHY)
        last = await events.screen()
        assert last["final"] and "First data has arrived" in last["html"]
        with pytest.raises(EOFError):
            await events.next()


async def test_a_stream_says_what_asking_says_and_whoever_comes_back_with_it_isnt_told_again(
    person: Person, flow: MemoryFlow
) -> None:
    await person.begin()
    await person.come_back()
    asked = await person.get(STATUS)
    async with following(person) as events:
        assert await events.screen() == await asked.json()
        assert asked.headers["ETag"] == f'"{events.id}"'
        known = events.id
    async with following(person, **{"Last-Event-ID": known}) as events:
        assert (await events.next())[0] == "still"


async def test_a_stream_has_the_headers_of_every_page_and_is_kept_nowhere(person: Person) -> None:
    await person.begin()
    async with following(person) as events:
        headers = events.response.headers
    assert headers["Cache-Control"] == "no-store" and headers["X-Accel-Buffering"] == "no"
    assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


async def test_s24_a_stranger_to_the_attempt_gets_the_one_answer(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    stranger = Person(person.client, flow)
    paths = (EVENTS, f"/connect/attempts/{uuid4()}/events", "/connect/attempts/nonsense/events", STATUS)
    answers = [await stranger.get(path) for path in paths]

    assert {(answer.status, await answer.text()) for answer in answers} == {(404, '{"final":true}')}


async def test_an_attempt_that_is_no_longer_this_browsers_ends_its_stream(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    async with following(person) as events:
        await events.screen()
        flow.browser, flow.view_ = Secret("another" * 8), replace(flow.view_, unavailable=1)
        assert (await events.news())[0] == "gone"


async def test_a_database_that_is_away_refuses_new_streams_and_those_there_are_go_on_after_it(
    person: Person, flow: MemoryFlow
) -> None:
    await person.begin()
    async with following(person) as events:
        await events.screen()
        flow.trouble = ConnectionRefusedError()
        assert (await person.get(EVENTS)).status == 503
        flow.trouble = None
        flow.view_ = replace(flow.view_, step=Step.RETURNED, state=State.VERIFYING)
        assert "Checking" in (await events.screen())["title"]


@asynccontextmanager
async def serving(aiohttp_client: Clients, following: Following, told: Told) -> AsyncIterator[Client]:
    """The streams alone, of one attempt."""
    attempt = MemoryFlow().view_.attempt

    async def now() -> Told | None:
        return told

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        try:
            await following.stream(request, attempt, request.headers.get("From", ""), response, now)
        except TooManyStreams:
            return web.Response(status=429)
        return response

    app = web.Application()
    following.add_to(app)
    app.router.add_get("/", stream)
    yield await aiohttp_client(app)


async def unmarked(ids: object) -> dict[object, str]:
    return {}


async def test_a_quiet_stream_is_heard_of_and_ends_when_it_is_old(aiohttp_client: Clients) -> None:
    quick = Following(unmarked, heartbeat_s=0.05, lifetime_s=0.5)  # type: ignore[arg-type]
    async with serving(aiohttp_client, quick, Told(b"{}", final=False)) as client:
        text = await (await client.get("/")).text()
    assert text.startswith("retry: 1000\n\nevent: screen\nid: ")
    assert text.count("event: screen") == 1 and text.count("event: still") > 2


async def test_s39_streams_are_bounded_for_an_address_and_in_all_and_closed_ones_make_room(
    aiohttp_client: Clients,
) -> None:
    few = Following(unmarked, heartbeat_s=0.05, most=3, most_from_an_address=2)  # type: ignore[arg-type]
    async with serving(aiohttp_client, few, Told(b"{}", final=False)) as client:

        async def status(address: str) -> tuple[int, aiohttp.ClientResponse]:
            response = await client.get("/", headers={"From": address})
            return response.status, response

        first = [await status("a") for _ in range(3)]
        second = [await status("b") for _ in range(2)]
        assert [code for code, _ in first + second] == [200, 200, 429, 200, 429]
        first[0][1].close()
        async with asyncio.timeout(PATIENCE_S):
            while (await status("b"))[0] != 200:
                await asyncio.sleep(0.05)


async def test_a_server_that_stops_ends_its_streams_first(aiohttp_client: Clients) -> None:
    patient = Following(unmarked, heartbeat_s=600)  # type: ignore[arg-type]
    async with serving(aiohttp_client, patient, Told(b"{}", final=False)) as client:
        events = Events(await client.get("/"))
        assert (await events.next())[0] == "screen"
        async with asyncio.timeout(PATIENCE_S):
            await client.server.close()


# On the running service.


async def test_every_write_to_the_attempt_or_its_connector_changes_its_mark(service: Running) -> None:
    id_ = await service.registered()
    attempt, link = await service.opened(id_)
    flow = service.loop.service.flow

    async def mark() -> str:
        return next(iter((await flow.marks([attempt])).values()))

    before = await mark()
    assert await mark() == before
    await service.begun(service.browser(), link)
    begun = await mark()
    await service.loop.pool.execute("update connector set unavailable = unavailable + 1 where connector_id = $1", id_)
    assert len({before, begun, await mark()}) == 3
    assert await flow.marks([uuid4()]) == {}


async def test_the_steps_of_a_real_verification_are_streamed_up_to_the_sync(service: Running) -> None:
    id_ = await service.connected()
    attempt, browser, callback = await service.back(id_)
    slow = service.loop.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=30)
    page = (await browser.get(callback)).location
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    async with service.session.get(f"{service.origin}{page}/events", headers={"Cookie": cookie}) as response:
        events = Events(response)
        assert "Checking the company" in (await events.screen())["html"]
        service.loop.simulator.faults.lift(slow.id)
        while "Credential saved" not in (shown := await events.screen())["html"]:
            pass
    assert 'data-outcome="connected"' in shown["html"]
    step = await service.loop.pool.fetchval("select step from attempt where attempt_id = $1", attempt)
    assert step == Step.CREDENTIAL_SAVED
