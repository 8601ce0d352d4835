"""Endings that people bring about: each its own screen, held against the oracle and the table, with a picture (P13).

What the provider's own pages look like isn't the question here, so most people walk through them without a browser.
"""

import pytest
from playwright.async_api import expect

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.simulator.seed import OLIVIA, SAM
from service.demo.simulator.world import Role
from tests.browser.endings.stage import XERO, Stage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


# Before the login.


async def test_before_the_first_login_it_says_what_is_needed_and_that_the_company_is_chosen_there(stage: Stage) -> None:
    books = await stage.registered()
    async with stage.window() as page:
        await page.goto(await books.opened())
        await stage.sees(page, "first")
        await expect(page.locator(".facts")).to_contain_text("You choose it at QuickBooks")
        await expect(page.locator(".needed li")).to_have_count(2)
        await expect(page.locator(".why")).to_have_count(0)


async def test_before_another_login_it_says_which_company_and_why_it_stopped(stage: Stage) -> None:
    books = await stage.failed()
    async with stage.window() as page:
        await page.goto(await books.opened())
        await stage.sees(page, "stopped-working")
        await expect(page.locator(".facts")).to_contain_text(books.company)
        await expect(page.locator(".why")).to_contain_text("QuickBooks")


async def test_before_a_login_while_it_works_it_says_that_nothing_is_broken(stage: Stage) -> None:
    books = await stage.connected()
    async with stage.window() as page:
        await page.goto(await books.opened())
        await stage.sees(page, "working")
        await expect(page.locator(".lead")).to_contain_text("The connection works.")
        await expect(page.locator(".why")).to_have_count(0)


# The person goes, and comes back.


async def test_who_closes_the_window_at_the_provider_goes_on_by_the_link_later(stage: Stage) -> None:
    books = await stage.connected()
    link = await books.opened()
    async with stage.somebody() as olivia:
        page = await olivia.new_page()
        await books.pressed(page, link)
        await page.close()
        page = await olivia.new_page()
        await page.goto(link)
        await stage.sees(page, "closed")
        await page.get_by_role("button", name="Go on to QuickBooks").click()
        await page.goto(await books.through_the_provider(page))
        await expect(page.locator("[data-screen=connected]")).to_be_visible()


