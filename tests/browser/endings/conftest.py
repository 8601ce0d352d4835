"""One platform and one browser for all endings of a file."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests import markers
from tests.browser.endings.stage import Stage, stage_on
from tests.browser.set_up import FLAGS, find_browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(postgres_server: str, kafka_bootstrap: str, marker_hunt: markers.Hunt) -> AsyncIterator[Stage]:
    found = find_browser()
    assert found is not None, "no browser: python -m tests.browser.set_up"
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f"create database {name}")
    dsn = postgres_server.rsplit("/", 1)[0] + f"/{name}"
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=str(found), args=FLAGS)
            async with stage_on(dsn, kafka_bootstrap, f"t{uuid.uuid4().hex[:10]}.", browser) as stage:
                yield stage
            await browser.close()
        await markers.look_into_database(marker_hunt, dsn)
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


@pytest.fixture(autouse=True)
def nothing_is_wrong(stage: Stage) -> None:
    """Each test begins with a provider that works."""
    stage.simulator.faults.lift_all()
