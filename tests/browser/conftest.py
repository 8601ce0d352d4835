"""A real browser on the demo's platform."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from service.demo.platform import Platform
from service.demo.set_up import connect_drivewell
from tests.browser.set_up import FLAGS, find_browser
from tests.platforms import platform_on

SCREENS = Path("build/screens")

expect.set_options(timeout=20_000)
"""How long a page may take on a busy machine, in milliseconds; what is there already costs no waiting."""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    found = find_browser()
    assert found is not None, "no browser: python -m tests.browser.set_up"
    SCREENS.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(found), args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def platform(database: str, kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[Platform]:
    """Drivewell with three connectors, one of which has failed."""
    async with platform_on(database, kafka_bootstrap, topic_prefix) as platform:
        await connect_drivewell(platform, lambda said: None)
        yield platform