async def test_who_stops_is_told_that_nothing_was_changed(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.pressed(page, link)
        await page.goto(link)
        await page.get_by_role("button", name="Stop here").click()
        await stage.sees(page, "stopped")


async def test_who_declines_at_the_provider_may_start_again(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.reconnects(page, link, consent=False)
        await stage.sees(page, "denied")


async def test_a_second_tab_leads_to_where_the_first_one_is(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.somebody() as olivia:
        first, second = await olivia.new_page(), await olivia.new_page()
        await second.goto(link)
        await books.pressed(first, link)
        await second.get_by_role("button", name="Connect to QuickBooks").click()
        await stage.sees(second, "second-tab")


async def test_the_back_button_at_the_provider_leads_to_a_screen_that_goes_on(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.pressed(page, link)
        await page.go_back()
        await stage.sees(page, "back-button")


async def test_a_reload_shows_the_same_ending(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.reconnects(page, link, consent=False)
        await page.locator("[data-screen='ended access_denied']").wait_for()
        await page.reload()
        await stage.sees(page, "reload")


async def test_a_callback_that_is_opened_twice_shows_how_it_went(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link, consent=False)
        await page.goto(callback)
        await page.goto(callback)
        await stage.sees(page, "callback-twice")


async def test_the_answer_of_an_earlier_click_leads_on_to_the_newest(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        earlier = await books.signed_in(page, link)
        await page.goto(link)
        await page.get_by_role("button", name="Go on to QuickBooks").click()
        await page.wait_for_url(f"{stage.simulator.addresses.accounts}/**")
        await page.goto(earlier)
        await stage.sees(page, "earlier-click")
        await page.get_by_role("link", name="Go on").click()
        await expect(page.locator("[data-screen=waiting]")).to_be_visible()


async def test_after_an_hour_the_host_has_to_be_asked_again(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.reconnects(page, link, consent=False)
        await page.locator("[data-screen='ended access_denied']").wait_for()
        await stage.pool.execute(
            "update attempt set opened_at = now() - interval '61 minutes', session_began = null"
            " where connector = (select id from connector where connector_id = $1)",
            books.id,
        )
        await page.get_by_role("button", name="Start again").click()
        await stage.sees(page, "after-an-hour")


# Whose company, whose permission.


async def test_p06_a_wrong_company_is_refused_with_both_names(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.reconnects(page, link, company="Acme Ltd")
        await stage.sees(page, "wrong-company")
        await expect(page.locator(".lead")).to_contain_text("Acme Ltd")
        await expect(page.locator(".lead")).to_contain_text(books.company)


async def test_s15_several_companies_are_never_guessed_among(stage: Stage) -> None:
    books = await stage.registered(provider=XERO)
    world = stage.xero.world
    ours, other = list(world.companies)[:2]
    world.settings.ticked_beside = (other,)
    async with stage.window() as page:
        await page.goto(await books.opened())
        await page.locator("[data-primary] button").click()
        await page.wait_for_url(f"{stage.xero.addresses.accounts}/**")
        await page.goto(await books.through_the_provider(page, company=world.companies[ours].name))
        await stage.sees(page, "several-companies")


async def test_s17_a_company_that_is_connected_already_is_named(stage: Stage) -> None:
    there, books = await stage.connected(), await stage.registered()
    async with stage.window() as page:
        await books.reconnects(page, await books.opened(), company=there.company)
        await stage.sees(page, "company-taken")
        await expect(page.locator(".lead")).to_contain_text(there.company)


async def test_p09_who_is_no_admin_any_more_is_told_whom_to_ask(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link)
        stage.simulator.world.set_role(OLIVIA, books.realm, Role.STANDARD)
        await page.goto(callback)
        await stage.sees(page, "not-an-admin")
        await expect(page.locator(".next")).to_contain_text(
            f"Ask somebody who is Organization Admin of {books.company}"
        )


async def test_a_permission_that_was_unticked_is_asked_for_again(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link)
        less = {"scope": "openid"}
        stage.simulator.faults.throw("edit", "oauth", endpoint="token", fields=less, remaining=1)
        await page.goto(callback)
        await stage.sees(page, "permission-unticked")


# Refused on the provider's own page, from which nobody comes back.


async def test_p09_who_was_refused_on_the_providers_page_tells_it_and_the_history_keeps_it(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        await books.pressed(page, link)
        await page.get_by_label("Email or user ID").fill(SAM)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Password").fill("demo")
        await page.get_by_role("button", name="Continue").click()
        await page.goto(link)
        await page.get_by_role("link", name="QuickBooks didn't let me in").click()
        await stage.sees(page, "refused-there")
        await page.get_by_label("I am not an administrator").check()
        await page.get_by_role("button", name="Continue").click()
        await stage.sees(page, "refused-there-told")
    newest = (await books.history())[0]
    assert (newest["trigger"], newest["reason"]) == ("cancelled", Reason.NEEDS_ADMIN)


ANSWERS = {
    Reason.ACCOUNT_INACTIVE: ("The subscription of the company has ended", "subscription-ended"),
    Reason.PRODUCT_MISSING: ("Something has to be set up first", "set-up-first"),
    Reason.PROVIDER_REFUSED: ("Something else", "something-else"),
}


@pytest.mark.parametrize("reason", ANSWERS)
async def test_p09_when_the_time_ran_out_the_window_asks_and_the_answer_is_the_reason(
    stage: Stage, reason: Reason
) -> None:
    words, ending = ANSWERS[reason]
    books, link = await stage.a_link()
    async with stage.window(java_script_enabled=reason is not Reason.PROVIDER_REFUSED) as page:
        await books.pressed(page, link)
        await books.time_runs_out()
        await books.state(State.HEALTHY)
        await page.goto(link)
        await stage.sees(page, "time-ran-out")
        await page.get_by_label(words).check()
        await page.get_by_role("button", name="Continue").click()
        await stage.sees(page, ending)
    newest = (await books.history())[0]
    assert (newest["outcome"], newest["trigger"], newest["reason"]) == ("observation", "explained", reason)
    assert newest["actor"]["kind"] == "person"
