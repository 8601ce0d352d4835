"""What happens, as server-sent events: each transition once it is stored, with the position to go on from."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from schemas.ids import TenantId
from schemas.problems import ProblemCode
from service.http.context import Call
from service.http.problems import ApiProblem
from service.http.streams import EventStream
from service.insight import feed
from service.insight.feed import Feed, Position, TooManyReaders

STREAM_S = 900.0
"""A reader comes back after that, and is asked again who it is."""
HEARTBEAT_S = 15.0
_POSITION = re.compile(r"[A-Za-z0-9_-]{1,70000}")


async def follow_events(call: Call) -> EventStream:
    log, caller = call.parts.feed, call.caller
    who = (caller.tenant, caller.subject)
    given = call.request.headers.get("Last-Event-ID")
    try:
        log.check(who)
        position = feed.read(given) if given and _POSITION.fullmatch(given) else None
    except TooManyReaders:
        wait = {"Retry-After": "5"}
        raise ApiProblem(ProblemCode.TOO_MANY_REQUESTS, "Too many streams are open.", headers=wait) from None
    except ValueError:
        position = None
    if given is not None and position is None:
        raise ApiProblem(ProblemCode.INVALID_REQUEST, "Wrong: the header Last-Event-ID.")
    return EventStream(_events(log, who, caller.only, position if position is not None else await log.end()))


async def _events(
    log: Feed, who: tuple[str, str], tenant: TenantId | None, position: Position
) -> AsyncGenerator[bytes, None]:
    clock = asyncio.get_running_loop().time
    told = clock()
    yield f"retry: 1000\nid: {feed.written(position)}\n\n".encode()
    async with aclosing(log.follow(who, tenant, position, clock() + STREAM_S)) as happening:
        async for at, one in happening:
            if one is not None:
                told = clock()
                yield f"event: transition\nid: {feed.written(at)}\ndata: {one.record}\n\n".encode()
            elif clock() - told >= HEARTBEAT_S:
                told = clock()
                yield f": still here\nid: {feed.written(at)}\n\n".encode()
