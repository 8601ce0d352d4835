"""A person at a real browser: from the failed row in the host's list, through the provider, back to healthy."""

import pytest
from playwright.async_api import Browser, Error, Page, expect

from service.demo.platform import Platform
from service.demo.set_up import FAILING
from service.demo.simulator.seed import OLIVIA, PASSWORD
from tests.browser.conftest import SCREENS

pytestmark = pytest.mark.browser


async def shot(page: Page, name: str) -> None:
    """A picture of the page. Chromium now and then can't take one on a busy machine: then it is asked once more."""
    path = SCREENS / f"{name}.png"
    try:
        await page.screenshot(path=path)
    except Error:
        await page.screenshot(path=path)


async def opened_window(page: Page) -> Page:
    """Presses ⋮ and *Edit credentials*; returns the window that pops up."""
    await page.get_by_label("Actions for Books of Drivewell Inc").click()
    await shot(page, "2-menu")
    async with page.expect_popup() as popup:
        await page.get_by_role("button", name="Edit credentials").first.click()
    window = await popup.value
    await window.set_viewport_size({"width": 480, "height": 720})
    await expect(window.get_by_role("button", name="Connect to QuickBooks")).to_be_visible()
    return window


async def signed_in(window: Page, company: str, *, screens: bool = False) -> None:
    """Goes through the provider's pages up to the consent."""
    await window.get_by_role("button", name="Connect to QuickBooks").click()
    await window.get_by_label("Email or user ID").fill(OLIVIA)
    if screens:
        await shot(window, "4-provider-email")
    await window.get_by_role("button", name="Sign in").click()
    await window.get_by_label("Password").fill(PASSWORD)
    if screens:
        await shot(window, "5-provider-password")
    await window.get_by_role("button", name="Continue").click()
    await window.get_by_label(company, exact=True).check()
    if screens:
        await shot(window, "6-provider-company")
    await window.get_by_role("button", name="Next").click()
    if screens:
        await shot(window, "7-provider-consent")


async def test_p01_a_person_brings_the_failed_connector_back_to_healthy(platform: Platform, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 1180, "height": 860})
    await page.goto(platform.host.url)
    row = page.locator(f"[data-connector={FAILING}]")
    await expect(row).to_have_attribute("data-state", "failed")
    await expect(row).to_contain_text("QuickBooks")
    await shot(page, "1-list-failed")
    window = await opened_window(page)
    await shot(window, "3-window-start")
    # The check is held at the provider for a moment, so that what the person sees meanwhile is seen here, too.
    fault = platform.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=30)
    await signed_in(window, "Drivewell Inc", screens=True)
    await window.get_by_role("button", name="Connect").click()
    await expect(window.locator("[data-screen=checking]")).to_be_visible()
    await shot(window, "8-window-checking")
    platform.simulator.faults.lift(fault.id)
    await expect(window.locator("[data-screen=connected]")).to_be_visible()
    await shot(window, "9-window-connected")
    await expect(row).to_have_attribute("data-state", "healthy")
    await shot(page, "10-list-healthy")


async def test_p06_the_wrong_company_is_refused_with_both_names_and_the_right_one_then_works(
    platform: Platform, browser: Browser
) -> None:
    page = await browser.new_page(viewport={"width": 1180, "height": 860})
    await page.goto(platform.host.url)
    window = await opened_window(page)
    await signed_in(window, "Acme Ltd")
    await window.get_by_role("button", name="Connect").click()
    ended = window.locator("[data-screen='ended wrong_account']")
    await expect(ended).to_contain_text("Acme Ltd")
    await expect(ended).to_contain_text("Drivewell Inc")
    await shot(window, "11-window-wrong-company")


async def test_the_whole_way_works_with_script_off(platform: Platform, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 480, "height": 720})
    page = await context.new_page()
    await page.goto(platform.host.url)
    await page.get_by_label("Actions for Books of Drivewell Inc").click()
    await page.get_by_role("button", name="Edit credentials").first.click()
    await signed_in(page, "Drivewell Inc")
    await page.get_by_role("button", name="Connect").click()
    await expect(page.locator("[data-screen=connected]")).to_be_visible()
