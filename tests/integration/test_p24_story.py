"""History, "why is it in this state?" and the Kafka log tell the same of a connector, at each step of its life."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from service.app import web_app
from service.insight.entries import connector_of_record, in_order, of_record
from service.insight.names import Names, ProviderNames
from service.insight.why import Why, why
from tests.integration.test_api import Host
from tests.loop import Loop, eventually, running_loop

QUICKBOOKS = ProviderNames("QuickBooks", "company", "Organization Admin")


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


@pytest.fixture
async def host(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Host:
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    return Host(await aiohttp_client(web_app(loop.service, "all", asyncio.Event())), key_file.read_bytes().strip())


async def asked(host: Host, id_: str, what: str) -> Any:
    answer = await host.call("GET", f"/v1/connectors/{id_}/{what}")
    assert answer.status == 200, await answer.text()
    return await answer.json()


def from_the_topic(loop: Loop, id_: ConnectorId) -> Why:
    """The paragraph, folded from what a consumer of the topic has read and nothing else."""
    records = loop.topics.data(channels.TRANSITIONS, id_)
    connector = connector_of_record(max(records, key=lambda record: record["version"])["connector"])
    return why(connector, in_order(map(of_record, records)), Names.of(connector, QUICKBOOKS))


async def assert_all_agree(loop: Loop, host: Host, id_: ConnectorId) -> Any:
    """The API's answer, after it was held against the history and against the topic."""
    version = (await loop.row(id_))["version"]
    told = await asked(host, id_, "why")
    history = [e for e in (await asked(host, id_, "history"))["entries"] if e["outcome"] == "transition"]
    await eventually(
        lambda: any(r["version"] == version for r in loop.topics.data(channels.TRANSITIONS, id_)), f"{version} is shown"
    )
    published = {record["version"]: record for record in loop.topics.data(channels.TRANSITIONS, id_)}
    for entry in history:
        fields = ("trigger", "from", "to", "reason", "step", "actor", "evidence", "expected_account", "seen_account")
        assert {f: entry[f] for f in fields} == {f: published[entry["version"]][f] for f in fields}
    assert [entry["version"] for entry in history] == sorted(published, reverse=True)
    assert all(event in history for event in told["events"]) and told["events"]
    folded = from_the_topic(loop, id_)
    assert told["from_the_log"] == folded.from_the_log
    assert [event["version"] for event in told["events"]] == [event.version for event in folded.events]
    assert (told["state"], told["reason"], told["who_acts"]) == (folded.state, folded.reason, folded.who)
    return told


async def test_p24_history_why_and_the_kafka_log_agree_at_every_step(loop: Loop, host: Host) -> None:
    id_ = await loop.register()
    told = await assert_all_agree(loop, host, id_)
    assert "nobody has signed in to QuickBooks for it yet" in told["paragraph"]

    id_ = await loop.failed()
    told = await assert_all_agree(loop, host, id_)
    assert (told["state"], told["reason"], told["who_acts"]) == ("failed", "token_refused", "owner")
    assert "HTTP 401, code 3200, request id 1-tid" in told["paragraph"]

    await loop.reconnect(id_, company="Drivewell Leasing LLC")
    await loop.state(id_, State.FAILED)
    told = await assert_all_agree(loop, host, id_)
    assert "the person signed in to Drivewell Leasing LLC" in told["paragraph"]
    assert [event["reason"] for event in told["events"]] == ["token_refused", None, "wrong_account"]
    assert "choose Drivewell Inc" in told["next"]

    await loop.open(id_)
    told = await assert_all_agree(loop, host, id_)
    assert (told["state"], told["who_acts"]) == ("awaiting_auth", "person")
    assert "The button on the link's page has not been pressed yet." in told["paragraph"]

    await loop.reconnect(id_)
    await loop.state(id_, State.SYNCING)
    told = await assert_all_agree(loop, host, id_)
    assert (told["state"], told["who_acts"]) == ("syncing", "host")

    await loop.say(id_, channels.SYNC_SUCCEEDED, generation=2)
    await loop.state(id_, State.HEALTHY)
    told = await assert_all_agree(loop, host, id_)
    assert told["paragraph"].startswith("“Books” works.") and told["who_acts"] == "nobody"

    await host.call("POST", f"/v1/connectors/{id_}/disconnect")
    told = await assert_all_agree(loop, host, id_)
    assert "took it off" in told["paragraph"]
    assert (await host.call("DELETE", f"/v1/connectors/{id_}")).status == 204
    gone = await host.call("GET", f"/v1/connectors/{id_}/why")
    assert (gone.status, orjson.loads(await gone.read())["code"]) == (404, "unknown_connector")
