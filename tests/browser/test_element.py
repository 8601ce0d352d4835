"""`<regrant-connect>` in a page of the host's own: on another origin than the window, under a strict policy.

The platform is one for the whole module: a healthy connector is re-authorised as well as a failed one.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from service.demo.platform import Platform
from service.demo.set_up import FAILING, connect_drivewell
from service.demo.simulator.seed import OLIVIA, PASSWORD
from tests.browser.conftest import SCREENS
from tests.browser.set_up import FLAGS, find_browser
from tests.databases import database_on
from tests.platforms import platform_on

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

INTEGRATE = (Path(__file__).parents[2] / "docs" / "integrate.md").read_text()
EXAMPLE = (
    INTEGRATE.split("```html\n")[1].split("```")[0],
    INTEGRATE.split("```http\nContent-Security-Policy: ")[1].split("\n")[0],
)
"""The page and the policy that a host's developer reads."""
SRC = f'src="/connections/{FAILING}/attempts"'
PATIENCE_S = 20
WRONG_SOURCE = """opener.postMessage({type: 'regrant:attempt', step: 'forged', outcome: 'connected'}, '*')"""
LISTENS = """
for (const name of ["opened", "step", "connected", "ended", "closed", "failed"]) {
  document.addEventListener(`regrant:${name}`, (event) => heard(name, event.detail, event.target.localName));
}
document.addEventListener("securitypolicyviolation", (event) => heard("violation", event.violatedDirective, ""));
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(postgres_server: str, kafka_bootstrap: str) -> AsyncIterator[Platform]:
    async with database_on(postgres_server) as dsn, platform_on(dsn, kafka_bootstrap, "element.") as platform:
        await connect_drivewell(platform, lambda said: None)
        yield platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    found = find_browser()
    assert found is not None, "no browser: python -m tests.browser.set_up"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(found), args=FLAGS)
        yield browser
        await browser.close()


class HostPage:
    """A page of the host's with the element in it, and all that is heard there."""

    def __init__(self, platform: Platform, context: BrowserContext, page: Page) -> None:
        self.platform, self.context, self.page = platform, context, page
        self.heard: list[tuple[str, Any]] = []
        self.asked: set[str] = set()
        self.button = page.locator("regrant-connect").get_by_role("button").first
        self.message = page.locator("regrant-connect").get_by_role("status")

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    def steps(self) -> list[str]:
        return [detail["step"] for name, detail in self.heard if name == "step"]

    async def hears(self, name: str, where: Callable[[Any], bool] = lambda detail: True) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := [d for n, d in self.heard if n == name and where(d)]):
                await asyncio.sleep(0.02)
        return found[0]

    async def opens(self) -> Page:
        async with self.page.expect_popup() as popup:
            await self.button.press("Enter")  # by keyboard alone
        window = await popup.value
        await expect(window.get_by_role("button", name="Connect to QuickBooks")).to_be_visible()
        return window


@contextlib.asynccontextmanager
async def host_page(
    platform: Platform, browser: Browser, attributes: str = "", *, before: str = "", script: bool = True
) -> AsyncIterator[HostPage]:
    # A page that a test answers itself has no address: to Chromium it is of the internet, which may not ask here.
    context = await browser.new_context(java_script_enabled=script, permissions=["local-network-access"])
    page = await context.new_page()
    here = HostPage(platform, context, page)

    async def heard(source: object, name: str, detail: Any, target: str) -> None:
        assert name == "violation" or target == "regrant-connect"
        here.heard.append((name, detail))

    await context.expose_binding("heard", heard)
    await page.add_init_script(LISTENS + before)
    html, policy = (example.replace("https://connect.example.com", platform.deployment.url) for example in EXAMPLE)
    html = html.replace("/connections/42/", f"/connections/{FAILING}/")
    if attributes:
        html = re.sub("<regrant-connect [^>]*>", f"<regrant-connect {attributes}>", html)

    async def embed(route: Route) -> None:
        await route.fulfill(body=html, content_type="text/html", headers={"Content-Security-Policy": policy})

    try:
        await page.goto(f"{platform.host.url}/connections")  # signs the person in at the host
        await page.route(f"{platform.host.url}/embedding", embed)
        page.on("request", lambda request: here.asked.add(request.url))
        await page.goto(f"{platform.host.url}/embedding")
        yield here
    finally:
        await context.close()


async def goes_to_the_provider(window: Page) -> None:
    await window.get_by_role("button", name="Connect to QuickBooks").press("Enter")
    await expect(window.get_by_label("Email or user ID")).to_be_visible()


