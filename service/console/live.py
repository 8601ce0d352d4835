"""What changes while a page is open: server-sent events with the picture's numbers, and each connector that moves.

Every snapshot is whole, so a lost one is made good by the next, and the browser drops what is older than it shows.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeAlias

import orjson
from aiohttp import web

from schemas.lifecycle import State
from service.console import overview
from service.console.snapshots import AT_MOST_EVERY_S, latest
from service.console.visit import Json, Told, Visit
from service.http.streams import EventStream
from service.picture.lifecycle import drawn

AT_LEAST_EVERY_S = 15.0
"""Rates sink while nothing happens, and a proxy closes what says nothing."""
LASTS_S = 600.0
"""The browser comes back by itself, and is asked again who it is."""
MOST_MOVES = 24
"""In a second: dots on the picture, which shows the rest as numbers."""

Events: TypeAlias = AsyncGenerator[bytes, None]

_ARROW_OF = {pair: arrow.id for arrow in drawn() for pair in arrow.pairs}


async def fleet(visit: Visit) -> web.StreamResponse:
    """For the overview."""
    return await EventStream(_fleet(visit, await _events(visit))).send(visit.request)


async def connector(visit: Visit) -> web.StreamResponse:
    """For a connector's page: says that it moved."""
    one = visit.request.match_info["connector"]
    return await EventStream(_one(await _events(visit), one)).send(visit.request)


async def _events(visit: Visit) -> Events:
    return await visit.api.follow("follow_events", visit.viewer.caller)


async def _fleet(visit: Visit, events: Events) -> AsyncGenerator[bytes, None]:
    names, moves = await visit.provider_names(), 0
    async for moved in _paced(events):
        if moved is not None:
            moves += 1
            arrow = _ARROW_OF.get((State(moved["from"]), State(moved["to"])))
            if arrow is not None and moves <= MOST_MOVES:
                yield _event("moved", orjson.dumps({"arrow": arrow, "to": moved["to"]}))
            continue
        moves = 0
        try:
            fleet = await latest(visit)
        except Told:
            continue  # the database is away: the next one may be there
        yield _event("picture", orjson.dumps(overview.picture(fleet, {}).live()))
        yield _event("sentence", visit.pages.part("sentence.html", {"fleet": fleet}).encode())
        waiting = {"acts": overview.acts(fleet, {}), "providers": names}
        yield _event("act", visit.pages.part("acts.html", waiting).encode())


async def _one(events: Events, connector: str) -> AsyncGenerator[bytes, None]:
    async for moved in _paced(events):
        if moved is None:
            yield b": still here\n\n"
        elif moved["connector_id"] == connector:
            yield _event("moved", orjson.dumps({"version": moved["version"]}))


async def _paced(events: Events) -> AsyncGenerator[Json | None, None]:
    """Each transition as it comes, and `None` when a snapshot is due: soon after one, and now and then."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + LASTS_S
    due, last = loop.time(), -AT_MOST_EVERY_S
    async with aclosing(events):
        coming = asyncio.ensure_future(anext(events))
        try:
            while loop.time() < ends:
                done, _ = await asyncio.wait({coming}, timeout=max(0.0, due - loop.time()))
                if not done:
                    last, due = loop.time(), loop.time() + AT_LEAST_EVERY_S
                    yield None
                    continue
                try:
                    moved = _data(coming.result())
                except StopAsyncIteration:
                    return  # this process ends: the browser comes back to another
                coming = asyncio.ensure_future(anext(events))
                if moved is not None:
                    due = min(due, last + AT_MOST_EVERY_S)
                    yield moved
        finally:
            coming.cancel()
            await asyncio.wait([coming])


def _data(event: bytes) -> Json | None:
    """The transition in an event of the API's; `None` for a heartbeat."""
    lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    if not lines:
        return None
    told: Any = orjson.loads(b"\n".join(lines))
    return told if isinstance(told, dict) and "to" in told else None


def _event(name: str, data: bytes) -> bytes:
    lines = b"".join(b"data: %b\n" % line for line in data.split(b"\n") if line.strip())
    return b"event: %b\n%b\n" % (name.encode(), lines)
