"""A module's house: one service and one foreign server for all its tests. Each test has a connector of its own."""

import re
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from tests import markers
from tests.foreign.stage import Stage, house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def foreign(
    postgres_server: str,
    kafka_bootstrap: str,
    tmp_path_factory: pytest.TempPathFactory,
    marker_hunt: markers.Hunt,
) -> AsyncIterator[Stage]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    dsn = re.sub(r"/[^/]*$", f"/{name}", postgres_server)
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f"create database {name}")
    try:
        async with house(dsn, kafka_bootstrap, f"{name}.", tmp_path_factory.mktemp("foreign")) as opened:
            yield opened
        await markers.look_into_database(marker_hunt, dsn)
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(foreign: Stage) -> Stage:
    """A connector of its own, which went through its first connection."""
    staged = Stage(foreign.running, foreign.server)
    await staged.connected()
    return staged