async def signs_in(window: Page) -> None:
    await goes_to_the_provider(window)
    await window.get_by_label("Email or user ID").fill(OLIVIA)
    await window.get_by_role("button", name="Sign in").click()
    await window.get_by_label("Password").fill(PASSWORD)
    await window.get_by_role("button", name="Continue").click()
    await window.get_by_label("Drivewell Inc", exact=True).check()
    await window.get_by_role("button", name="Next").click()
    await window.get_by_role("button", name="Connect").click()


async def test_the_pop_up_way_tells_the_page_each_step_up_to_the_data_and_asks_nobody_else(
    platform: Platform, browser: Browser
) -> None:
    async with host_page(platform, browser) as here:
        await expect(here.page.get_by_role("button")).to_have_text(["Reconnect QuickBooks"])
        window = await here.opens()
        await signs_in(window)
        connected = await here.hears("connected")
        await here.hears("step", lambda detail: detail["step"] == "data_flowing")
        await expect(window.locator("[data-screen=connected]")).to_contain_text("First data has arrived")
        await expect(here.message).to_have_text("Connected.")
        await window.get_by_role("link", name="Back to Drivewell").click()
        closed = await here.hears("closed")

        assert connected["attempt_id"] == (await here.hears("opened"))["attempt_id"]
        assert here.steps()[:2] == ["link_offered", "provider_page"]
        assert (closed["certain"], closed["outcome"]) == (True, "connected")
        assert "violation" not in here.names()
        assert here.asked == {
            f"{platform.host.url}/embedding",
            f"{platform.deployment.url}/connect/element.js",
            f"{platform.host.url}/connections/{FAILING}/attempts",
        }


async def test_the_redirect_way_leads_through_the_window_in_this_tab_and_back(
    platform: Platform, browser: Browser
) -> None:
    async with host_page(platform, browser, f'{SRC} mode="redirect"') as here:
        await here.button.press("Enter")
        await signs_in(here.page)
        await expect(here.page.locator("[data-screen=connected]")).to_be_visible()
        await here.page.get_by_role("link", name="Back to Drivewell").click()
        await expect(here.page).to_have_url(f"{platform.host.url}/connections")
        assert (await here.hears("opened"))["mode"] == "redirect"


async def test_a_blocked_pop_up_is_said_and_one_button_goes_on_in_this_tab(
    platform: Platform, browser: Browser
) -> None:
    async with host_page(platform, browser, before="window.open = () => null;") as here:
        await here.button.press("Enter")
        await expect(here.message).to_have_text("Your browser did not open the window.")
        await expect(
            here.page.locator("regrant-connect").get_by_role("button", name="Go on in this tab")
        ).to_be_focused()
        assert (await here.hears("failed"))["why"] == "blocked"
        (SCREENS / "endings").mkdir(exist_ok=True)
        await here.page.screenshot(path=SCREENS / "endings" / "pop-up-blocked.png")
        await here.page.keyboard.press("Enter")
        await expect(here.page.get_by_role("button", name="Connect to QuickBooks")).to_be_visible()


async def test_a_window_that_is_closed_on_our_pages_is_told_for_certain(platform: Platform, browser: Browser) -> None:
    async with host_page(platform, browser) as here:
        window = await here.opens()
        await here.hears("step")
        await window.close()
        closed = await here.hears("closed")
        assert closed == {"attempt_id": closed["attempt_id"], "step": "link_offered", "certain": True}
        await expect(here.message).to_have_text("The window was closed before the end. Nothing was changed.")


async def test_a_provider_that_cuts_the_tie_leaves_a_doubt_and_the_sign_in_goes_on(
    platform: Platform, browser: Browser
) -> None:
    async def cut(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, headers={**answer.headers, "Cross-Origin-Opener-Policy": "same-origin"})

    async with host_page(platform, browser) as here:
        window = await here.opens()
        await goes_to_the_provider(window)
        await here.context.route(f"{platform.simulator.addresses.accounts}/**", cut)
        await window.reload()
        doubt = await here.hears("closed")
        assert (doubt["step"], doubt["certain"]) == ("provider_page", False)

        heard = here.names().count("closed")
        await here.page.evaluate("window.dispatchEvent(new Event('focus'))")
        async with asyncio.timeout(PATIENCE_S):
            while here.names().count("closed") == heard:  # whoever comes back is a reason to ask the backend once more
                await asyncio.sleep(0.02)
        attempt = await platform.regrant.get(f"/v1/attempts/{doubt['attempt_id']}")
        assert (attempt["status"], attempt["step"]) == ("open", "provider_page")


