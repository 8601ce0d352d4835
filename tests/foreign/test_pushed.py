"""Pushed authorization requests (RFC 9126): at a server that demands them, at one that won't have ours, and at none."""

import pytest
from yarl import URL

from schemas.lifecycle import State
from schemas.reasons import Reason
from tests.foreign.stage import Stage
from tests.loop import eventually
from tests.window import FORM

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def at(foreign: Stage):  # type: ignore[no-untyped-def]  # pytest's fixtures
    return lambda provider: Stage(foreign.running, foreign.server, provider)


async def test_p26_a_pushed_request_leads_through_the_whole_flow(at) -> None:  # type: ignore[no-untyped-def]
    stage = at("foreign-pushed")
    before = (await stage.server.journal())["pushed"]
    await stage.connected()
    await stage.reconnect()
    assert (await stage.told())["reason"] == Reason.CONNECTED
    assert (await stage.server.journal())["pushed"] == before + 2
    await stage.reconnect(account="somebody-else")
    assert (await stage.told())["reason"] == Reason.WRONG_ACCOUNT


async def test_s13_the_browser_s_address_says_who_asks_and_nothing_else(at) -> None:  # type: ignore[no-untyped-def]
    stage = at("foreign-pushed")
    stage.id = await stage.running.registered(provider=stage.provider)
    asked = URL(await stage.begun(stage.running.browser()))
    assert set(asked.query) == {"client_id", "request_uri"}
    assert asked.query["client_id"] == stage.server.pushing_client
    assert asked.query["request_uri"].startswith("urn:")


async def test_s29_a_server_that_refuses_the_request_ends_the_attempt_with_a_reason(at) -> None:  # type: ignore[no-untyped-def]
    stage, browser = at("foreign-refusing"), at("foreign-refusing").running.browser()
    stage.id = await stage.running.registered(provider=stage.provider)
    page = await stage.begun(browser)
    assert page == f"/connect/attempts/{stage.attempt}"
    await eventually(stage.ended, "the attempt ends")
    assert (await stage.told())["reason"] == Reason.CLIENT_REJECTED
    shown = await browser.get(page)
    assert shown.status == 200 and "Foreign Books" in shown.text
    assert (await stage.row())["state"] == State.FAILED


async def test_s29_a_server_that_is_away_costs_nothing_and_the_link_stays_good(at) -> None:  # type: ignore[no-untyped-def]
    stage, browser = at("foreign-away"), at("foreign-away").running.browser()
    stage.id = await stage.running.registered(provider=stage.provider)
    stage.attempt, link = await stage.running.opened(stage.id)
    for _ in range(2):
        answer = await browser.press(link)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "Nothing was changed" in answer.text
    assert FORM.search((await browser.get(link)).text), "the button is still there"
    assert not await stage.ended()
    assert (await stage.row())["state"] == State.AWAITING_AUTH
