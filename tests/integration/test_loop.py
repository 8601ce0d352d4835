"""The loop through the service's own parts: Kafka in, person, provider, verification, swap, sync request, healthy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.simulator.seed import DRIVEWELL_INC
from tests.loop import Loop, eventually, running_loop

H, F, A, V, S = State.HEALTHY, State.FAILED, State.AWAITING_AUTH, State.VERIFYING, State.SYNCING
FIRST = (F, A, V, S, H)


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


async def test_p01_a_failed_connector_comes_back_to_healthy(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.fail(id_, position="page-7")
    failed = await loop.state(id_, F)
    assert failed["reason"] == Reason.TOKEN_REFUSED
    await loop.reconnect(id_)
    await loop.state(id_, S)
    await loop.say(id_, channels.SYNC_SUCCEEDED, generation=2)
    await loop.path(id_, *FIRST, F, A, V, S, H)
    request = loop.topics.data(channels.SYNC_REQUESTS, id_)[-1]
    assert (request["generation"], request["position"], request["ask"]) == (2, "page-7", 1)
    assert request["since"].startswith(failed["failed_since"].strftime("%Y-%m-%dT%H:%M:%S"))


async def test_p06_a_wrong_company_leaves_the_old_credential_untouched(loop: Loop) -> None:
    id_ = await loop.connected()
    before = await loop.current(id_)
    await loop.fail(id_)
    await loop.state(id_, F)
    begun = await loop.reconnect(id_, company="Acme Ltd")
    await loop.path(id_, *FIRST, F, A, V, F)
    told = loop.topics.data(channels.TRANSITIONS, id_)[-1]
    assert told["reason"] == Reason.WRONG_ACCOUNT
    assert (told["expected_account"]["name"], told["seen_account"]["name"]) == ("Drivewell Inc", "Acme Ltd")
    assert dict(await loop.current(id_)) == dict(before)
    view = await loop.view(begun)
    assert view.ending is Reason.WRONG_ACCOUNT and view.seen is not None and view.seen.name == "Acme Ltd"

    async def shredded() -> bool:
        return await loop.pool.fetchval("select count(*) from credential where status <> 'current'") == 0

    await eventually(shredded, "the other company's grant is shredded")
    assert loop.simulator.journal.by_endpoint["revoke"] == 1  # nobody lives on Acme, so it is revoked


async def test_p06_an_edited_realm_doesnt_make_another_companys_grant_right(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.fail(id_)
    await loop.state(id_, F)
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    query = await loop.signed_in(begun, company="Acme Ltd")
    forged = "&".join(f"realmId={DRIVEWELL_INC}" if p.startswith("realmId=") else p for p in query.split("&"))
    await loop.returned(begun, forged)
    await loop.path(id_, *FIRST, F, A, V, F)
    assert loop.topics.data(channels.TRANSITIONS, id_)[-1]["seen_account"]["name"] == "Acme Ltd"


async def test_p08_one_exchange_however_often_the_callback_comes(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.fail(id_)
    await loop.state(id_, F)
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    query = await loop.signed_in(begun)
    before = loop.simulator.journal.by_endpoint["token"]
    await asyncio.gather(*(loop.returned(begun, query) for _ in range(100)))
    await loop.state(id_, S)
    await loop.returned(begun, query)
    assert loop.simulator.journal.by_endpoint["token"] == before + 1
    assert (await loop.view(begun)).succeeded


async def test_a_provider_that_is_down_during_the_exchange_is_waited_for(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.fail(id_)
    await loop.state(id_, F)
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    query = await loop.signed_in(begun)
    await loop.simulator.down("oauth")
    await loop.returned(begun, query)

    async def told() -> bool:
        return (await loop.view(begun)).unavailable > 0

    await eventually(told, "the window knows that the provider is away")
    await loop.simulator.up("oauth")
    await loop.state(id_, S)
