"""A posted answer in a real Chromium: the post brings no cookie of ours across sites, and the GET after it does."""

import pytest
from playwright.async_api import Browser, Request, async_playwright, expect

from schemas.reasons import Reason
from tests.browser.set_up import FLAGS, find_browser
from tests.foreign.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

COOKIE = "regrant-window="


async def _cookies_of(request: Request) -> str:
    return (await request.all_headers()).get("cookie", "")


async def _reconnects(browser: Browser, stage: Stage) -> list[Request]:
    """The whole way in a browser; returns the requests to our callback."""
    stage.attempt, link = await stage.running.opened(stage.id)
    page = await (await browser.new_context()).new_page()
    seen: list[Request] = []
    page.on("request", lambda request: seen.append(request) if "/oauth/callback/" in request.url else None)
    await page.goto(stage.running.origin + link)
    await page.locator("form button").first.click()
    await page.locator("input[name=account]").fill(stage.account)
    await page.locator("input[name=consent]").check()
    await page.get_by_text("Go on").click()
    await page.wait_for_url(f"**/connect/attempts/{stage.attempt}")
    await expect(page.locator("[data-screen=connected]")).to_be_visible(timeout=15_000)
    return seen


async def test_s04_chromium_brings_the_cookie_to_where_a_posted_answer_is_carried(foreign: Stage) -> None:
    stage = Stage(foreign.running, foreign.server, "foreign-posted")
    await stage.connected()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(find_browser()), args=FLAGS)
        posted, carried = await _reconnects(browser, stage)
        assert (posted.method, COOKIE in await _cookies_of(posted)) == ("POST", False), "across sites"
        assert (carried.method, COOKIE in await _cookies_of(carried)) == ("GET", True)
        await browser.close()
    assert (await stage.told())["reason"] == Reason.CONNECTED
