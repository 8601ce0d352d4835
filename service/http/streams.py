"""An answer that goes on: server-sent events (the HTML standard's `text/event-stream`), to a socket or to a page."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from aiohttp import web

_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class EventStream:
    """Events, each as its bytes with the blank line that ends it. Whoever made it ends it, and sends heartbeats."""

    events: AsyncGenerator[bytes, None]

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Writes all events; ends with the last one, or when nobody reads any more."""
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        with suppress(ConnectionResetError):  # the reader went away
            async with aclosing(self.events) as events:
                async for event in events:
                    await response.write(event)
        return response