async def test_messages_of_another_window_or_another_origin_are_not_heard(platform: Platform, browser: Browser) -> None:
    async with host_page(platform, browser) as here:
        window = await here.opens()
        await here.hears("step")
        async with here.page.expect_popup() as popup:  # our origin, and not the window
            await here.page.evaluate(f"window.open('{platform.deployment.url}/connect/unknown')")
        other = await popup.value
        await expect(other.locator("[data-screen]")).to_be_visible()
        await other.evaluate(WRONG_SOURCE)
        await here.page.evaluate(WRONG_SOURCE.replace("opener", "window"))  # neither
        await goes_to_the_provider(window)
        await window.evaluate(WRONG_SOURCE)  # the window, and not our origin
        await window.go_back()
        await here.hears("step", lambda detail: detail["step"] == "provider_page")
        await expect(window.locator("[data-screen]")).to_be_visible()
        assert "connected" not in here.names() and "forged" not in here.steps()


async def test_a_link_that_leads_elsewhere_is_not_opened(platform: Platform, browser: Browser) -> None:
    async with host_page(platform, browser, f'handoff="{platform.host.url}/connections" mode="redirect"') as here:
        await here.button.click()
        failed = await here.hears("failed")
        assert failed["why"] == "handoff" and platform.host.url in failed["message"]
        await expect(here.message).to_have_text("That did not work. Please try again.")
        assert here.page.url == f"{platform.host.url}/embedding"


async def test_element_and_window_speak_as_the_page_does_and_the_hosts_own_label_stands(
    platform: Platform, browser: Browser
) -> None:
    async with host_page(platform, browser, f'{SRC} lang="ar-EG"') as here:
        await expect(here.button).to_have_text("ربط")
        assert await here.button.evaluate("button => getComputedStyle(button).direction") == "rtl"
        async with here.page.expect_popup() as popup:
            await here.button.click()
        await expect((await popup.value).locator("html")).to_have_attribute("lang", "ar")
    async with host_page(platform, browser, 'label="Renew it" handoff="x" lang="xx"') as here:
        await expect(here.button).to_have_text("Renew it")
        await here.button.click()
        await expect(here.message).to_have_text("That did not work. Please try again.")


async def test_without_script_what_the_host_put_inside_works(platform: Platform, browser: Browser) -> None:
    async with host_page(platform, browser, script=False) as here:
        await here.page.get_by_role("button", name="Reconnect QuickBooks").click()
        await expect(here.page.get_by_role("button", name="Connect to QuickBooks")).to_be_visible()


async def test_no_page_that_the_settings_dont_name_shows_the_window_in_a_frame(
    platform: Platform, browser: Browser
) -> None:
    page = await browser.new_page(permissions=["local-network-access"])
    framing = f'<iframe src="{platform.deployment.url}/connect/unknown"></iframe>'
    await page.route("**/framing", lambda route: route.fulfill(body=framing, content_type="text/html"))
    async with page.expect_console_message(lambda said: "frame-ancestors" in said.text):
        await page.goto(f"{platform.host.url}/framing")
    await page.context.close()


async def test_the_demos_host_gives_up_an_attempt_whose_window_was_closed_though_its_row_was_drawn_anew(
    platform: Platform, browser: Browser
) -> None:
    page = await browser.new_page()
    await page.goto(f"{platform.host.url}/connections")
    row = page.locator(f"[data-connector={FAILING}]")
    await row.get_by_label("Actions for Books of Drivewell Inc").click()
    async with page.expect_popup() as popup:
        await row.get_by_role("button", name="Edit credentials").click()
    window = await popup.value
    await expect(window.get_by_role("button", name="Connect to QuickBooks")).to_be_visible()
    await expect(row).to_have_attribute("data-state", "awaiting_auth")
    await window.close()
    await expect(row).not_to_have_attribute("data-state", "awaiting_auth")
    await expect(row).to_contain_text("You stopped before the end")
    await page.context.close()


# The steps, live.


@pytest.mark.parametrize("way", ["streamed", "asked for", "kept back"])
async def test_the_steps_are_seen_as_they_are_reached(platform: Platform, browser: Browser, way: str) -> None:
    context = await browser.new_context()
    window = await context.new_page()
    kept: list[Route] = []

    async def keep(route: Route) -> None:
        kept.append(route)

    match way:
        case "streamed":
            await context.route("**/status", lambda route: route.abort())
        case "asked for":
            await context.route("**/events", lambda route: route.abort())
        case _:
            await context.route("**/events", keep)
    person = {"id": "u-olivia", "name": "Olivia Marsh"}
    attempt = await platform.regrant.post(f"/v1/connectors/{FAILING}/attempts", {"person": person})
    await window.goto(attempt["handoff"]["url"])
    fault = platform.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=30)
    await signs_in(window)
    lines = window.get_by_role("list", name="Progress")
    await expect(lines).to_contain_text("Checking the company")
    platform.simulator.faults.lift(fault.id)
    await expect(window.locator("[data-screen=connected]")).to_be_visible()
    await expect(lines).to_contain_text("First data has arrived")
    assert bool(kept) == (way == "kept back")
    await context.close()
