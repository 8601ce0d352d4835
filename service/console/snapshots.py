"""The fleet now, as everybody of a tenant sees it: asked once a second at most, however many look."""

import asyncio

from aiohttp import web

from schemas.routes import Scope
from service.console.visit import Json, Visit

AT_MOST_EVERY_S = 1.0


class Snapshots:
    """The newest answer for each tenant, and for who speaks for all of them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Json]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def latest(self, visit: Visit) -> Json:
        """Not older than a second. Raises `Told`, and `ApiProblem` for who may not see it."""
        visit.viewer.caller.check(Scope.FLEET_READ)  # the answer may have been another's
        tenant, clock = visit.viewer.tenant, asyncio.get_running_loop().time
        async with self._asking.setdefault(tenant, asyncio.Lock()):
            at, fleet = self._known.get(tenant, (-AT_MOST_EVERY_S, {}))
            if clock() - at >= AT_MOST_EVERY_S * 0.9:
                fleet = await visit.ask("get_fleet")
                self._known[tenant] = (clock(), fleet)
            return fleet


SNAPSHOTS = web.AppKey("snapshots", Snapshots)


async def latest(visit: Visit) -> Json:
    """The fleet now."""
    return await visit.request.app[SNAPSHOTS].latest(visit)
