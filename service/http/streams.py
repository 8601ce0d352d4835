"""An answer that goes on: server-sent events (the HTML standard's `text/event-stream`), to a socket or to a page."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp import web

SLOWEST_S = 10.0
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class EventStream:
    """Events, each as its bytes with the blank line that ends it. Whoever made it ends it, and sends heartbeats."""

    events: AsyncGenerator[bytes, None]

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Writes all events; ends with the last one, or when nobody reads any more.

        A reader that is too slow to take one in time is cut off: nothing is kept for it here.
        """
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        try:
            async with aclosing(self.events) as events:
                async for event in events:
                    async with asyncio.timeout(SLOWEST_S):
                        await response.write(event)
        except ConnectionResetError:  # the reader went away
            pass
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response
