"""E-mail of the whole service, over Kafka: from the settings and the API to the mailbox, and by its link back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from tests.console import signed_in
from tests.couriers import working
from tests.loop import eventually
from tests.postoffice import PostOffice
from tests.window import Running, running

OWNER = "owner@drivewell.example"


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    async with office.open():
        yield office


@pytest.fixture
async def service(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, office: PostOffice
) -> AsyncIterator[Running]:
    server = {"host": "127.0.0.1", "port": office.port, "security": "none", "sender": "us@northwind.example"}
    page = {"reconnect_url": "http://127.0.0.1:1/reconnect"}
    more = {"mail": server, "web": page}
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, more=more) as service, working(service):
        yield service


async def mail_stands(service: Running) -> Any:
    _, told = await service.api("GET", "/v1/webhooks", tenant="*")
    (mail,) = told["endpoints"]
    return mail


async def test_p28_an_owner_is_asked_by_e_mail_and_its_link_leads_to_the_hosts_login(
    service: Running, office: PostOffice
) -> None:
    async def has_begun() -> bool:
        return bool((await mail_stands(service))["status"] == "well")

    await eventually(has_begun, "mail's place in the log")
    id_ = await service.connected()
    await service.loop.say(id_, channels.SYNC_SUCCEEDED, generation=1)
    await service.loop.state(id_, State.HEALTHY)
    contacts = {"contacts": [{"address": OWNER, "language": "fr"}]}
    assert (await service.api("PUT", f"/v1/connectors/{id_}/contacts", contacts))[0] == 200
    await service.loop.fail(id_, generation=1)
    (letter,) = await eventually(lambda: office.to(OWNER), "the message")
    assert letter.read["Content-Language"] == "fr"
    assert "Drivewell Inc" in letter.read["Subject"]
    (link,) = (line for line in letter.plain.splitlines() if line.startswith("http"))
    assert link == f"{service.origin}/reconnect/quickbooks-online/{id_}"
    led = await service.browser().get(link)
    assert (led.status, URL(led.location).query["connector_id"]) == (303, id_)
    await service.loop.reconnect(id_)
    await service.loop.state(id_, State.SYNCING)
    assert office.told() == {OWNER: 1}
    stands = await mail_stands(service)
    assert (stands["name"], stands["host"], stands["given_up"]) == ("@mail", "127.0.0.1", 0)
    console = await (await signed_in(service)).get("/console/webhooks")
    assert "@mail" in console.text
    assert OWNER not in console.text
