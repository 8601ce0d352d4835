"""Drivewell, the demo's host, on the real service: its page, its live updates, its backend's three calls to regrant."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import aiohttp
import asyncpg
import orjson
import pytest
from rich.console import Console

from schemas.lifecycle import State
from service.demo.embedded.child import Supervisor, free_port
from service.demo.host.app import TENANT
from service.demo.platform import Platform, Ports, Servers, running_platform
from service.demo.set_up import CONNECTORS, FAILING, connect_drivewell
from service.demo.simulator.seed import DRIVEWELL_CANADA, OLIVIA, PASSWORD
from service.demo.steps import Steps

PATIENCE_S = 20
CANADA = "qbo-drivewell-canada"
BY_SCRIPT = {"Accept": "application/json"}


@pytest.fixture
async def platform(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform with Drivewell's connectors, one of them failed."""
    servers = asyncio.get_running_loop().create_future()
    servers.set_result(Servers(database, kafka_bootstrap, topic_prefix))
    ports = Ports(free_port(), free_port(), free_port())
    steps = Steps(Console(quiet=True))
    with closing(Supervisor(tmp_path)) as supervisor:
        async with running_platform(supervisor, steps, "test", servers, ports) as platform:
            await connect_drivewell(platform, lambda message: None)
            yield platform


@pytest.fixture
async def browser(platform: Platform) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser that has been on Drivewell's page, and so is signed in there."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(platform.host.url, cookie_jar=jar) as session:
        async with session.get("/connections") as response:
            assert response.status == 200
        yield session


async def row_in(platform: Platform, connector: str, state: State) -> None:
    """Waits until the host's own consumer has told its page of a state."""
    async with asyncio.timeout(PATIENCE_S):
        while connector not in platform.host.board.rows or platform.host.board.rows[connector].state is not state:
            await asyncio.sleep(0.02)


async def told(platform: Platform, text: str) -> None:
    """Waits until a notification says so."""
    async with asyncio.timeout(PATIENCE_S):
        while not any(text in told.text for told in platform.host.board.notices):
            await asyncio.sleep(0.02)


async def test_the_page_lists_each_connector_with_its_state_and_the_reason_in_words(
    platform: Platform, browser: aiohttp.ClientSession
) -> None:
    await row_in(platform, FAILING, State.FAILED)
    await told(platform, "needs somebody to sign in")
    async with browser.get("/connections") as response:
        page = await response.text()
    assert set(re.findall(r'data-connector="([^"]+)"', page)) == set(CONNECTORS)
    failing = page.split(f'id="row-{FAILING}"')[1].split("</li>")[0]
    assert "Needs attention" in failing and "The sign-in has expired" in failing and "Edit credentials" in failing
    assert "needs somebody to sign in" in page.split('id="notices"')[1].split("</section>")[0]


async def test_p28_the_link_of_a_notification_leads_to_a_fresh_handoff(
    platform: Platform, browser: aiohttp.ClientSession
) -> None:
    link = f"{platform.deployment.url}/reconnect/quickbooks-online/{FAILING}"
    async with browser.get(link) as window:
        assert str(window.url).startswith(f"{platform.deployment.url}/connect/")
        assert "Reconnect QuickBooks" in await window.text()
    async with aiohttp.ClientSession() as stranger, stranger.get(link) as page:
        assert str(page.url) == f"{platform.host.url}/connections", "nobody is signed in"


async def test_an_open_page_is_told_of_every_change(platform: Platform, browser: aiohttp.ClientSession) -> None:
    async with browser.get("/connections/events") as stream, asyncio.timeout(PATIENCE_S):
        platform.simulator.world.grants.disconnect(DRIVEWELL_CANADA)
        await platform.sync_engine.sync_now(CANADA, TENANT)
        kind = b""
        async for line in stream.content:
            name, _, text = line.strip().partition(b": ")
            if name == b"event":
                kind = text
            if name == b"data" and kind == b"row":
                row = orjson.loads(text)
                if row["id"] == CANADA and 'data-state="failed"' in row["html"]:
                    break
    assert "Access to the company was withdrawn" in row["html"]


async def test_p21_a_sign_in_that_ends_soon_is_told_with_its_day_and_can_be_renewed_at_once(
    platform: Platform, browser: aiohttp.ClientSession
) -> None:
    await row_in(platform, CANADA, State.HEALTHY)
    connection = await asyncpg.connect(platform.deployment.dsn)
    try:  # an end that was known for long, and is near: the service's own timer finds it due
        ends = await connection.fetchval(
            "update credential k set made_at = now() - interval '80 days', hard_expires_at = now() + interval '6 days'"
            " from connector c where c.id = k.connector and c.connector_id = $1 and k.status = 'current'"
            " returning hard_expires_at",
            CANADA,
        )
    finally:
        await connection.close()

    day = f"{ends:%-d %B %Y}"
    await told(platform, f"works until {day}")
    async with asyncio.timeout(PATIENCE_S):  # the list follows another topic than the notifications
        while platform.host.board.rows[CANADA].ends is None:
            await asyncio.sleep(0.02)
    async with browser.get("/connections") as response:
        page = await response.text()
    row = page.split(f'id="row-{CANADA}"')[1].split("</li>")[0]
    assert "Sign-in ends soon" in row and day in row and "Edit credentials" in row


