"""P28, over Kafka: a failure asks its owner once, by a link to a fresh handoff; then come reminders, or silence."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import Notice, State
from schemas.reasons import Reason
from service.demo.embedded.child import free_port
from service.http.access import runner_of
from tests.loop import eventually
from tests.window import OWNER, QUICKBOOKS, Browser, Running, running

PAUSES = (timedelta(seconds=1), timedelta(seconds=2))
ASKING = (Notice.PERSON_NEEDED, Notice.REMINDER)


@dataclass
class HostPage:
    """The host's page behind its login: it opens an attempt for whoever is signed in, and for nobody else."""

    port: int = field(default_factory=free_port)
    service: Running | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/connections/reconnect"

    async def reconnect(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        if "session" not in request.cookies:
            return web.Response(status=303, headers={"Location": "/login"})
        assert self.service is not None
        _, handoff = await self.service.opened(request.query["connector_id"], person=OWNER)
        return web.Response(status=303, headers={"Location": f"{self.service.origin}{handoff}"})

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/connections/reconnect", self.reconnect)
        runner = runner_of(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()


@pytest.fixture
def host() -> HostPage:
    return HostPage()


@pytest.fixture
async def service(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, host: HostPage
) -> AsyncIterator[Running]:
    rules: dict[str, object] = {"reminders": PAUSES}
    more = {"web": {"reconnect_url": host.url}}
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, rules=rules, more=more) as service:
        host.service = service
        async with host.served(), service.loop.topics.followed():
            await service.loop.take_over()
            yield service
            await service.loop.stop_worker()


def told(service: Running, id_: str) -> list[dict[str, Any]]:
    """The transitions of a connector on the topic; repeats of an event are dropped, as consumers do."""
    seen = {one["version"]: one for one in service.loop.topics.data(channels.TRANSITIONS, id_)}
    return [seen[version] for version in sorted(seen)]


def notices(service: Running, id_: str) -> list[str]:
    return [one["notice"] for one in told(service, id_) if one["notice"]]


async def noticed(service: Running, id_: str, *wanted: Notice) -> None:
    """Waits until these notices were published, in this order and before any other: reminders may be ahead of us."""
    await eventually(lambda: notices(service, id_)[: len(wanted)] == list(wanted), f"{wanted}")


async def renamed(service: Running, id_: ConnectorId, name: str) -> None:
    """Something that comes last, so that all before it is seen."""
    await service.api("PATCH", f"/v1/connectors/{id_}", {"name": name})
    await eventually(lambda: any(one["connector"]["name"] == name for one in told(service, id_)), "the new name")


async def healthy(service: Running) -> ConnectorId:
    id_ = await service.connected()
    await service.loop.say(id_, channels.SYNC_SUCCEEDED, generation=1)
    await service.loop.state(id_, State.HEALTHY)
    return id_


async def failed(service: Running) -> ConnectorId:
    """A connector that the host brought along, after its first failure."""
    id_ = await service.loop.register(connected=True)
    await service.loop.fail(id_, generation=None)
    await service.loop.state(id_, State.FAILED)
    return id_


def at(one: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(one["at"])


async def test_p28_one_failure_asks_once_however_often_and_for_whatever_reason_it_is_reported(service: Running) -> None:
    id_ = await healthy(service)
    for _ in range(3):
        await service.loop.fail(id_, generation=1)
    await service.loop.state(id_, State.FAILED)
    await service.loop.say(id_, channels.SYNC_FAILED, generation=1, reason=Reason.GRANT_REVOKED)
    revoked = Reason.GRANT_REVOKED
    await eventually(lambda: any(one["reason"] == revoked for one in told(service, id_)), "the reason that it has now")
    await service.loop.fail(id_, generation=1)
    await service.loop.say(id_, channels.SYNC_FAILED, generation=1, reason=Reason.RATE_LIMITED)
    await renamed(service, id_, "Last")
    assert notices(service, id_).count(Notice.PERSON_NEEDED) == 1


async def test_p28_another_failure_asks_again_and_one_that_needs_somebody_else_does_at_once(service: Running) -> None:
    id_ = await failed(service)
    await service.loop.say(id_, channels.SYNC_FAILED, reason=Reason.ACCOUNT_INACTIVE)
    await eventually(lambda: notices(service, id_).count(Notice.PERSON_NEEDED) == 2, "the second notice")
    first, second = (one for one in told(service, id_) if one["notice"] == Notice.PERSON_NEEDED)
    assert first["link"] is not None
    assert second["link"] is None, "signing in doesn't mend it"
    await service.loop.say(id_, channels.SYNC_SUCCEEDED)
    await service.loop.state(id_, State.HEALTHY)
    await service.loop.fail(id_, generation=None)
    await eventually(lambda: notices(service, id_).count(Notice.PERSON_NEEDED) == 3, "the next failure's own notice")


async def test_p28_the_link_leads_through_the_hosts_login_to_a_fresh_handoff_whenever_it_is_opened(
    service: Running, host: HostPage
) -> None:
    id_ = await healthy(service)
    await service.loop.fail(id_, generation=1)
    await eventually(lambda: notices(service, id_).count(Notice.REMINDER) == len(PAUSES), "nothing comes by itself now")
    (asking,) = (one for one in told(service, id_) if one["notice"] == Notice.PERSON_NEEDED)
    assert asking["link"] == f"{service.origin}/reconnect/{QUICKBOOKS}/{id_}"

    await service.loop.all_is_out()
    before = await service.dump()
    stranger = service.browser()
    sent = await stranger.get(asking["link"])
    assert (sent.status, sent.location) == (303, f"{host.url}?provider={QUICKBOOKS}&connector_id={id_}")
    assert (await stranger.get(sent.location)).location == "/login"
    assert await service.dump() == before, "a mail scanner spends nothing"

    owner = Browser(service.session, service.origin, {"session": "olivia"})
    handoffs = [(await owner.get((await owner.get(asking["link"])).location)).location for _ in range(2)]
    assert len(set(handoffs)) == 2
    old, fresh = (URL(handoff).path for handoff in handoffs)
    assert (await owner.get(old)).status == 404, "a newer link voids the older one"
    callback = await owner.sign_in(await service.begun(owner, fresh))
    await owner.get(callback)
    await service.loop.state(id_, State.SYNCING)
    await service.loop.say(id_, channels.SYNC_SUCCEEDED, generation=2)
    await eventually(lambda: notices(service, id_)[-1:] == [Notice.RECOVERED], "the silence")


async def test_p28_reminders_come_on_the_hosts_schedule_each_with_the_link(service: Running) -> None:
    id_ = await failed(service)
    await noticed(service, id_, Notice.PERSON_NEEDED, Notice.REMINDER, Notice.REMINDER)
    asking = [one for one in told(service, id_) if one["notice"] in ASKING]
    for (before, one), pause in zip(pairwise(asking), PAUSES, strict=True):
        assert pause <= at(one) - at(before) < pause + timedelta(seconds=5)
    assert {one["link"] for one in asking} == {asking[0]["link"]} != {None}
    assert (await service.loop.row(id_))["deadline"] is None, "and that was the last"


async def test_p28_an_attempt_that_comes_to_nothing_doesnt_ask_again_and_reminders_go_on(service: Running) -> None:
    id_ = await failed(service)
    attempt, _ = await service.opened(id_)
    await service.api("POST", f"/v1/attempts/{attempt}/cancel")
    await noticed(service, id_, Notice.PERSON_NEEDED, Notice.REMINDER, Notice.REMINDER)


@pytest.mark.parametrize("ending", ["recovered", "disconnected", "deleted"])
async def test_p28_p17_nobody_is_reminded_after_a_recovery_or_a_disconnect(service: Running, ending: str) -> None:
    id_ = await failed(service)
    await noticed(service, id_, Notice.PERSON_NEEDED)
    match ending:
        case "recovered":
            await service.loop.say(id_, channels.SYNC_SUCCEEDED)
            await service.loop.state(id_, State.HEALTHY)
        case "disconnected":
            await service.api("POST", f"/v1/connectors/{id_}/disconnect")
        case "deleted":
            await service.api("DELETE", f"/v1/connectors/{id_}")
    state = State.HEALTHY if ending == "recovered" else State(ending)
    after = [State.FAILED, state]  # it began healthy
    ended = await eventually(
        lambda: next((one for one in told(service, id_) if [one["from"], one["to"]] == after), None), ending
    )
    # Another connector, which failed later, is the clock: once it was reminded, this one would have been, too.
    other = await failed(service)
    await noticed(service, other, Notice.PERSON_NEEDED, Notice.REMINDER, Notice.REMINDER)
    later = [one for one in told(service, id_) if one["version"] > ended["version"]]
    assert [one["notice"] for one in later if one["notice"] in ASKING] == []
    assert told(service, id_)[-1]["version"] == ended["version"]


async def test_s24_the_link_tells_a_stranger_nothing_of_which_connectors_there_are(service: Running) -> None:
    id_ = await service.loop.register(connected=True)
    answers = [await service.browser().get(f"/reconnect/{QUICKBOOKS}/{one}") for one in (id_, "no-such-connector")]
    assert [one.status for one in answers] == [303, 303]
    assert {one.location.replace(id_, "no-such-connector") for one in answers} == {answers[1].location}
    for wrong in ("%2F%2Fevil.example", "a%0d%0aX:y", "a%26provider=b", "a" * 129, "%00"):
        assert (await service.browser().get(f"/reconnect/{QUICKBOOKS}/{wrong}")).status == 404
