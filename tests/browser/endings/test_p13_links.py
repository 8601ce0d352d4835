"""Endings about links: used, expired, somebody else's; handed to a colleague (P12); left, and come back to."""

import pytest
from playwright.async_api import Page, expect

from schemas.lifecycle import State, Trigger
from schemas.reasons import Reason
from service.demo.host.app import PERSON
from service.demo.simulator.seed import OLIVIA, SAM
from service.demo.simulator.world import Role
from tests.browser.endings.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


# Links that lead nowhere: one page for all strangers (S24).


async def test_a_link_that_was_used_in_another_browser_says_how_to_get_a_new_one(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as olivia, stage.window() as somebody:
        await books.pressed(olivia, link)
        await somebody.goto(link)
        await stage.sees(somebody, "link-used")
        await expect(somebody.locator(".next")).to_contain_text("choose Edit credentials, which makes a new link")


async def test_a_link_that_has_expired_says_the_same(stage: Stage) -> None:
    _, link = await stage.a_link()
    await stage.pool.execute("update handoff set expires_at = now() where consumed_at is null")
    async with stage.window() as page:
        await page.goto(link)
        await stage.sees(page, "link-expired")


async def test_the_page_of_somebody_elses_attempt_says_the_same(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as olivia, stage.window() as somebody:
        await books.reconnects(olivia, link, consent=False)
        await somebody.goto(olivia.url)
        await stage.sees(somebody, "link-of-somebody-else")


async def test_a_link_that_never_was_says_the_same(stage: Stage) -> None:
    async with stage.window() as page:
        await page.goto(f"{stage.platform.deployment.url}/connect/{'x' * 43}")
        await stage.sees(page, "link-unknown")


async def test_coming_back_on_another_device_says_to_go_on_where_it_began(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as computer, stage.window() as phone:
        callback = await books.signed_in(computer, link)
        await phone.goto(callback)
        await stage.sees(phone, "another-device")
        await expect(phone.locator(".next")).to_contain_text("If you began elsewhere, go on there.")
        await computer.goto(callback)
        await expect(computer.locator("[data-screen=connected]")).to_be_visible()


# What others did meanwhile.


async def test_who_was_overtaken_by_a_newer_sign_in_is_told(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.pressed(page, link)
        await books.opened()
        await page.goto(link)
        await stage.sees(page, "replaced")


async def test_what_a_colleague_has_repaired_meanwhile_needs_nobody_any_more(stage: Stage) -> None:
    books = await stage.failed()
    link = await books.opened()
    async with stage.window() as olivia, stage.window() as colleague:
        await books.pressed(olivia, link)
        await books.reconnects(colleague, await books.opened())
        await expect(colleague.locator("[data-screen=connected]")).to_be_visible()
        await olivia.goto(link)
        await stage.sees(olivia, "repaired")


async def test_a_sign_in_that_is_being_checked_is_not_disturbed(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as olivia, stage.window() as colleague:
        await books.reconnects(olivia, link, consent=False)
        await olivia.locator("[data-screen='ended access_denied']").wait_for()
        held = stage.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=30)
        await books.reconnects(colleague, await books.opened())
        await colleague.locator("[data-screen=checking]").wait_for()
        await olivia.get_by_role("button", name="Start again").click()
        await stage.sees(olivia, "being-checked")
        stage.simulator.faults.lift(held.id)


@pytest.mark.parametrize(
    ("method", "path", "ending"), [("POST", "/disconnect", "disconnected"), ("DELETE", "", "deleted")]
)
async def test_a_connector_that_was_taken_away_meanwhile_needs_no_sign_in(
    stage: Stage, method: str, path: str, ending: str
) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.pressed(page, link)
        await books.told(method, path)
        await page.goto(link)
        await stage.sees(page, ending)


# Handed to a colleague.


async def test_p12_who_is_no_admin_hands_it_to_a_colleague_whose_link_works_once(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as olivia, stage.window() as sam, stage.window() as stranger:
        callback = await books.signed_in(olivia, link)
        stage.simulator.world.set_role(OLIVIA, books.realm, Role.STANDARD)
        await olivia.goto(callback)
        await olivia.get_by_role("link", name="Hand it to a colleague").click()
        await stage.sees(olivia, "hand-on")
        await olivia.get_by_label("Your colleague's name").fill("Sam Okafor")
        await olivia.get_by_role("button", name="Make the link").click()
        await stage.sees(olivia, "link-for-a-colleague")
        await expect(olivia.locator(".lead")).to_contain_text("within the next 30 minutes")
        handed = await olivia.locator("input.link").input_value()
        stage.simulator.world.set_role(SAM, books.realm, Role.COMPANY_ADMIN)
        await sam.goto(handed)
        await expect(sam.locator(".facts")).to_contain_text("Olivia Marsh · Drivewell")
        await books.reconnects(sam, handed, email=SAM)
        await expect(sam.locator("[data-screen=connected]")).to_be_visible()
        await stranger.goto(handed)
        await expect(stranger.locator("[data-screen='dead link']")).to_be_visible()
    asked = [one for one in await books.history() if one["trigger"] == Trigger.START_REAUTH]
    assert [one["actor"]["id"] for one in asked[:2]] == [PERSON["id"], "drivewell-backend"]
    assert len({one["attempt_id"] for one in asked}) == len(asked)


async def test_p12_the_former_link_and_browser_are_void_and_another_link_can_be_made(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as olivia:
        late = await books.signed_in(olivia, link)
        await olivia.goto(link)
        first = await handed_on(olivia, "Hand it to a colleague")
        await olivia.goto(late)
        await stage.sees(olivia, "handed-on")
        second = await handed_on(olivia, "Make another link")
        assert second != first
        async with stage.window() as sam:
            await sam.goto(first)
            await expect(sam.locator("[data-screen='dead link']")).to_be_visible()
            await sam.goto(second)
            await expect(sam.locator("[data-screen=start]")).to_be_visible()


async def handed_on(page: Page, words: str) -> str:
    await page.get_by_role("link", name=words).click()
    await page.get_by_label("Your colleague's name").fill("Sam Okafor")
    await page.get_by_role("button", name="Make the link").click()
    return await page.locator("input.link").input_value()


async def test_p12_with_script_the_link_is_copied_by_a_button(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window(permissions=["clipboard-read", "clipboard-write"]) as page:
        await books.pressed(page, link)
        await page.goto(link)
        handed = await handed_on(page, "Hand it to a colleague")
        await page.get_by_role("button", name="Copy the link").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == handed


async def test_p12_with_script_off_the_link_stands_there_to_be_marked(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window(java_script_enabled=False) as page:
        await books.pressed(page, link)
        await page.goto(link)
        handed = await handed_on(page, "Hand it to a colleague")
        assert handed.startswith(f"{stage.platform.deployment.url}/connect/")
        await expect(page.locator("[data-primary] .by-hand")).to_have_text("Mark the link and copy it.")
        await expect(page.get_by_role("button", name="Copy the link")).to_be_hidden()


async def test_p12_where_the_host_confirms_the_person_the_colleague_starts_there(stage: Stage) -> None:
    books = await stage.registered()
    async with stage.window() as page:
        link = await books.opened()
        await books.pressed(page, link)
        await page.goto(link)
        await page.get_by_role("link", name="Hand it to a colleague").click()
        await stage.sees(page, "hand-on-elsewhere")


async def test_p12_the_hosts_own_handing_on_stands_in_the_history(stage: Stage) -> None:
    books, link = await stage.a_link()
    regrant = stage.platform.regrant
    attempt = (await books.history())[0]["attempt_id"]
    made = await regrant.post(f"/v1/attempts/{attempt}/handoffs", {"id": "u-sam", "name": "Sam Okafor"})
    async with stage.window() as page:
        await page.goto(link)
        await expect(page.locator("[data-screen='dead link']")).to_be_visible()
        await page.goto(made["url"])
        await expect(page.locator("[data-screen=start]")).to_be_visible()
    newest = (await books.history())[0]
    assert (newest["trigger"], newest["attempt_id"], newest["actor"]["kind"]) == ("handed_on", attempt, "host")


# Left, and come back to by the link: at the step where it was, and only in the browser that began.


async def test_who_leaves_comes_back_by_the_link_to_the_step_where_it_was(stage: Stage) -> None:
    books = await stage.registered()
    link = await books.opened()
    held = stage.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=60)
    async with stage.somebody(at_the_host=False) as olivia, stage.window() as other:

        async def finds(screen: str) -> Page:
            page = await olivia.new_page()
            await page.goto(link)
            await expect(page.locator(f"[data-screen={screen}]")).to_be_visible()
            return page

        async def nobody_else_does() -> None:
            await other.goto(link)
            await expect(other.locator("[data-screen='dead link']")).to_be_visible()

        page = await finds("start")
        await page.get_by_role("button", name="Connect to QuickBooks").click()
        await page.wait_for_url(f"{stage.simulator.addresses.accounts}/**")
        await finds("waiting")
        await nobody_else_does()
        callback = await books.through_the_provider(page)
        await page.goto(callback)
        await expect(page.locator("body")).to_contain_text("Nobody is signed in at Drivewell")
        completion = page.url
        page = await finds("confirming")
        await stage.sees(page, "confirming")
        await nobody_else_does()
        await stage.signs_in_at_the_host(olivia)
        await page.goto(completion)
        await finds("checking")
        await nobody_else_does()
        stage.simulator.faults.lift(held.id)
        await page.locator("[data-screen=connected]").wait_for(timeout=15_000)
        page = await finds("connected")
        await books.state(State.HEALTHY)
        await stage.sees(page, "connected")
        await nobody_else_does()


async def test_who_comes_back_after_the_end_finds_it(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.reconnects(page, link, company="Acme Ltd")
        await page.locator("[data-screen='ended wrong_account']").wait_for(timeout=15_000)
        await stage.pool.execute("update handoff set expires_at = now()")
        await page.goto(link)
        await expect(page.locator("[data-screen='ended wrong_account']")).to_be_visible()
    row = await stage.pool.fetchrow("select * from connector where connector_id = $1", books.id)
    assert (row["state"], row["attempt_reason"]) == (State.HEALTHY, Reason.WRONG_ACCOUNT)
