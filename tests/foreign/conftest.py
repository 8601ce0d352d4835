"""A module's house: one service and one foreign server for all its tests. Each test has a connector of its own."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.databases import database_on
from tests.foreign.stage import Stage, house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def foreign(
    postgres_server: str, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("foreign")
    async with (
        database_on(postgres_server) as dsn,
        house(dsn, kafka_bootstrap, f"t{uuid.uuid4().hex[:10]}.", folder) as opened,
    ):
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def stage(foreign: Stage) -> Stage:
    """A connector of its own, which went through its first connection."""
    staged = Stage(foreign.running, foreign.server)
    await staged.connected()
    return staged