async def test_edit_credentials_gives_the_script_a_link_and_a_closed_window_gives_the_attempt_up(
    platform: Platform, browser: aiohttp.ClientSession
) -> None:
    async with browser.post(f"/connections/{FAILING}/attempts", headers=BY_SCRIPT) as response:
        assert response.status == 201
        attempt = await response.json()
    assert attempt["url"].startswith(f"{platform.deployment.url}/connect/")
    await row_in(platform, FAILING, State.AWAITING_AUTH)
    async with browser.post(f"/attempts/{attempt['attempt_id']}/cancel") as response:
        assert response.status == 204
    await row_in(platform, FAILING, State.FAILED)
    assert platform.host.board.rows[FAILING].last_try == "You stopped before the end"


async def test_without_a_script_the_menu_leads_to_the_window_and_the_way_back_ends_healthy(
    platform: Platform,
) -> None:
    async with platform.person(OLIVIA, PASSWORD) as olivia:
        await olivia.look(platform.host.url)
        async with olivia.session.post(
            f"{platform.host.url}/connections/{FAILING}/attempts", allow_redirects=False
        ) as response:
            assert response.status == 303
            link = response.headers["Location"]
        screen = await olivia.wait(await olivia.reconnect(link, company="Drivewell Inc"), PATIENCE_S)
    assert screen.name == "connected"
    await row_in(platform, FAILING, State.HEALTHY)
    await told(platform, "works again")


async def test_nobody_but_the_signed_in_browser_reaches_the_backend(platform: Platform) -> None:
    attempt = "00000000-0000-4000-8000-000000000000"
    async with aiohttp.ClientSession(platform.host.url) as stranger:
        for method, path in (
            ("POST", f"/connections/{FAILING}/attempts"),
            ("POST", f"/connections/{FAILING}/sync"),
            ("POST", f"/attempts/{attempt}/cancel"),
            ("POST", "/demo/expire"),
            ("GET", f"/connections/complete?attempt_id={attempt}&completion_token=x"),
        ):
            async with stranger.request(method, path, allow_redirects=False) as response:
                assert response.status == 403, path


async def test_another_sites_page_cant_press_a_button_here(platform: Platform, browser: aiohttp.ClientSession) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    async with browser.post(f"/connections/{FAILING}/attempts", headers=headers) as response:
        assert response.status == 403
    assert (await platform.regrant.get(f"/v1/connectors/{FAILING}"))["state"] == State.FAILED


async def test_a_completion_that_regrant_refuses_is_told_in_words(
    platform: Platform, browser: aiohttp.ClientSession
) -> None:
    attempt = await platform.regrant.post(
        f"/v1/connectors/{FAILING}/attempts", {"person": {"id": "u-olivia", "name": "Olivia Marsh"}}
    )
    query = f"attempt_id={attempt['attempt_id']}&completion_token={'x' * 43}"
    async with browser.get(f"/connections/complete?{query}", allow_redirects=False) as response:
        assert response.status == 403
        assert "wasn't completed" in (await response.text()).replace("&#39;", "'")


async def test_the_demos_buttons_make_the_provider_misbehave(
    platform: Platform, browser: aiohttp.ClientSession
) -> None:
    async with browser.post(f"/demo/end-subscription?realm={DRIVEWELL_CANADA}") as response:
        assert "subscription has ended" in (await response.json())["said"]
    await row_in(platform, CANADA, State.FAILED)
    assert not platform.host.board.rows[CANADA].offers_login
    async with browser.post(f"/demo/renew-subscription?realm={DRIVEWELL_CANADA}") as response:
        assert response.status == 200
    await row_in(platform, CANADA, State.HEALTHY)


async def test_drivewells_own_page_leads_its_support_into_the_console(
    platform: Platform, browser: aiohttp.ClientSession
) -> None:
    async with browser.get("/console") as response:
        page, link = await response.text(), response.url
    assert "You come in as Sam from support" in page
    csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert csrf is not None
    async with browser.post(link, data={"csrf": csrf[1]}, headers={"Sec-Fetch-Site": "same-origin"}) as response:
        assert response.url.path == "/console"
        assert "sees every tenant" in await response.text()
    async with browser.get(f"{platform.deployment.url}/console/connectors/{TENANT}/{FAILING}") as response:
        assert "Why is it in this state?" in await response.text()
