"""The help in a real browser: ask, read the passage, go to its page; without script, by keyboard, at 320 px, by axe."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, expect

from service.help.answers import Answers
from service.help.library import library
from service.help.passages import edition
from service.help.routes import build_help
from service.store import passages
from service.store.migrate import migrate
from service.store.pool import open_pool
from service.texts.language import preferred
from tests.browser.conftest import SCREENS
from tests.foreign.set_up import node_modules

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ASKED = "?ask=my+pop-up+was+blocked"
PAGES = ["", ASKED, "?ask=zebra", "/reauthenticate-quickbooks", "/settings", "/reasons/wrong_account", "/nothing"]


@pytest.fixture
async def address(database: str) -> AsyncIterator[str]:
    """The help on a database of its own."""
    pool = await open_pool(database)
    answers = Answers(pool)
    async with pool.acquire() as connection:
        await migrate(connection, shards=2)
        await passages.keep(connection, edition())
    app = web.Application()
    build_help(
        app,
        answers=answers,
        library=library(),
        public_url="http://127.0.0.1",
        host_name="Drivewell",
        frame_ancestors=(),
        counted_for=lambda request: "one",
        language_of=lambda request: preferred(request.headers.get("Accept-Language", "")),
        a_minute_from_an_address=1000,
    )
    server = TestServer(app)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}/help"
    await server.close()
    await pool.close()


async def test_a_question_leads_to_a_passage_and_the_passage_to_its_page_without_script(
    browser: Browser, address: str
) -> None:
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 1180, "height": 860})
    page = await context.new_page()
    await page.goto(address)
    await page.get_by_role("searchbox").fill("my pop-up was blocked")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.get_by_role("searchbox")).to_have_value("my pop-up was blocked")
    await expect(page.locator("mark").first).to_be_visible()
    await page.screenshot(path=SCREENS / "help-answers.png")
    await page.get_by_role("link", name="Re-authenticate QuickBooks: What can go wrong").first.click()
    await expect(page).to_have_url(f"{address}/reauthenticate-quickbooks#what-can-go-wrong-and-what-to-do-next")
    await expect(page.get_by_role("heading", name="What can go wrong")).to_be_in_viewport()
    await expect(page.get_by_text("the browser blocked the pop-up")).to_be_visible()
    await page.goto(f"{address}/reauthenticate-quickbooks")
    await page.screenshot(path=SCREENS / "help-page.png")
    await page.get_by_role("link", name="The steps", exact=True).click()
    await expect(page).to_have_url(f"{address}/reauthenticate-quickbooks#the-steps")
    await context.close()


async def test_every_picture_of_a_page_is_there_and_its_style_is_its_own(browser: Browser, address: str) -> None:
    page = await browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith(address) else None)
    for one in ("/reauthenticate-quickbooks", "/benchmarks"):
        await page.goto(address + one)
        pictures = page.locator("main img")
        assert await pictures.count() > 2
        for at in range(await pictures.count()):
            await pictures.nth(at).scroll_into_view_if_needed()
            await expect(pictures.nth(at)).not_to_have_js_property("naturalWidth", 0)
    assert said == [], "the policy forbids something, or something comes from elsewhere"
    await page.close()


async def test_the_search_is_the_second_stop_of_the_keyboard_and_enter_asks(browser: Browser, address: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{address}/keys")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="To the text")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type("how do I rotate keys")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="Keys: Change the key")).to_be_visible()
    await page.close()


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_no_page_is_wider_than_320_px(
    browser: Browser, address: str, language: str, scheme: Literal["light", "dark"]
) -> None:
    axe = (Path(node_modules()) / "axe-core" / "axe.min.js").read_text()
    context = await browser.new_context(
        viewport={"width": 320, "height": 640}, color_scheme=scheme, locale=language, reduced_motion="reduce"
    )
    page = await context.new_page()
    found = {}
    for one in PAGES:
        await page.goto(address + one)
        await page.evaluate(axe)  # evaluated, since the page's policy lets no script in
        if told := await violations(page):
            found[one] = told
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, f"{one or '/'} is {width} px wide"
    await context.close()
    assert found == {}


async def violations(page: Page) -> list[str]:
    """What axe finds: each rule with where it is broken."""
    told: list[str] = await page.evaluate(
        """async rules => {
            const given = { runOnly: { type: "tag", values: rules }, rules: { "target-size": { enabled: true } } };
            const { violations } = await axe.run(document, given);
            const where = node => `${node.target} ${node.failureSummary}`;
            return violations.map(one => `${one.id}: ${one.nodes.slice(0, 3).map(where).join(" | ")}`);
        }""",
        RULES,
    )
    return told
