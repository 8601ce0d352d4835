"""What the tests of couriers share: looks that come often, a process that delivers, and how an endpoint stands."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from schemas.ids import Shard
from service.app import deliver
from service.couriers import couriers as module
from service.couriers.couriers import AnyEndpoint, Couriers
from service.couriers.schedule import Schedule
from service.engine.door import Engine
from service.store import couriers as store
from service.store.couriers import Standing
from service.store.pool import Pool
from tests.integration.test_engine import SHARDS, pool_of
from tests.loop import eventually
from tests.window import Running

SOON = timedelta(milliseconds=20)
QUICK = Schedule(pauses=(SOON,) * 1000, probes=(SOON,))


def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only looked at now and then is looked at often."""
    monkeypatch.setattr(module, "POLL_S", 0.02)
    monkeypatch.setattr("service.couriers.courier.AGAIN_EVERY_S", 0.02)
    monkeypatch.setattr("service.couriers.courier.RESTART_S", 0.02)


@asynccontextmanager
async def delivering(engine: Engine, endpoint: AnyEndpoint, schedule: Schedule = QUICK) -> AsyncIterator[None]:
    """A process delivers as long as the block lasts; it ends as if it were killed.

    The block begins once the endpoint has its place in every shard: it is told what happens from then on.
    """
    pool = pool_of(engine)
    engine.relayed.update(map(Shard, range(SHARDS)))

    async def placed() -> bool:
        count = "select count(*) from webhook_cursor where endpoint = $1"
        return bool(await pool.fetchval(count, endpoint.name) == SHARDS)

    task = asyncio.create_task(Couriers(engine, pool, [endpoint], schedule).run())
    try:
        await eventually(placed, "the cursors")
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def standing(pool: Pool, endpoint: str) -> Standing:
    """How the endpoint stands now."""
    async with pool.acquire() as connection:
        (found,) = await store.standings(connection, [endpoint])
    return found


async def stands(pool: Pool, endpoint: str, how: Callable[[Standing], bool], what: str) -> Standing:
    """How the endpoint stands, once it stands so."""

    async def there() -> Standing | None:
        now = await standing(pool, endpoint)
        return now if how(now) else None

    found: Standing = await eventually(there, what)
    return found


@asynccontextmanager
async def working(service: Running) -> AsyncIterator[None]:
    """A worker of the whole service, which delivers, too."""
    delivers = asyncio.create_task(deliver(service.loop.service))
    await service.loop.take_over()
    try:
        yield
    finally:
        await service.loop.stop_worker()
        delivers.cancel()
        await asyncio.gather(delivers, return_exceptions=True)
