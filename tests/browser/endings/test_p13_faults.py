"""Endings that machines bring about: the provider, our database, our broker, the browser itself (P13)."""

import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from playwright.async_api import Route, expect

from schemas.lifecycle import State
from service.demo.embedded import Supervisor
from service.demo.embedded.child import free_port
from service.demo.host.app import TENANT
from service.demo.simulator.world import CompanyStatus
from tests.browser.endings.stage import QUICKBOOKS, Stage
from tests.loop import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


# The provider.


async def test_a_provider_that_sends_an_error_back_is_named(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        state = (await books.signed_in(page, link)).split("state=")[1].split("&")[0]
        await page.goto(f"{callback_of(stage)}?error=server_error&state={state}")
        await stage.sees(page, "provider-error")


async def test_a_provider_that_is_away_while_we_check_is_waited_for(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link)
        await stage.simulator.down("oauth")
        try:
            await page.goto(callback)
            await stage.sees(page, "provider-away")
        finally:
            await stage.simulator.up("oauth")
        await expect(page.locator("[data-screen=connected]")).to_be_visible()


async def test_a_provider_that_is_slow_is_said_to_be(stage: Stage) -> None:
    books, link = await stage.a_link()
    held = stage.simulator.faults.throw("slow", "api", endpoint="companyinfo", seconds=60)
    async with stage.window() as page:
        await books.reconnects(page, link)
        await page.locator("[data-screen=checking]").wait_for()
        await stage.pool.execute(
            "update attempt set exchange_begun_at = now() - interval '25 seconds'"
            " where exchange_begun_at is not null and ended_at is null"
        )
        await stage.sees(page, "provider-slow")
        stage.simulator.faults.lift(held.id)
        await expect(page.locator("[data-screen=connected]")).to_be_visible()


async def test_a_provider_that_stays_away_ends_the_checks_without_harm(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link)
        await stage.simulator.down("api")
        try:
            await page.goto(callback)
            await page.locator("[data-screen='checking away']").wait_for(timeout=15_000)
            await books.time_runs_out()
            await stage.sees(page, "checks-timed-out")
        finally:
            await stage.simulator.up("api")


async def test_a_code_that_the_provider_refuses_is_asked_for_again(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link)
        refusal = {"status": 400, "body": '{"error":"invalid_grant"}', "remaining": 1}
        stage.simulator.faults.throw("body", "oauth", endpoint="token", **refusal)
        await page.goto(callback)
        await stage.sees(page, "code-refused")


async def test_an_interrupted_exchange_goes_on_by_itself_once_and_then_asks(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link)
        stage.simulator.faults.throw("drop", "oauth", endpoint="token", remaining=2)
        await page.goto(callback)
        await page.wait_for_url(f"{stage.simulator.addresses.accounts}/**")
        await page.goto(await books.through_the_provider(page))
        await stage.sees(page, "interrupted")


async def test_our_own_misconfiguration_sends_nobody_to_sign_in(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link)
        stage.simulator.faults.throw("client_secret", "oauth", endpoint="token", remaining=1)
        await page.goto(callback)
        await stage.sees(page, "misconfigured")


async def test_p10_a_link_to_a_company_whose_subscription_has_ended_offers_no_login(stage: Stage) -> None:
    books, link = await stage.a_link()
    stage.simulator.world.companies[books.realm].status = CompanyStatus.ENDED
    await stage.platform.sync_engine.sync_now(books.id, TENANT)

    async def heard() -> bool:
        reason = "select reason from connector where connector_id = $1"
        return bool(await stage.pool.fetchval(reason, books.id) == "account_inactive")

    await eventually(heard, "the sync has failed")
    async with stage.window() as page:
        await page.goto(link)
        await stage.sees(page, "login-does-not-help")


# The browser, and what reaches us by it.


async def test_blocked_cookies_are_named(stage: Stage) -> None:
    _, link = await stage.a_link()

    async def without_cookies(route: Route) -> None:
        if route.request.method != "GET":
            return await route.continue_()
        answer = await route.fetch(max_redirects=0)
        kept = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        return await route.fulfill(status=answer.status, headers=kept, body=await answer.body())

    async with stage.window() as page:
        await page.route(f"{stage.platform.deployment.url}/connect/*", without_cookies)
        await page.goto(link)
        await page.context.clear_cookies()
        await page.locator("[data-primary] button").click()
        await stage.sees(page, "cookies-blocked")


async def test_a_click_that_is_not_of_this_page_starts_nothing(stage: Stage) -> None:
    _, link = await stage.a_link()
    async with stage.window() as page:
        await page.goto(link)
        await page.evaluate("document.querySelector('[name=csrf]').value = '0'.repeat(64)")
        await page.locator("[data-primary] button").click()
        await stage.sees(page, "foreign-click")
        await page.get_by_role("link", name="Open the page afresh").click()
        await expect(page.locator("[data-screen=start]")).to_be_visible()


@pytest.mark.parametrize(("query", "ending"), [("code=c", "bad-request"), (f"code=c&state={'f' * 43}", "state-forged")])
async def test_an_answer_that_nobody_asked_for_leads_nowhere(stage: Stage, query: str, ending: str) -> None:
    async with stage.window() as page:
        await page.goto(f"{callback_of(stage)}?{query}")
        await stage.sees(page, ending)


async def test_an_address_that_is_used_in_another_way_says_so(stage: Stage) -> None:
    async with stage.window() as page:
        address = f"{stage.platform.deployment.url}/connect/attempts/{'0' * 8}-0000-0000-0000-{'0' * 12}/again"
        await page.goto(address)
        await stage.sees(page, "another-method")


# Our own trouble.


async def test_our_database_away_is_waited_for_by_the_page_itself(stage: Stage) -> None:
    books, link = await stage.a_link()
    async with stage.window() as page:
        callback = await books.signed_in(page, link, consent=False)
        await stage.database.refuse()
        try:
            await page.goto(callback)
            await stage.sees(page, "database-away")
        finally:
            await stage.database.accept()
        await expect(page.locator("[data-screen='ended access_denied']")).to_be_visible()


async def test_a_fault_of_ours_shows_nothing_of_its_inside(stage: Stage) -> None:
    _, link = await stage.a_link()
    async with stage.window() as page:
        await stage.pool.execute("alter table handoff rename to handoff_elsewhere")
        try:
            await page.goto(link)
            await stage.sees(page, "unknown-error")
        finally:
            await stage.pool.execute("alter table handoff_elsewhere rename to handoff")
        await page.get_by_role("link", name="Try again").click()
        await expect(page.locator("[data-screen=start]")).to_be_visible()


async def test_too_many_clicks_are_asked_to_wait(stage: Stage) -> None:
    _, link = await stage.a_link()
    async with another_process(stage, REGRANT_LIMITS__ADDRESS="1") as address, stage.window() as page:
        there = link.replace(stage.platform.deployment.url, address)
        for _ in range(2):
            await page.goto(there)
            await page.evaluate("document.querySelector('[name=csrf]').value = '0'.repeat(64)")
            await page.locator("[data-primary] button").click()
        await stage.sees(page, "too-many")


async def test_our_broker_away_holds_nobody_up(stage: Stage) -> None:
    books = await stage.failed()
    link = await books.opened()
    await stage.platform.deployment.stop()
    away = f"127.0.0.1:{free_port()}"
    port = stage.platform.deployment.url.rsplit(":", 1)[1]
    async with another_process(stage, REGRANT_KAFKA__BOOTSTRAP=away, REGRANT_HTTP__PORT=port), stage.window() as page:
        await books.reconnects(page, link)
        await stage.sees(page, "broker-away")
        await expect(page.locator(".lines .now")).to_contain_text("Starting the sync")
    await stage.platform.deployment.start()
    await books.state(State.HEALTHY)


@asynccontextmanager
async def another_process(stage: Stage, **settings: str) -> AsyncIterator[str]:
    """Another process of the service on the same database, with other settings: its address."""
    port = settings.get("REGRANT_HTTP__PORT") or str(free_port())
    address = f"http://127.0.0.1:{port}"
    environment = {
        **stage.platform.deployment.environment,
        "REGRANT_HTTP__PORT": port,
        "REGRANT_HTTP__PUBLIC_URL": address,
        **settings,
    }
    with contextlib.closing(Supervisor()) as supervisor:
        words = [sys.executable, "-m", "service.cli", "serve", "--role", "api"]
        supervisor.start(words, log=supervisor.folder / "another.log", env=environment)
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                try:
                    async with session.get(f"{address}/readyz") as response:
                        return response.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await eventually(ready, "the other process listens")
        yield address


def callback_of(stage: Stage) -> str:
    return f"{stage.platform.deployment.url}/oauth/callback/{QUICKBOOKS}"
