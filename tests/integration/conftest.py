"""The service with its window, for the tests of the flow."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.window import Running, Services, running


@pytest.fixture
def services(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Services:
    """Starts one with these settings beside the tests' own, as often as it is called."""
    return lambda **more: running(database, kafka_bootstrap, topic_prefix, tmp_path, more=more)


@pytest.fixture
async def service(services: Services) -> AsyncIterator[Running]:
    async with services() as service:
        yield service
