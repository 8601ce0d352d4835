"""Probes while the database is away: a minute of that restarts nothing, and takes a pod out only after the grace."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from service.demo.embedded import EmbeddedPostgres, Supervisor
from service.http import health
from service.http.health import DATABASE_GRACE_S, Probes
from service.store.migrate import migrate
from service.store.pool import open_pool


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return self.ahead


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with contextlib.closing(Supervisor()) as supervisor:
        yield supervisor


async def test_a_minute_without_a_database_restarts_nothing_and_readiness_goes_after_the_grace(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, aiohttp_client: Callable[..., Awaitable[Any]]
) -> None:
    clock, draining = Clock(), asyncio.Event()
    monkeypatch.setattr(health, "time", clock)
    postgres = EmbeddedPostgres(supervisor)
    await postgres.start()
    connection = await asyncpg.connect(postgres.dsn)
    await migrate(connection, shards=1)
    await connection.close()
    pool = await open_pool(postgres.dsn, size=2)
    app = web.Application()
    Probes(pool, draining.is_set).add_to(app)
    client = await aiohttp_client(app)

    async def status(path: str) -> int:
        return int((await client.get(path)).status)

    assert (await status("/livez"), await status("/readyz")) == (200, 200)
    postgres.kill()
    clock.ahead = DATABASE_GRACE_S - 1
    assert (await status("/livez"), await status("/readyz")) == (200, 200)
    for clock.ahead in (DATABASE_GRACE_S, 30.0, 60.0):
        assert (await status("/livez"), await status("/readyz")) == (200, 503)
    assert (await (await client.get("/readyz?verbose")).json())["database"] is False
    await postgres.start()
    assert (await status("/livez"), await status("/readyz")) == (200, 200), "at once, by itself"
    draining.set()
    assert (await status("/livez"), await status("/readyz")) == (200, 503)
    pool.terminate()
