"""The console in a real browser: live without reloading, the same without script, and no complaint of the policy."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from schemas.ids import ConnectorId, ProviderId, TenantId
from schemas.lifecycle import ActorKind, State
from statemachine import inputs as say
from tests.browser.conftest import SCREENS
from tests.browser.test_accessibility import RULES
from tests.console import Console, console_on
from tests.foreign.set_up import node_modules

pytestmark = pytest.mark.browser

SHOTS = SCREENS / "console"
LETTER = """
insert into dead_letter (
    shard, seq, at, topic, partition, record_offset, record_key, record_value, header_names, header_values, code, detail
) values (0, 900001, now() - interval '2 hours', 't.connectors.sync.events.v1', 0, 9912, 'c003', '{}', '{}', '{}',
    'schema', 'started_at: datetime_parsing')
"""
BEHIND = """
insert into webhook_cursor (endpoint, shard, seq, accepted_at, failing_since, failure)
select 'crm', shard, 0, now() - interval '3 hours', now() - interval '2 hours', 'status 503' from shard
"""
GIVEN_UP = """
insert into webhook_given_up (endpoint, connector, version, since, tries, failure)
select 'crm', connector, version, now() - interval '3 days', 15, 'status 422' from transition order by seq limit 2
"""
PAGES = {
    "overview": "/console",
    "connectors": "/console/connectors?state=failed",
    "funnel": "/console/funnel",
    "times": "/console/times",
    "errors": "/console/errors",
    "expiring": "/console/expiring?within=365",
    "providers": "/console/providers",
    "provider": "/console/providers/quickbooks-online",
    "dead-letters": "/console/dead-letters",
    "dead-letter": "/console/dead-letters/0-900001",
    "webhooks": "/console/webhooks",
}


@pytest.fixture
async def console(database: str, tmp_path: Path) -> AsyncIterator[Console]:
    async with console_on(database, tmp_path, connectors=30, steps=400) as console:
        for statement in (LETTER, BEHIND, GIVEN_UP):
            await console.pool.execute(statement)
        yield console


async def opened(console: Console, page: Page) -> list[str]:
    """Comes in by a link; returns what the browser will complain of from here on."""
    await page.goto(await console.link())
    await page.get_by_role("button", name="Open the console").click()
    await expect(page.locator("[data-picture]")).to_be_visible()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


async def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


async def a_failed_one(console: Console) -> str:
    """The address of the page of a connector that has failed."""
    row = await console.pool.fetchrow(
        "select tenant_id, connector_id from connector where state = 'failed' order by version desc limit 1"
    )
    assert row is not None
    return f"/console/connectors/{row['tenant_id']}/{row['connector_id']}"


async def test_the_picture_is_live_without_reloading_and_drops_what_comes_too_late(
    console: Console, browser: Browser
) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 1000})
    complaints = await opened(console, page)
    await expect(page.locator("[data-live]")).to_have_text("live")
    healthy = page.locator("[data-node=healthy] [data-count]")
    before = await console.pool.fetchval("select count(*) from connector where state = 'healthy'")
    await expect(healthy).to_have_text(str(before))
    await shot(page, "overview-light")
    await page.evaluate("document.querySelector('h1').dataset.stays = 'yes'")
    new = say.Register(
        connector=ConnectorId("c-new"),
        tenant=TenantId("acme"),
        provider=ProviderId("quickbooks-online"),
        name="New books",
        connected=True,
    )
    await console.herd.say(new, by=ActorKind.HOST)
    await expect(healthy).to_have_text(str(before + 1))
    assert await page.evaluate("document.querySelector('h1').dataset.stays") == "yes", "the page was loaded again"
    late = {
        "at": "2020-01-01T00:00:00Z",
        "nodes": {"healthy": {"count": "7777", "share": "", "some": True}},
        "arrows": {},
    }
    await page.evaluate(
        "data => document.dispatchEvent(new CustomEvent('htmx:sseBeforeMessage', {detail: {type: 'picture', data}}))",
        json.dumps(late),
    )
    await expect(healthy).to_have_text(str(before + 1))
    await page.locator("[data-node=failed]").click()
    await expect(page.get_by_role("heading", name="Connectors")).to_be_visible()
    assert await page.locator("td .state:not(.failed)").count() == 0
    assert complaints == []


async def test_p24_a_connectors_page_says_why_with_its_proof_and_the_path_that_it_walked(
    console: Console, browser: Browser
) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 1000})
    complaints = await opened(console, page)
    address = await a_failed_one(console)
    await page.goto(console.origin + address)
    why = page.locator("section.why")
    await expect(why.get_by_role("heading")).to_have_text("Why is it in this state?")
    assert 1 <= await why.locator(".proof > li").count() <= 3
    await expect(page.locator(".node.here")).to_have_attribute("data-node", "failed")
    assert await page.locator(".arrow.walked[data-arrow]").count() > 0
    assert await page.locator(".timeline > li").count() > 1
    await shot(page, "connector-light")
    shown = await page.locator("#story").get_attribute("data-version")
    renamed = say.Update(connector=ConnectorId(address.rpartition("/")[2]), name="Renamed while somebody looks")
    await console.herd.say(renamed, by=ActorKind.HOST)
    await expect(page.locator("h1")).to_contain_text("Renamed while somebody looks")
    assert await page.locator("#story").get_attribute("data-version") != shown
    await page.get_by_role("link", name="Disconnect …").click()
    await expect(page.get_by_role("heading", name="Disconnect")).to_be_visible()
    await page.get_by_role("button", name="Disconnect it").click()
    await expect(page.locator("h1 .state")).to_have_text("Disconnected")
    await expect(page.locator(".timeline > li").first).to_contain_text("an operator (Kim from support)")
    assert complaints == []


async def violations(page: Page) -> list[str]:
    """What axe finds (WCAG 2.2 AA and good practice): each rule with where it is broken."""
    axe = (Path(node_modules()) / "axe-core" / "axe.min.js").read_text()
    await page.evaluate(axe)  # evaluated, since the page's policy lets no script in
    told: list[str] = await page.evaluate(
        """async rules => {
            const found = await axe.run(document, { runOnly: { type: "tag", values: rules } });
            return found.violations.map(one => `${one.id}: ${one.nodes[0].html}`);
        }""",
        list(RULES),
    )
    return told


async def test_every_page_is_whole_in_dark_and_on_a_phone_and_axe_finds_nothing(
    console: Console, browser: Browser
) -> None:
    context = await browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="dark")
    page = await context.new_page()
    complaints = await opened(console, page)
    for name, address in {**PAGES, "connector": await a_failed_one(console)}.items():
        await page.set_viewport_size({"width": 1440, "height": 1000})
        answer = await page.goto(console.origin + address)
        assert answer is not None
        assert (answer.status, name) == (200, name)
        await expect(page.locator("h1")).to_be_visible()
        assert (name, await violations(page)) == (name, [])
        await shot(page, f"{name}-dark")
        await page.set_viewport_size({"width": 320, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, name
        assert (name, await violations(page)) == (name, [])
    assert complaints == []


async def test_the_list_narrows_as_one_types_and_goes_back_in_time(console: Console, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 1000})
    complaints = await opened(console, page)
    before = await console.pool.fetchval("select now()")
    await page.goto(f"{console.origin}/console/connectors")
    await page.get_by_label("Id, name or account").fill("c00")
    await expect(page).to_have_url(re.compile("q=c00"))
    ids = await page.locator("#found tbody td:first-child small").all_text_contents()
    assert ids
    assert all(id_.startswith("c00") for id_ in ids)
    gone = next(c for c in console.herd.known.values() if c.state is State.HEALTHY)
    await console.herd.say(say.Delete(connector=gone.id), by=ActorKind.HOST)
    address = f"/console/connectors/{gone.tenant}/{gone.id}"
    answer = await page.goto(console.origin + address)
    assert answer is not None
    assert answer.status == 404
    complaints.clear()  # the browser says so, too
    await page.goto(f"{console.origin}{address}?as_of={before:%Y-%m-%dT%H:%M:%SZ}")
    await expect(page.locator(".travel.then")).to_contain_text("rebuilt from the log")
    await expect(page.locator("h1 .state")).to_have_text("Healthy")
    assert complaints == []


async def test_an_arrow_leads_to_who_took_it_and_a_credential_is_verified_again(
    console: Console, browser: Browser
) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 1000})
    complaints = await opened(console, page)
    arrow = page.locator("[data-arrow=healthy-failed]")
    await arrow.focus()
    await arrow.press("Enter")
    await expect(page.locator("header.top .lead")).to_contain_text("Healthy → Failed")
    took = await console.pool.fetch(
        "select distinct c.connector_id from transition t join connector c on c.id = t.connector"
        " where t.from_state = 'healthy' and t.to_state = 'failed' and c.state <> 'deleted'"
    )
    ids = await page.locator("#found tbody td:first-child small").all_text_contents()
    assert ids == sorted(row["connector_id"] for row in took)
    await page.get_by_label("State").select_option("failed")
    await expect(page).to_have_url(re.compile("state=failed.*moved_from=healthy.*moved_to=failed"))

    row = await console.pool.fetchrow(
        "select tenant_id, connector_id from connector where state = 'failed' and generation > 0 limit 1"
    )
    assert row is not None
    await page.goto(f"{console.origin}/console/connectors/{row['tenant_id']}/{row['connector_id']}")
    await page.get_by_role("button", name="Verify again").click()
    await expect(page.locator("h1")).to_contain_text("The saved sign-in is still refused")  # nothing real was sealed
    await page.get_by_role("link", name="Back to").click()
    await expect(page.locator(".timeline > li").first).to_contain_text(
        "verified again by an operator (Kim from support)"
    )
    assert complaints == []


async def test_p25_a_bundle_is_a_file_and_a_letter_is_replayed(console: Console, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 1000})
    complaints = await opened(console, page)
    address = await a_failed_one(console)
    await page.goto(console.origin + address)
    async with page.expect_download() as begun:
        await page.get_by_role("link", name="Support bundle").click()
    download = await begun.value
    id_ = address.rpartition("/")[2]
    assert download.suggested_filename == f"regrant-{id_}.json"
    assert json.loads(Path(await download.path()).read_text())["connector"]["connector_id"] == id_

    await page.goto(f"{console.origin}{PAGES['dead-letter']}")
    await page.get_by_role("button", name="Replay it").click()
    await expect(page.get_by_role("main")).to_contain_text("by Kim from support")
    await expect(page.get_by_role("button", name="Replay it")).to_have_count(0)
    fates = await console.pool.fetch("select fate, decided_by from dead_letter_fate")
    assert [tuple(row) for row in fates] == [("replay", "Kim from support")]
    assert complaints == []


async def test_an_event_that_a_host_never_took_is_sent_again(console: Console, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 1000})
    complaints = await opened(console, page)
    await page.get_by_role("link", name="Webhooks").click()
    again = page.get_by_role("button", name="Send it again")
    await expect(again).to_have_count(2)
    await again.first.click()
    await expect(again).to_have_count(1)
    await expect(page.get_by_role("main")).to_contain_text("asked")
    audit = await console.pool.fetch("select connector_id, actor from audit where what = 'webhook_send_again'")
    asked = await console.pool.fetchval(
        "select connector_id from webhook_given_up join connector on id = connector where asked_at is not null"
    )
    assert [row["connector_id"] for row in audit] == [asked]
    assert "Kim from support" in audit[0]["actor"]
    assert complaints == []


async def test_everything_works_with_script_off(console: Console, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await opened(console, page)
    await page.get_by_role("link", name="Connectors", exact=True).click()
    await page.get_by_label("State").select_option("failed")
    await page.get_by_role("button", name="Show").click()
    await page.locator("#found a.name").first.click()
    await expect(page.get_by_role("heading", name="Why is it in this state?")).to_be_visible()
    await page.get_by_role("link", name="Dead letters").click()
    await page.locator("#found a.name").first.click()
    await page.get_by_role("button", name="Drop it").click()
    await expect(page.get_by_role("main")).to_contain_text("Dropped by Kim from support")
    await page.get_by_role("link", name="Overview").click()
    await page.get_by_label("Go back").fill("100")
    await page.get_by_role("button", name="Go", exact=True).click()
    await expect(page.locator(".travel.then")).to_be_visible()
    await page.get_by_role("button", name="Leave").click()
    await expect(page.get_by_role("heading")).to_have_text("You have left")
