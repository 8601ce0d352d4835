"""Webhooks of the whole service, over Kafka: from the settings to the receiver; what the API and the console say."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas import channels
from schemas.lifecycle import State
from service.app import assemble
from service.webhooks.signing import BadSecret
from tests.console import KIM, press, signed_in
from tests.couriers import working
from tests.loop import eventually
from tests.receiver import Receiver, refusing
from tests.window import Running, running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().served() as receiver:
        yield receiver


@pytest.fixture
async def service(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, receiver: Receiver
) -> AsyncIterator[Running]:
    secret_file = tmp_path / "whsec"
    secret_file.write_text(receiver.secret)
    host = {"url": receiver.url, "secret_files": [secret_file], "private": True}
    more = {"webhooks": {"host": host}}
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, more=more) as service, working(service):
        yield service


async def standing(service: Running) -> Any:
    status, told = await service.api("GET", "/v1/webhooks", tenant="*")
    assert status == 200, told
    return told


async def started(service: Running) -> None:
    async def has_begun() -> bool:
        (host,) = (await standing(service))["endpoints"]
        return bool(host["status"] != "not_started")

    await eventually(has_begun, "the endpoint's place in the log")


async def test_a_host_without_kafka_is_told_of_a_failure_its_repair_and_the_sync_that_is_wanted(
    service: Running, receiver: Receiver
) -> None:
    await started(service)
    id_ = await service.connected()
    await service.loop.say(id_, channels.SYNC_SUCCEEDED, generation=1)
    await service.loop.state(id_, State.HEALTHY)
    await service.loop.fail(id_, generation=1)
    await service.loop.state(id_, State.FAILED)
    await service.loop.reconnect(id_)
    row = await service.loop.state(id_, State.SYNCING)
    wanted = list(range(1, row["version"] + 1))
    await eventually(lambda: receiver.versions().get(id_) == wanted, "every transition")
    requests = [e["data"] for e in receiver.taken if e["type"] == channels.SYNC_REQUEST.type]
    assert [one["generation"] for one in requests] == [1, 2]
    assert requests[-1]["since"] is not None
    assert {one["data"]["tenant_id"] for one in receiver.taken} == {"drivewell"}


async def test_how_an_endpoint_stands_is_told_to_the_fleets_operators_alone(
    service: Running, receiver: Receiver
) -> None:
    await started(service)
    receiver.answering = refusing("refused", 500)
    for id_ in ("refused", "taken"):
        await service.loop.register(id_, connected=True)
    await eventually(lambda: receiver.versions().get("taken") == [1], "the other one's")

    async def is_behind() -> Any:
        (host,) = (await standing(service))["endpoints"]
        return host if host["waiting"] == 1 else None

    host = await eventually(is_behind, "one waits")
    assert (host["name"], host["host"], host["failure"]) == ("host", "127.0.0.1", "status 500")
    assert (await service.api("GET", "/v1/webhooks"))[0] == 403
    console = await (await signed_in(service)).get("/console/webhooks")
    assert console.status == 200
    assert "status 500" in console.text
    of_a_tenant = await signed_in(service, tenant="drivewell")
    assert (await of_a_tenant.get("/console/webhooks")).status == 403
    assert "/console/webhooks" not in (await of_a_tenant.get("/console")).text


async def test_an_event_that_was_given_up_is_sent_again_by_a_call_or_a_click(
    service: Running, receiver: Receiver
) -> None:
    await started(service)
    id_ = await service.loop.register("c1", connected=True)
    await eventually(lambda: receiver.versions().get("c1") == [1], "it is told")
    given_up = (
        "insert into webhook_given_up (endpoint, connector, version, since, tries, failure)"
        " select 'host', id, 1, now(), 15, 'status 422' from connector where connector_id = $1"
    )

    async def is_sent(times: int) -> bool:
        told = await standing(service)
        return (told["given_up"], receiver.tries_of("c1")) == ([], times)

    await service.loop.pool.execute(given_up, id_)
    (listed,) = (await standing(service))["given_up"]
    assert (listed["given_up_id"], listed["asked_at"]) == ("1-c1", None)
    path = "/v1/webhooks/host/given-up/1-c1/send"
    assert (await service.api("POST", path))[0] == 403
    status, told = await service.api("POST", path, tenant="*")
    assert (status, told["version"], told["failure"]) == (200, 1, "status 422"), told
    assert told["asked_at"] is not None
    await eventually(lambda: is_sent(2), "it is sent again")

    await service.loop.pool.execute(given_up, id_)
    browser = await signed_in(service)
    assert "Send it again" in (await browser.get("/console/webhooks")).text
    pressed = await press(browser, "/console/webhooks", "/console/webhooks/host/given-up/1-c1/send")
    assert (pressed.status, pressed.location) == (303, "/console/webhooks")
    await eventually(lambda: is_sent(3), "it is sent a third time")
    for wrong in ("host/given-up/1-c1", "host/given-up/2-c1", "host/given-up/x", "other/given-up/1-c1"):
        status, told = await service.api("POST", f"/v1/webhooks/{wrong}/send", tenant="*")
        assert (status, told["code"]) == (404, "unknown_given_up")
    audited = await service.loop.pool.fetch("select actor from audit where what = 'webhook_send_again' order by at")
    assert [row["actor"] for row in audited] == ["backend", KIM["id"]]


async def test_a_secret_that_cant_sign_is_no_start(service: Running, tmp_path: Path) -> None:
    (tmp_path / "whsec").write_text("hunter2")
    with pytest.raises(BadSecret, match="whsec_ and 24"):
        async with assemble(service.loop.service.settings):
            pass
