"""P23: the disconnect address is a hint that anybody may give. The provider is asked, once a minute, and believed.

The reconnect address beside it sends strangers to the host, and takes nothing of their request along.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import Notice, State
from schemas.reasons import Reason
from service.app import web_app
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_INC
from service.oauth.tokens import Denied
from tests.integration.test_tokens import token_requests
from tests.loop import Loop, eventually, running_loop

Client = TestClient[Any, Any]
Clients = Callable[..., Awaitable[Client]]
HINT = "/oauth/disconnected/quickbooks-online"
RECONNECT = "https://app.drivewell.example/connections/reconnect"


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


@pytest.fixture
async def client(loop: Loop, aiohttp_client: Clients) -> Client:
    return await aiohttp_client(web_app(loop.service, "all", asyncio.Event()))


def asked(loop: Loop, realm: str = DRIVEWELL_INC) -> int:
    """How many token requests the provider saw for a company."""
    return loop.simulator.journal.by_realm[realm, "token"]


async def hint(client: Client, realm: str = DRIVEWELL_INC, path: str = HINT) -> tuple[int, str]:
    async with client.get(path, params={"realmId": realm}) as answer:
        return answer.status, await answer.text()


async def probed(loop: Loop, id_: ConnectorId) -> None:
    """Waits until no probe is left to be made."""

    async def done() -> bool:
        return not await loop.pool.fetchval("select count(*) from job where kind = 'probe'")

    await eventually(done, f"the probe of {id_} is over")


def limit(loop: Loop) -> None:
    """The next token request is told to come back in ten minutes."""
    loop.simulator.faults.throw("status", "oauth", endpoint="token", status=429, retry_after="600", remaining=1)


async def put_off(loop: Loop) -> timedelta | None:
    """For how long the probe that was tried is put off."""
    wait: timedelta | None = await loop.pool.fetchval(
        "select run_at - now() from job where kind = 'probe' and tries > 0 and lease_token is null"
    )
    return wait


async def test_p23_a_hint_about_a_grant_that_lives_changes_nothing(loop: Loop, client: Client) -> None:
    id_ = await loop.connected()
    before, calls = await loop.row(id_), asked(loop)

    await hint(client)
    await eventually(lambda: asked(loop) == calls + 1, "the provider is asked")
    await probed(loop, id_)

    assert await loop.row(id_) == before
    assert not isinstance(await loop.token(id_), Denied)
    opened = await loop.pool.fetch("select detail ->> 'why' from audit where what = 'secret_opened' order by at")
    assert "probe" in {row[0] for row in opened}, "the audit knows what the refresh token was opened for"


async def test_p23_a_hint_about_a_dead_one_is_a_failure_with_its_reason_within_seconds(
    loop: Loop, client: Client
) -> None:
    id_ = await loop.connected()
    loop.simulator.world.grants.disconnect(DRIVEWELL_INC)

    await hint(client)
    async with asyncio.timeout(5):
        row = await loop.state(id_, State.FAILED)

    assert row["reason"] == Reason.REVOKED_AT_PROVIDER
    await eventually(lambda: len(loop.topics.path(id_)) == row["version"], "it is published")
    told = [one["notice"] for one in loop.topics.data(channels.TRANSITIONS, id_)]
    assert told[-1] == Notice.PERSON_NEEDED


async def test_p23_every_connector_of_the_account_is_looked_at_in_every_tenant(loop: Loop, client: Client) -> None:
    ids = [await loop.connected(), await loop.connected()]
    other = await loop.connected("Acme Ltd")
    loop.simulator.world.grants.disconnect(DRIVEWELL_INC)

    await hint(client)
    for id_ in ids:
        await loop.state(id_, State.FAILED)

    assert (await loop.row(other))["state"] == State.HEALTHY


async def test_p23_a_flood_of_forged_hints_costs_one_call_a_minute(loop: Loop, client: Client) -> None:
    id_ = await loop.connected()
    calls = asked(loop)

    await asyncio.gather(*(hint(client) for _ in range(100)))
    await probed(loop, id_)
    await hint(client)
    await probed(loop, id_)
    assert asked(loop) == calls + 1

    await loop.pool.execute("update probe set asked_at = now() - interval '61 seconds'")  # a minute later
    await asyncio.gather(*(hint(client) for _ in range(100)))
    await eventually(lambda: asked(loop) == calls + 2, "the provider is asked again")
    await probed(loop, id_)
    assert asked(loop) == calls + 2


async def test_p23_nobody_learns_anything_and_forged_accounts_leave_nothing(loop: Loop, client: Client) -> None:
    await loop.connected()

    answers = {
        await hint(client),
        await hint(client, ACME_LTD),
        await hint(client, "1' or '1'='1"),
        await hint(client, "9" * 5000),
        await hint(client, path="/oauth/disconnected/no-such-provider"),
        await hint(client, path=HINT + "?realmId=1&realmId=2"),
        await hint(client, path=HINT + "?" + "a=b&" * 500),
    }

    assert len(answers) == 1
    status, page = answers.pop()
    assert status == 200 and "Disconnected" in page and DRIVEWELL_INC not in page
    kept = await loop.pool.fetch("select account_id from probe")
    assert [row["account_id"] for row in kept] == [DRIVEWELL_INC]


async def test_p23_a_connector_that_is_known_to_be_dead_is_not_asked_about(loop: Loop, client: Client) -> None:
    await loop.failed()
    calls = asked(loop)

    await hint(client)

    assert await loop.pool.fetchval("select count(*) from job where kind = 'probe'") == 0
    assert asked(loop) == calls


async def test_p23_a_provider_that_wants_to_be_left_alone_is_not_probed_either(loop: Loop, client: Client) -> None:
    id_ = await loop.connected()
    await loop.ages(id_)
    limit(loop)
    assert isinstance(await loop.token(id_), Denied)
    calls = token_requests(loop)

    await hint(client)

    assert await eventually(lambda: put_off(loop), "the probe waits") > timedelta(seconds=590)
    assert token_requests(loop) == calls


async def test_p23_what_a_probe_is_told_holds_for_everybody_who_refreshes(loop: Loop, client: Client) -> None:
    id_ = await loop.connected()
    other = await loop.connected("Drivewell Leasing LLC")
    await loop.ages(other)
    limit(loop)
    calls = token_requests(loop)

    await hint(client)
    await eventually(lambda: put_off(loop), "the probe waits")
    assert token_requests(loop) == calls + 1

    denied = await loop.token(other)
    assert isinstance(denied, Denied) and denied.retry_after is not None
    assert denied.retry_after > timedelta(seconds=590)
    assert token_requests(loop) == calls + 1, "the other company's refresh waits, too"
    assert (await loop.row(id_))["state"] == State.HEALTHY


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
async def test_p23_only_a_get_is_a_hint(loop: Loop, client: Client, method: str) -> None:
    async with client.request(method, HINT, params={"realmId": DRIVEWELL_INC}) as answer:
        assert answer.status == 405


# The reconnect address.


async def test_a_stranger_at_the_reconnect_address_is_sent_to_the_host_with_the_provider_alone(
    loop: Loop, aiohttp_client: Clients
) -> None:
    settings = loop.service.settings
    own = settings.model_copy(update={"web": settings.web.model_copy(update={"reconnect_url": RECONNECT})})
    client = await aiohttp_client(web_app(replace(loop.service, settings=own), "all", asyncio.Event()))

    async with client.get(
        "/reconnect/quickbooks-online?realmId=1&next=//evil.example", allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"{RECONNECT}?provider=quickbooks-online")
        assert answer.headers["Cache-Control"] == "no-store"
    for wrong in ("no-such-provider", "%2F%2Fevil.example", "quickbooks-online%0d%0aX: y"):
        async with client.get(f"/reconnect/{wrong}", allow_redirects=False) as answer:
            assert answer.status == 404


async def test_without_a_page_of_the_host_the_reconnect_address_says_where_to_go(loop: Loop, client: Client) -> None:
    async with client.get("/reconnect/quickbooks-online") as answer:
        assert answer.status == 200
        assert "Drivewell" in await answer.text()
