"""The whole way through the real service in Arabic, from right to left, on our pages by keyboard alone."""

from contextlib import suppress

import pytest
from playwright.async_api import Browser, Error, Page, expect

from service.demo.platform import Platform
from service.demo.set_up import FAILING
from service.demo.simulator.seed import OLIVIA, PASSWORD
from service.texts.catalogue import texts
from service.texts.language import Language
from tests.browser.test_reconnect import shot

pytestmark = pytest.mark.browser

SAID = texts(Language("ar"))


async def pressed(page: Page, label: str) -> None:
    """Goes on from one thing to the next until the one with this label has the focus, and presses Enter."""
    wanted = page.get_by_text(label, exact=True)
    await expect(wanted).to_be_visible()
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("one => one === document.activeElement"):
            return await page.keyboard.press("Enter")
    raise AssertionError(f"the Tab key never came to {label}")


async def test_the_whole_way_in_arabic_by_keyboard(platform: Platform, browser: Browser) -> None:
    context = await browser.new_context(viewport={"width": 480, "height": 720})
    page = await context.new_page()
    await page.goto(platform.host.url)
    await page.get_by_label("Actions for Books of Drivewell Inc").click()
    async with page.expect_popup() as popup:
        await page.get_by_role("button", name="Edit credentials").first.click()
    window = await popup.value

    # The window opened in the language of the host's page, which is English; what is chosen here stays for the visit.
    await pressed(window, SAID.say("name"))
    await pressed(window, SAID.say("start.connect", provider="QuickBooks"))
    await window.get_by_label("Email or user ID").fill(OLIVIA)
    await window.keyboard.press("Enter")
    await window.get_by_label("Password").fill(PASSWORD)
    await window.keyboard.press("Enter")
    await window.get_by_label("Drivewell Inc", exact=True).check()
    await window.get_by_role("button", name="Next").press("Enter")
    await window.get_by_role("button", name="Connect").press("Enter")

    await expect(window.locator("[data-screen=connected]")).to_contain_text("تم الاتصال")
    await expect(window.locator("html")).to_have_attribute("dir", "rtl")
    await shot(window, "12-window-arabic")
    async with window.expect_event("close"):
        with suppress(Error):  # the window closes before the key is let go
            await pressed(window, SAID.say("back", host="Drivewell"))
    await expect(page.locator(f"[data-connector={FAILING}]")).to_have_attribute("data-state", "healthy")
    await context.close()
