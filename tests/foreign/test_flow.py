"""The whole flow against an authorization server that we didn't write, by a description alone: no line of Python.

P26. npm's oidc-provider sends `iss` (RFC 9207), rotates refresh tokens, and ends a whole grant when one is used twice.
"""

import pytest

from schemas.lifecycle import State
from schemas.reasons import Reason
from tests.foreign.stage import Stage
from tests.loop import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_p26_the_right_account_is_pinned_and_comes_back(stage: Stage) -> None:
    row = await stage.row()
    assert (row["account_id"], row["account_name"]) == (stage.account, f"{stage.account}@foreign.example")
    await stage.reconnect()
    row = await stage.running.loop.state(stage.id, State.SYNCING)
    assert (row["account_id"], row["generation"]) == (stage.account, 2)
    status, told = await stage.token()
    assert status == 200, told
    assert await stage.server.is_active(told["access_token"])


async def test_s16_another_account_is_refused_and_the_old_grant_lives(stage: Stage) -> None:
    before = await stage.credential()
    await stage.reconnect(account="somebody-else")
    told = await stage.told()
    assert told["reason"] == Reason.WRONG_ACCOUNT
    assert (told["expected_account"]["id"], told["seen_account"]["id"]) == (stage.account, "somebody-else")
    assert await stage.credential() == before
    status, told = await stage.fresh_token()
    assert status == 200 and await stage.server.is_active(told["access_token"])


async def test_p26_a_person_who_declines_costs_nothing(stage: Stage) -> None:
    before = await stage.credential()
    await stage.reconnect(consent=False)
    assert (await stage.told())["reason"] == Reason.ACCESS_DENIED
    assert await stage.credential() == before


@pytest.mark.parametrize("consent", [True, False], ids=["code", "error"])
@pytest.mark.parametrize("iss", [None, "https://evil.example"], ids=["missing", "another"])
async def test_s12_an_answer_without_this_server_s_issuer_is_refused_and_the_true_one_counts(
    stage: Stage, consent: bool, iss: str | None
) -> None:
    browser, before = stage.running.browser(), await stage.credential()
    came = await stage.back(browser, consent=consent)
    assert came.url.query["iss"] == stage.server.url
    issued = (await stage.server.journal())["issued"]
    forged = came.url.without_query_params("iss") if iss is None else came.url.update_query(iss=iss)
    assert (await browser.get(forged.raw_path_qs)).status == 400
    assert (await stage.credential(), await stage.ended()) == (before, False)
    assert (await stage.server.journal())["issued"] == issued
    assert (await stage.follow(browser, came)).status == 303
    await eventually(stage.ended, "the attempt ends")
    assert (await stage.told())["reason"] == (Reason.CONNECTED if consent else Reason.ACCESS_DENIED)


async def test_s02_a_callback_counts_once(stage: Stage) -> None:
    browser = stage.running.browser()
    came = await stage.back(browser)
    issued = (await stage.server.journal())["issued"]
    for _ in range(3):
        assert (await stage.follow(browser, came)).status == 303
    await stage.running.loop.state(stage.id, State.SYNCING)
    await eventually(stage.ended, "the attempt ends")
    assert (await stage.server.journal())["issued"] == issued + 1


async def test_s30_a_rotated_refresh_token_is_kept_and_used(stage: Stage) -> None:
    before, tokens = await stage.server.journal(), set()
    for _ in range(3):
        status, told = await stage.fresh_token()
        assert status == 200, told
        tokens.add(told["access_token"])
    after = await stage.server.journal()
    assert (len(tokens), after["refreshed"] - before["refreshed"]) == (3, 3)
    assert {after["presented"][hash_] for hash_ in after["presented"].keys() - before["presented"].keys()} == {1}


async def test_s32_a_reused_refresh_token_ends_the_grant_and_is_judged_dead(stage: Stage) -> None:
    """A thief has the refresh token that we replaced: the server ends the grant, and a person has to come."""
    stolen = await stage.imported()
    status, told = await stage.fresh_token()
    assert status == 200, told
    assert (await stage.server.refreshed(stolen))["error"] == "invalid_grant"
    assert not await stage.server.is_active(told["access_token"])
    status, told = await stage.fresh_token()
    assert (status, told["code"]) == (409, "no_credential")
    row = await stage.running.loop.state(stage.id, State.FAILED)
    assert Reason(row["reason"]) is Reason.GRANT_REVOKED
    presented = sum((await stage.server.journal())["presented"].values())
    assert (await stage.token())[1]["code"] == "no_credential"
    assert sum((await stage.server.journal())["presented"].values()) == presented, "nobody asks again"
    await stage.reconnect()
    assert (await stage.told())["reason"] == Reason.CONNECTED


async def test_s37_a_disconnect_is_seen_at_the_server(stage: Stage) -> None:
    _, told = await stage.token()
    assert await stage.server.is_active(told["access_token"])
    status, _ = await stage.running.api("POST", f"/v1/connectors/{stage.id}/disconnect")
    assert status < 300
    await stage.running.loop.state(stage.id, State.DISCONNECTED)

    async def revoked() -> bool:
        return not await stage.server.is_active(told["access_token"])

    await eventually(revoked, "the grant is revoked")


async def test_s14_a_stolen_code_is_of_no_use_without_its_verifier(stage: Stage) -> None:
    browser = stage.running.browser()
    came = await stage.back(browser)
    redirect_uri = str(came.url.with_query(None))
    told = await stage.server.redeemed(came.url.query["code"], redirect_uri, "v" * 43)
    assert told["error"] == "invalid_grant"
    await stage.follow(browser, came)
    await eventually(stage.ended, "the attempt ends")
    assert (await stage.told())["reason"] == Reason.CONNECTED
