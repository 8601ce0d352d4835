"""The loop through the service's own parts: Kafka in, person, provider, verification, swap, sync request, healthy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import channels
from schemas.api import AccessToken
from schemas.lifecycle import Ignored, Notice, Refused, State, Step
from schemas.reasons import Reason
from service.demo.simulator.seed import DRIVEWELL_INC
from service.oauth.refresh import Denied, NoToken
from service.oauth.window import Begun, Dead
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
    id_ = await loop.failed()
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    query = await loop.signed_in(begun, company="Acme Ltd")
    forged = "&".join(f"realmId={DRIVEWELL_INC}" if p.startswith("realmId=") else p for p in query.split("&"))
    await loop.returned(begun, forged)
    await loop.path(id_, *FIRST, F, A, V, F)
    assert loop.topics.data(channels.TRANSITIONS, id_)[-1]["seen_account"]["name"] == "Acme Ltd"


async def test_p08_one_exchange_however_often_the_callback_comes(loop: Loop) -> None:
    id_ = await loop.failed()
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
    id_ = await loop.failed()
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


async def test_a_revoked_grant_has_its_own_reason_found_at_refresh(loop: Loop) -> None:
    id_ = await loop.connected()
    loop.simulator.world.grants.disconnect(DRIVEWELL_INC)
    await loop.ages(id_)
    denied = await loop.token(id_)
    assert denied == Denied(NoToken.NEEDS_REAUTHORISATION, Reason.GRANT_REVOKED)
    assert (await loop.state(id_, F))["reason"] == Reason.GRANT_REVOKED
    before = loop.simulator.journal.by_endpoint["token"]
    await loop.token(id_)
    await loop.open(id_)
    await loop.token(id_)
    assert loop.simulator.journal.by_endpoint["token"] == before  # a dead verdict stops every further call


async def test_a_hundred_askers_of_one_expiring_token_cause_one_refresh(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.pool.execute("update credential set access_expires_at = now()")
    before = loop.simulator.journal.by_endpoint["token"]
    tokens = await asyncio.gather(*(loop.token(id_) for _ in range(100)))
    assert loop.simulator.journal.by_endpoint["token"] == before + 1
    assert {token.access_token for token in tokens if isinstance(token, AccessToken)} == {tokens[0].access_token}


async def test_our_own_client_being_wrong_alarms_the_operator_and_asks_no_customer(loop: Loop) -> None:
    id_ = await loop.connected()
    loop.simulator.faults.throw("client_secret", "oauth")
    await loop.ages(id_)
    await loop.token(id_)
    assert (await loop.state(id_, F))["reason"] == Reason.CLIENT_REJECTED
    await loop.path(id_, *FIRST, F)
    assert loop.topics.data(channels.TRANSITIONS, id_)[-1]["notice"] == Notice.OPERATOR_NEEDED
    assert await loop.refused(id_) is Refused.LOGIN_DOES_NOT_HELP


async def test_p10_an_ended_subscription_offers_no_login_and_heals_by_the_next_success(loop: Loop) -> None:
    id_ = await loop.connected()
    fault = '{"Fault":{"Error":[{"Message":"Invalid Company Status","Detail":"…","code":"6190"}],"type":"Validation"}}'
    await loop.say(id_, channels.SYNC_FAILED, generation=1, error={"at": "api", "status": 400, "body": fault})
    assert (await loop.state(id_, F))["reason"] == Reason.ACCOUNT_INACTIVE
    assert await loop.refused(id_) is Refused.LOGIN_DOES_NOT_HELP
    await loop.say(id_, channels.SYNC_SUCCEEDED, generation=1)
    await loop.state(id_, H)
    assert isinstance(await loop.token(id_), AccessToken)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"at": "api", "status": 429, "body": ""}, Reason.RATE_LIMITED),
        ({"at": "api", "status": 503, "body": "<html>"}, Reason.PROVIDER_UNAVAILABLE),
        ({"at": "network"}, Reason.NETWORK_ERROR),
    ],
)
async def test_p03_what_passes_by_itself_is_counted_and_never_leaves_healthy(
    loop: Loop, error: dict[str, object], reason: Reason
) -> None:
    id_ = await loop.register(connected=True)
    await loop.say(id_, channels.SYNC_FAILED, error=error)

    async def counted() -> bool:
        return (await loop.row(id_))["transient_failures"] == 1

    await eventually(counted, "the failure is counted")
    assert (await loop.row(id_))["state"] == H
    assert await loop.pool.fetchval("select reason from note") == reason


async def test_p15_editing_while_healthy_and_giving_up_costs_no_sync(loop: Loop) -> None:
    id_ = await loop.connected()
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    assert isinstance(await loop.token(id_), AccessToken)
    await loop.service.flow.give_up(begun.attempt, begun.browser)
    await loop.state(id_, H)
    assert isinstance(await loop.token(id_), AccessToken)
    assert (await loop.view(begun)).ending is Reason.CANCELLED


async def test_consent_denied_goes_back_to_failed_with_its_reason_kept(loop: Loop) -> None:
    id_ = await loop.failed()
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    await loop.returned(begun, await loop.signed_in(begun, consent=False))
    row = await loop.state(id_, F)
    assert (row["reason"], row["attempt_reason"]) == (Reason.TOKEN_REFUSED, Reason.ACCESS_DENIED)


async def test_p17_a_success_from_elsewhere_recovers_and_silences(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.fail(id_)
    assert (await loop.state(id_, F))["deadline"] is not None  # a reminder is due some day
    await loop.say(id_, channels.SYNC_SUCCEEDED, generation=1)
    assert (await loop.state(id_, H))["deadline"] is None
    await loop.path(id_, *FIRST, F, H)
    told = loop.topics.data(channels.TRANSITIONS, id_)[-1]
    assert (told["reason"], told["notice"]) == (Reason.RECOVERED, Notice.RECOVERED)


async def test_a_failure_of_the_older_credential_is_ignored_and_recorded_as_ignored(loop: Loop) -> None:
    id_ = await loop.failed()
    await loop.reconnect(id_)
    await loop.state(id_, S)
    await loop.fail(id_, generation=1)

    async def noted() -> bool:
        return await loop.pool.fetchval("select why from note") == Ignored.STALE_GENERATION

    await eventually(noted, "the stale failure is in the history")
    assert (await loop.row(id_))["state"] == S


async def test_a_stale_callback_and_a_forged_state_reach_nobody(loop: Loop) -> None:
    id_ = await loop.failed()
    _, first = await loop.open(id_)
    older = await loop.begun(first)
    stale = await loop.signed_in(older)
    _, second = await loop.open(id_)
    newer = await loop.begun(second)
    before = loop.simulator.journal.by_endpoint["token"]
    await loop.returned(older, stale)  # its own browser sees its page; nothing else happens
    forged = await loop.service.flow.callback("quickbooks-online", "code=x&state=" + "y" * 43, newer.browser)
    foreign = await loop.service.flow.callback("quickbooks-online", await loop.signed_in(newer), older.browser)
    assert (forged, foreign) == (Dead.UNKNOWN, Dead.NOT_THIS_BROWSER)
    assert loop.simulator.journal.by_endpoint["token"] == before
    assert (await loop.row(id_))["state"] == A


async def test_a_lost_answer_of_the_token_endpoint_never_sends_the_code_twice(loop: Loop) -> None:
    id_ = await loop.failed()
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    query = await loop.signed_in(begun)
    before = loop.simulator.journal.by_endpoint["token"]
    fault = loop.simulator.faults.throw("drop", "oauth", endpoint="token")
    await loop.returned(begun, query)
    await loop.path(id_, *FIRST, F, A, V, F)
    loop.simulator.faults.lift(fault.id)
    assert loop.simulator.journal.by_endpoint["token"] == before + 1
    assert (await loop.view(begun)).ending is Reason.EXCHANGE_INTERRUPTED
    again = await loop.service.flow.again(begun.attempt, begun.browser)  # the window goes on by itself
    assert isinstance(again, Begun)
    await loop.returned(again, await loop.signed_in(again))
    await loop.state(id_, S)


async def test_a_deleted_connector_leaves_a_tombstone_and_no_key(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.produce(channels.COMMANDS, id_, channels.DELETE.type, {})
    await eventually(lambda: loop.topics.data(channels.STATES, id_)[-1:] == [None], "a tombstone")

    async def shredded() -> bool:
        left = "select (select count(*) from credential) + (select count(*) from data_key)"
        return await loop.pool.fetchval(left) == 0

    await eventually(shredded, "credential and data key are destroyed")


async def test_bad_records_are_dead_letters_with_their_bytes_untouched_and_hinder_nobody(loop: Loop) -> None:
    id_ = await loop.register(connected=True)
    for value, reason in ((b"\xff{", "malformed"), (b"[" * 2_000_000, "oversized")):
        await loop.produce(channels.SYNC_EVENTS, id_, channels.SYNC_FAILED.type, None, value=value)
        await eventually(lambda: loop.letters(id_), "a dead letter")
        letter = loop.letters(id_).pop()
        assert letter.value == value
        assert dict(letter.headers)["dlq-reason"] == reason.encode()
    await loop.fail(id_, generation=None)
    await loop.state(id_, F)


async def test_a_sync_that_has_begun_is_kept_with_the_attempt_that_asked_for_it(loop: Loop) -> None:
    id_ = await loop.failed()
    begun = await loop.reconnect(id_)
    await loop.state(id_, State.SYNCING)
    assert (await loop.view(begun)).step is Step.CREDENTIAL_SAVED

    await loop.say(id_, channels.SYNC_STARTED, generation=2)

    async def seen() -> bool:
        return (await loop.view(begun)).step is Step.SYNC_STARTED

    await eventually(seen, "the sync has begun")
