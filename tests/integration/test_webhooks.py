"""Webhooks, on a real PostgreSQL and a real receiver: in order per connector, nothing lost, others not held up."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from service.couriers.endpoint import Refusal
from service.couriers.schedule import Schedule
from service.engine.door import Engine
from service.store import couriers as store
from service.store import given_up
from service.store.couriers import Standing
from service.store.pool import Pool
from service.webhooks import endpoint as endpoint_module
from service.webhooks.endpoint import Poster, SignedEndpoint
from service.webhooks.events import Event, Wanted
from statemachine.inputs import Delete
from tests.couriers import QUICK, SOON, delivering, look_often, standing, stands
from tests.hostile.server import certificate
from tests.hostile.test_s28_addresses import Resolver, only
from tests.integration.test_engine import by_host, failed, pool_of, register, running, shard_of, succeeded
from tests.loop import eventually
from tests.receiver import Answering, Receiver, accept, never, new_secret, refusing

EVERYTHING = Wanted(frozenset({"transitions", "sync_requests"}))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_often(monkeypatch)


@dataclass
class Stage:
    """An engine, and a receiver for what happens in it."""

    engine: Engine
    receiver: Receiver
    folder: Path
    name: str = "host"
    schedule: Schedule = QUICK
    wanted: Wanted = EVERYTHING
    said: dict[str, int] = field(default_factory=dict)

    @property
    def pool(self) -> Pool:
        return pool_of(self.engine)

    @property
    def secret_file(self) -> Path:
        return self.folder / "secret"

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """A process delivers as long as the block lasts; it ends as if it were killed."""
        self.secret_file.write_text(self.receiver.secret)
        async with Poster() as poster:
            endpoint = SignedEndpoint(self.name, URL(self.receiver.url), [self.secret_file], self.wanted, True, poster)
            async with delivering(self.engine, endpoint, self.schedule):
                yield

    async def happens(self, *connectors: str, times: int = 1) -> None:
        """So many further transitions of each of these connectors."""
        for connector in connectors:
            for _ in range(times):
                said = self.said.get(connector, 0)
                if not said:
                    await self.engine.submit(by_host(register(connector)))
                elif said % 2:
                    await self.engine.submit(by_host(failed(connector, minute=said)))
                else:
                    await self.engine.submit(by_host(succeeded(connector, minute=said)))
                self.said[connector] = said + 1

    def expected(self, *, without: str = "") -> dict[str, list[int]]:
        return {c: list(range(1, n + 1)) for c, n in self.said.items() if c != without}

    async def all_told(self, *, without: str = "") -> None:
        """Waits until everything was accepted, in order."""

        def told() -> bool:
            versions = self.receiver.versions()
            versions.pop(without, None)
            return versions == self.expected(without=without)

        await eventually(told, "everything was told")

    async def standing(self) -> Standing:
        return await standing(self.pool, self.name)

    async def stands(self, how: Callable[[Standing], bool], what: str) -> Standing:
        return await stands(self.pool, self.name, how, what)


@pytest.fixture
async def stage(database: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with running(database) as engine, Receiver().served() as receiver:
        yield Stage(engine, receiver, tmp_path)


async def test_what_happens_is_told_in_order_per_connector_and_then_nothing_is_behind(stage: Stage) -> None:
    async with stage.delivering():
        await stage.happens("c1", "c2", "c3", times=5)
        await stage.all_told()
        await stage.stands(lambda s: (s.behind, s.parked, s.given_up) == (0, 0, 0), "nothing is behind")
    assert (await stage.standing()).accepted_at is not None


async def test_a_new_endpoint_is_told_what_happens_from_now_on(stage: Stage) -> None:
    await stage.happens("old", times=3)
    async with stage.delivering():
        await stage.happens("new", times=3)
        await eventually(lambda: stage.receiver.versions().get("new") == [1, 2, 3], "the new ones")
    assert stage.receiver.versions().keys() == {"new"}


async def test_one_connectors_refused_event_holds_up_its_own_and_nobody_elses(stage: Stage) -> None:
    stage.receiver.answering = refusing("c1")
    async with stage.delivering():
        await stage.happens("c1", "c2", "c3", times=6)
        await stage.all_told(without="c1")
        await eventually(lambda: stage.receiver.tries_of("c1") >= 5, "it is tried again")
        assert {id_ for id_, _ in stage.receiver.tried if id_.startswith("c1/")} == {"c1/1/transition"}
        standing = await stage.stands(lambda s: s.parked == 1, "one is behind")
        assert standing.parked_since is not None
        assert await stage.pool.fetchval("select failure from webhook_parked") == "status 500"
        stage.receiver.answering = accept
        await stage.all_told()
        await stage.stands(lambda s: (s.behind, s.parked) == (0, 0), "it caught up")


async def test_what_comes_while_a_connector_catches_up_isnt_lost(stage: Stage) -> None:
    """Each of its events is refused at first: it is parked and caught up all the time, while more comes."""
    refused: set[str] = set()

    async def second_try(event: dict[str, Any]) -> int:
        known = event["id"] in refused
        refused.add(event["id"])
        return 204 if known else 503

    stage.receiver.answering = second_try
    async with stage.delivering():
        for _ in range(12):
            await stage.happens("c1", "c2")
            await asyncio.sleep(0)
        await stage.all_told()
        await stage.stands(lambda s: (s.behind, s.parked) == (0, 0), "nothing is behind")


async def test_nothing_is_lost_nor_out_of_order_over_kills(stage: Stage) -> None:
    stage.receiver.answering = refusing("c3", 503)
    for number in range(4):
        async with stage.delivering():
            await stage.happens("c1", "c2", "c3", times=4)
            wanted = number * 3 + 1  # killed in the midst of it
            await eventually(lambda wanted=wanted: len(stage.receiver.taken) >= wanted, "some were told")
        await stage.happens("c1", "c2", "c3")  # while nobody delivers
    stage.receiver.answering = accept
    async with stage.delivering():
        await stage.all_told()


async def test_one_that_was_replaced_writes_nothing_any_more(stage: Stage) -> None:
    async with stage.delivering():
        await stage.happens("c1", times=2)
        await stage.all_told()
    async with stage.pool.acquire() as connection:
        mine = await store.claim(connection, "host", shard_of(ConnectorId("c1")))
        await store.claim(connection, "host", shard_of(ConnectorId("c1")))
        with pytest.raises(store.Replaced):
            async with connection.transaction():
                seen = store.Seen(True, None)
                await store.move(connection, "host", shard_of(ConnectorId("c1")), mine.epoch, mine.at + 5, seen)


async def test_a_slow_receiver_is_a_refusal_and_holds_up_nobody_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "TOTAL_S", 0.2)

    async def slow(event: dict[str, Any]) -> int:
        return await never(event) if event["data"]["connector_id"] == "c1" else 204

    stage.receiver.answering = slow
    async with stage.delivering():
        await stage.happens("c1", "c2", times=3)
        await stage.all_told(without="c1")
        await stage.stands(lambda s: s.parked == 1, "the slow one is behind")
        assert await stage.pool.fetchval("select failure from webhook_parked") == "no answer in time"


async def test_an_endpoint_that_was_down_is_told_everything_as_soon_as_it_is_back(stage: Stage) -> None:
    async def down(event: dict[str, Any]) -> int:
        return 502

    stage.schedule = replace(QUICK, pauses=(timedelta(hours=1),) * 20)
    stage.receiver.answering = down
    connectors = [f"c{number}" for number in range(14)]
    async with stage.delivering():
        await stage.happens(*connectors, times=2)
        standing = await stage.stands(lambda s: s.failing_since is not None and s.parked > 10, "it is down")
        assert standing.failure == "status 502"
        stage.receiver.answering = accept
        await stage.all_told()  # long before an hour is over
        standing = await stage.stands(lambda s: (s.behind, s.parked) == (0, 0), "all was told")
        assert (standing.failing_since, standing.given_up) == (None, 0)


async def test_an_event_that_is_never_accepted_is_given_up_seen_and_the_next_is_told(stage: Stage) -> None:
    async def never_the_second(event: dict[str, Any]) -> int:
        data = event["data"]
        return 422 if (data["connector_id"], data["version"]) == ("c1", 2) else 204

    stage.schedule = replace(QUICK, pauses=(SOON,) * 3)
    stage.receiver.answering = never_the_second
    async with stage.delivering():
        await stage.happens("c1", "c2", times=4)

        async def goes_on() -> bool:
            await stage.happens("c2")  # it is up: it takes others' events
            return stage.receiver.versions().get("c1") == [1, 3, 4]

        await eventually(goes_on, "the events behind it")
        await stage.stands(lambda s: (s.parked, s.given_up) == (0, 1), "it was given up")
    async with stage.pool.acquire() as connection:
        (one,) = await given_up.newest(connection, "host", 10)
    assert (one.connector, one.version, one.failure, one.asked_at) == ("c1", 2, "status 422", None)
    assert one.tries >= 4


async def test_an_event_that_was_given_up_is_sent_once_more_alone_when_somebody_asks(stage: Stage) -> None:
    await given_up_and_told(stage)
    told = stage.receiver.tried.copy()
    for status, failures in ((409, ["status 409"]), (204, [])):
        stage.receiver.answering = always(status)
        async with stage.pool.acquire() as connection:
            asked = [await given_up.ask(connection, "host", ConnectorId("c1"), 2, "kim") for _ in range(2)]
        assert asked[0] == asked[1] and asked[0] is not None and asked[0].asked_at is not None
        async with stage.delivering():
            await eventually(lambda: nobody_asks(stage), "it is sent, and what came of it is noted")
        async with stage.pool.acquire() as connection:
            assert [one.failure for one in await given_up.newest(connection, "host", 10)] == failures
    sent = [("c1/2/transition", 409), ("c1/2/transition", 204)]
    assert stage.receiver.tried == [*told, *sent], "and nothing else is told again"
    audited = await stage.pool.fetch("select tenant_id, connector_id, actor, detail from audit where what = $1", SEND)
    assert [(row["connector_id"], row["actor"], json.loads(row["detail"])) for row in audited] == [
        ("c1", "kim", {"endpoint": "host", "version": 2})
    ] * 2


async def test_what_is_sent_again_comes_behind_what_its_connector_still_waits_with(stage: Stage) -> None:
    await given_up_and_told(stage)
    stage.receiver.answering = refusing("c1")
    async with stage.delivering():
        await stage.happens("c1")
        await stage.stands(lambda s: s.parked == 1, "the next one waits")
        async with stage.pool.acquire() as connection:
            await given_up.ask(connection, "host", ConnectorId("c1"), 2, "kim")
        waits = stage.receiver.tries_of("c1")
        await eventually(lambda: stage.receiver.tries_of("c1") > waits + 2, "it goes on waiting")
        assert {id_ for id_, status in stage.receiver.tried if status == 500} == {"c1/5/transition"}
        stage.receiver.answering = accept
        await eventually(lambda: nobody_asks(stage), "it was sent")
    assert stage.receiver.versions()["c1"] == [1, 3, 4, 5, 2]


async def test_nothing_is_sent_again_that_wasn_t_given_up_or_that_the_log_has_no_longer(stage: Stage) -> None:
    await given_up_and_told(stage)
    async with stage.pool.acquire() as connection:
        for endpoint, id_, version in (("host", "c1", 3), ("host", "c2", 2), ("other", "c1", 2), ("host", "none", 2)):
            assert await given_up.ask(connection, endpoint, ConnectorId(id_), version, "kim") is None
        await connection.execute("delete from transition where version = 2")
        assert await given_up.ask(connection, "host", ConnectorId("c1"), 2, "kim") is None
        assert await connection.fetchval("select count(*) from audit where what = $1", SEND) == 0


SEND = "webhook_send_again"


async def given_up_and_told(stage: Stage) -> None:
    """The second event of c1 was given up, and the others are told."""
    async with stage.delivering():
        await stage.happens("c1", "c2", times=4)
        await stage.all_told()
        await stage.stands(lambda s: s.behind == 0, "the place in the log is noted")
    stage.receiver.taken = [event for event in stage.receiver.taken if event["id"] != SECOND]
    stage.receiver.ids.discard("c1/2/transition")
    await stage.pool.execute(
        "insert into webhook_given_up (endpoint, connector, version, since, tries, failure)"
        " select 'host', id, 2, now(), 15, 'status 422' from connector where connector_id = 'c1'"
    )


SECOND = f"c1/2/{channels.TRANSITION.name}"


async def nobody_asks(stage: Stage) -> bool:
    asked = "select count(*) from webhook_given_up where asked_at is not null"
    return bool(await stage.pool.fetchval(asked) == 0)


def always(status: int) -> Answering:
    async def answer(event: dict[str, Any]) -> int:
        return status

    return answer


async def test_where_nothing_is_accepted_nothing_is_given_up(stage: Stage) -> None:
    stage.schedule = replace(QUICK, pauses=(SOON,) * 2)
    stage.receiver.answering = refusing("c1")
    async with stage.delivering():
        await stage.happens("c1", times=2)
        await eventually(lambda: stage.receiver.tries_of("c1") >= 8, "it is tried on")
        assert (await stage.standing()).given_up == 0
        stage.receiver.answering = accept
        await stage.all_told()


async def test_a_secret_is_replaced_without_a_restart(stage: Stage) -> None:
    async with stage.delivering():
        await stage.happens("c1", times=2)
        await stage.all_told()
        stage.receiver.secret = new_secret()
        await stage.happens("c1")  # its receiver can't read it yet
        await stage.stands(lambda s: s.parked == 1, "it isn't taken")
        stage.secret_file.write_text(stage.receiver.secret)
        await stage.all_told()
        stage.secret_file.unlink()
        await stage.happens("c1")
        await stage.stands(lambda s: s.failure == "its secret can't be read here", "nothing is sent unsigned")


async def test_a_deleted_connectors_last_event_is_told_behind_all_that_waited(stage: Stage) -> None:
    stage.receiver.answering = refusing("c1")
    async with stage.delivering():
        await stage.happens("c1", times=3)
        await stage.stands(lambda s: s.parked == 1, "it is behind")
        await stage.engine.submit(by_host(Delete(connector=ConnectorId("c1"))))
        stage.said["c1"] += 1
        stage.receiver.answering = accept
        await stage.all_told()
    assert stage.receiver.taken[-1]["data"]["to"] == State.DELETED


async def test_notices_alone_can_be_wanted(stage: Stage) -> None:
    stage.wanted = Wanted(frozenset({"notices"}))
    async with stage.delivering():
        await stage.happens("c1", times=3)
        await eventually(lambda: len(stage.receiver.taken) == 2, "a failure and a recovery")
        await stage.stands(lambda s: s.behind == 0, "the others were passed over")
    assert [event["data"]["notice"] for event in stage.receiver.taken] == ["person_needed", "recovered"]
    assert {event["type"] for event in stage.receiver.taken} == {channels.TRANSITION.type}


# Where requests go.

EVENT = Event("c1/1/transition", b"{}")


async def told_why(url: str, **poster: Any) -> Refusal | None:
    private = poster.pop("private", False)
    async with Poster(**poster) as one:
        return await one.post(URL(url), {}, b"{}", private=private)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "0x7f.1", "localhost"])
async def test_s28_no_endpoint_at_a_private_address_is_called(host: str) -> None:
    async with Receiver().served() as receiver:
        port = URL(receiver.url).port
        refusal = await told_why(f"http://{host}:{port}/hook")
        assert refusal in (Refusal("its address isn't public"), Refusal("its name isn't known"))
        assert receiver.tried == []


async def test_s28_a_name_that_leads_to_a_private_address_isnt_called_nor_one_that_rebinds() -> None:
    async with Receiver().served() as receiver:
        port = URL(receiver.url).port
        for answers in ([["127.0.0.1"]], [["93.184.216.34", "127.0.0.1"]]):
            refusal = await told_why(f"http://host.example:{port}/hook", resolver=Resolver(answers))
            assert refusal == Refusal("its address isn't public")
        assert receiver.tried == []


async def test_s28_redirects_of_endpoints_arent_followed() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/inside"})

    asked: list[str] = []
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", elsewhere)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        refusal = await told_why(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", private=True)
    assert refusal == Refusal("status 307: redirects aren't followed")
    assert asked == ["/hook"]


async def test_s28_an_endpoints_certificate_must_be_trusted(tmp_path: Path) -> None:
    trusted = certificate(tmp_path, "host.example")

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trusted.server).start()
        url = f"https://host.example:{runner.addresses[0][1]}/hook"
        how = {"resolver": Resolver([["127.0.0.1"]]), "judge": only("127.0.0.1")}
        assert await told_why(url, tls=trusted.client, **how) is None
        assert await told_why(url, tls=ssl.create_default_context(), **how) == Refusal("its certificate isn't trusted")
    finally:
        await runner.cleanup()


async def test_s29_an_answer_that_never_ends_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 65536)
        except ConnectionError:
            cut.set()
        return answer

    cut = asyncio.Event()
    app = web.Application()
    app.router.add_post("/hook", endless)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        assert await told_why(url, private=True) is None, "its status was well"
        async with asyncio.timeout(10):
            await cut.wait()
    finally:
        await runner.cleanup()
