"""A sign-in is told of late (P9) or handed to somebody else (P12): by its own browser, within the limits, on record."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.lifecycle import State
from schemas.reasons import Reason
from tests.loop import eventually
from tests.window import FORM, OWNER, Answer, Browser, Running, running

SAM = {"id": "u-sam", "name": "Sam Okafor"}


@pytest.fixture
async def service(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path) as service:
        yield service


async def answered(browser: Browser, page: str, to: str = "", **answers: str) -> Answer:
    """Fills in the form of a page that asks, and sends it."""
    proof = FORM.search((await browser.get(page)).text)
    assert proof is not None, f"{page} asks nothing"
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": browser.origin}
    return await browser.ask("POST", to or page, headers, {"csrf": proof[1], **answers})


async def begun(service: Running, id_: str) -> tuple[str, Browser]:
    """An attempt that stands at the provider, and its browser."""
    browser = service.browser()
    attempt, link = await service.opened(id_)
    await service.begun(browser, link)
    return attempt, browser


async def test_p09_what_is_told_after_the_deadline_is_the_attempts_reason_and_stands_in_the_history(
    service: Running,
) -> None:
    id_ = await service.connected()
    attempt, browser = await begun(service, id_)
    await service.loop.pool.execute("update connector set deadline = now() where connector_id = $1", id_)
    await eventually(lambda: ended(service, id_), "the time ran out")

    told = await answered(
        browser, f"/connect/attempts/{attempt}", f"/connect/attempts/{attempt}/shown", reason="needs_admin"
    )

    assert (told.status, told.location) == (303, f"/connect/attempts/{attempt}")
    assert (await service.api("GET", f"/v1/attempts/{attempt}"))[1]["reason"] == Reason.NEEDS_ADMIN
    assert (await service.loop.row(id_))["attempt_reason"] == Reason.NEEDS_ADMIN
    newest = (await service.api("GET", f"/v1/connectors/{id_}/history"))[1]["entries"][0]
    assert (newest["outcome"], newest["trigger"], newest["reason"]) == ("observation", "explained", "needs_admin")
    assert newest["actor"] == {"kind": "person", "id": OWNER["id"]}


async def test_p12_only_the_browser_that_began_hands_a_sign_in_on(service: Running) -> None:
    id_ = await service.connected()
    attempt, browser = await begun(service, id_)
    page = f"/connect/attempts/{attempt}/colleague"
    stranger = service.browser()
    stranger.cookies = {"regrant-window": "x" * 43} | {
        name: value for name, value in browser.cookies.items() if "form" in name
    }

    assert (await stranger.get(page)).status == 404
    assert (await answered_with(stranger, browser, page)).status == 404
    assert (await service.loop.row(id_))["attempt_id"] is not None
    assert await service.loop.pool.fetchval("select count(*) from attempt where person_name = 'Sam'") == 0


async def answered_with(stranger: Browser, browser: Browser, page: str) -> Answer:
    """A stranger who got hold of the form, too."""
    proof = FORM.search((await browser.get(page)).text)
    assert proof is not None
    stranger.cookies |= {name: value for name, value in browser.cookies.items() if "form" in name}
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": stranger.origin}
    return await stranger.ask("POST", page, headers, {"csrf": proof[1], "name": "Sam"})


async def test_p12_handing_on_counts_like_any_opening(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    limited = {"limits": {"connector": 4}}
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, more=limited) as service:
        id_ = await service.connected()
        attempt, browser = await begun(service, id_)
        page = f"/connect/attempts/{attempt}/colleague"
        answers = [await answered(browser, page, name="Sam") for _ in range(3)]
        assert [answer.status for answer in answers][-1] == 429
        opened = "select count(*) from attempt a join connector c on c.id = a.connector where connector_id = $1"
        assert await service.loop.pool.fetchval(opened, id_) <= 4


async def test_p12_where_the_host_completes_everything_nothing_is_handed_on(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    always = {"web": {"completion": "always"}}
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, more=always) as service:
        id_ = await service.connected()
        attempt, browser = await begun(service, id_)
        where = f"/connect/attempts/{attempt}"
        assert "starts at" in (await browser.get(f"{where}/colleague")).text
        pressed = await answered(browser, where, f"{where}/colleague", name="Sam")
        assert (pressed.status, pressed.location) == (303, where)
        assert str((await service.loop.row(id_))["attempt_id"]) == attempt


async def test_p12_the_hosts_handoff_voids_the_older_ones_and_stands_in_the_history(service: Running) -> None:
    attempt, first = await service.opened(await service.registered())
    status, _ = await service.api("POST", f"/v1/attempts/{attempt}/handoffs", SAM)
    assert status == 201
    assert (await service.browser().get(first)).status == 404
    note = await service.loop.pool.fetchrow("select * from note where trigger = 'handed_on'")
    assert (str(note["attempt_id"]), note["outcome"]) == (attempt, "observation")
    await service.api("POST", f"/v1/attempts/{attempt}/cancel")
    status, told = await service.api("POST", f"/v1/attempts/{attempt}/handoffs", SAM)
    assert (status, told["code"]) == (409, "attempt_ended")


async def ended(service: Running, id_: str) -> bool:
    return (await service.loop.row(id_))["state"] not in (State.AWAITING_AUTH, State.VERIFYING)
