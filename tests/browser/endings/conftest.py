"""One platform and one browser for all endings of a file."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.browser.endings.stage import Stage, stage_on
from tests.browser.set_up import FLAGS, find_browser
from tests.databases import database_on


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(postgres_server: str, kafka_bootstrap: str) -> AsyncIterator[Stage]:
    found = find_browser()
    assert found is not None, "no browser: python -m tests.browser.set_up"
    async with database_on(postgres_server) as dsn, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(found), args=FLAGS)
        async with stage_on(dsn, kafka_bootstrap, f"t{uuid.uuid4().hex[:10]}.", browser) as stage:
            yield stage
        await browser.close()


@pytest.fixture(autouse=True)
def nothing_is_wrong(stage: Stage) -> None:
    """Each test begins with a provider that works."""
    stage.simulator.faults.lift_all()
