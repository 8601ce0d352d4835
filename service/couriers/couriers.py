"""The couriers of a process: one for each endpoint and each shard that this process owns.

The log's end is asked for once for all of them. Who owns a shard is the relay's business: this only follows it, and
each cursor has a fence of its own.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from schemas.ids import Shard
from service.couriers.courier import Courier
from service.couriers.endpoint import Endpoint
from service.couriers.schedule import Schedule
from service.engine.door import Engine
from service.store import feed
from service.store.pool import TRANSIENT, Pool

log = structlog.get_logger()

AnyEndpoint = Endpoint[Any]
"""Any: what is told of a row is the endpoint's own business."""

POLL_S = 0.5
"""How soon an event is seen here."""


class Couriers:
    """Delivers until cancelled. A fault in here never ends the process: nothing else waits for it."""

    def __init__(
        self, engine: Engine, pool: Pool, endpoints: Sequence[AnyEndpoint], schedule: Schedule | None = None
    ) -> None:
        self._engine, self._pool, self._endpoints = engine, pool, endpoints
        self._schedule = schedule or Schedule()
        self._running: dict[Shard, list[tuple[Courier[Any], asyncio.Task[None]]]] = {}

    async def run(self) -> None:
        if not self._endpoints:
            return
        try:
            while True:
                try:
                    await self._look()
                except TRANSIENT as error:
                    log.warning("couriers_wait", error=type(error).__name__)
                await asyncio.sleep(POLL_S)
        finally:
            await self._stop(set(self._running))

    async def _look(self) -> None:
        owned = set(self._engine.relayed)
        await self._stop(set(self._running) - owned)
        for shard in owned:
            if shard not in self._running or any(task.done() for _, task in self._running[shard]):
                await self._stop({shard} & self._running.keys())
                self._running[shard] = [self._start(endpoint, shard) for endpoint in self._endpoints]
        async with self._pool.acquire() as connection:
            logged = await feed.logged(connection)
        for shard, running in self._running.items():
            for courier, _ in running:
                if logged[shard] > courier.logged:
                    courier.logged = logged[shard]
                    courier.grew.set()

    def _start(self, endpoint: AnyEndpoint, shard: Shard) -> tuple[Courier[Any], "asyncio.Task[None]"]:
        courier = Courier(endpoint, shard, self._pool, self._schedule)
        return courier, asyncio.create_task(courier.run(), name=f"courier-{endpoint.name}-{shard}")

    async def _stop(self, shards: set[Shard]) -> None:
        for shard in shards:
            running = self._running.pop(shard)
            for _, task in running:
                task.cancel()
            for error in await asyncio.gather(*(task for _, task in running), return_exceptions=True):
                if isinstance(error, Exception):
                    log.error("courier_broke", shard=shard, exc_info=error)
