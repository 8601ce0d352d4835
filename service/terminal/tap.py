"""`regrant tap`: what happens, as it happens, a line each; from the log, so nothing that is committed is missed."""

from collections.abc import AsyncIterator
from math import inf

import orjson

from schemas.ids import TenantId
from service.insight.entries import of_record
from service.insight.feed import Feed
from service.settings import Settings
from service.store.feed import Happened
from service.store.pool import open_pool
from service.terminal.tables import in_colour_of, when


async def tap(settings: Settings, tenant: str | None, most: int | None, *, as_json: bool) -> AsyncIterator[str]:
    """Lines, from now on; the first so many, or for ever."""
    async with await open_pool(settings.database.dsn.reveal(), size=2) as pool:
        log, left = Feed(pool), most
        position = await log.end()
        async for _, one in log.follow("tap", TenantId(tenant) if tenant else None, position, inf):
            if one is None:
                continue
            yield one.record if as_json else line(one)
            if left is not None and (left := left - 1) <= 0:
                return


def line(one: Happened) -> str:
    """A transition for people."""
    record = orjson.loads(one.record)
    told = of_record(record)
    assert told.source is not None and told.to is not None
    by = f"{told.actor.kind} {told.actor.id}" if told.actor.id else told.actor.kind
    reason = f" ({told.reason})" if told.reason else ""
    way = f"{in_colour_of(told.source)} → {in_colour_of(told.to)}"
    return f"{when(told.at)}  {one.tenant}  {one.connector}  v{told.version}  {way}  {told.trigger}{reason}  by {by}"
