"""An attempt's page as it changes: server-sent events for the script, which asks by itself where they don't come.

A stream is woken when its attempt or its connector was written. Neither a trigger nor a NOTIFY was taken for that: both
would cost every batch of the engine something for the sake of a few windows, and a lost notification would leave a
person before a screen that stands still. One statement looks for all windows of the process instead, however many there
are, and only while there are some.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog
from aiohttp import web

from schemas.ids import AttemptId
from service.engine.signals import Signal
from service.store.pool import TRANSIENT

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.4
"""From one look at the followed attempts to the next: what a person feels as at once, with room to spare."""
AFTER_TROUBLE_S = 2.0
HEARTBEAT_S = 10.0
"""The longest silence of a stream. The screen is made anew then, too, since some words depend on the time alone."""
LIFETIME_S = 300.0
"""How long a stream lives; the browser opens the next one by itself, on whatever replica it comes to."""
RECONNECT_MS = 1000
MOST_STREAMS = 2000
"""At once in this process."""
MOST_FROM_AN_ADDRESS = 50
"""At once from one address: a large office, or everybody behind a proxy that the settings don't name. The rest ask."""

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep what should be seen now
}


class TooManyStreams(Exception):
    """This process, or this address, has as many streams as it may; the script asks by itself then."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the script shows: the changing part of an attempt's page, as JSON."""

    body: bytes
    final: bool

    @property
    def mark(self) -> str:
        """Differs where the page does."""
        return hashlib.sha256(self.body).hexdigest()[:20]


Marks: TypeAlias = Callable[[Collection[AttemptId]], Awaitable[Mapping[AttemptId, str]]]
"""Something for each attempt that there is, which differs after every write to it or its connector."""
Now: TypeAlias = Callable[[], Awaitable[Told | None]]
"""What is to be shown now; `None` where the page would lead nowhere."""


@dataclass
class Following:
    """The streams of this process."""

    marks: Marks
    heartbeat_s: float = HEARTBEAT_S
    lifetime_s: float = LIFETIME_S
    most: int = MOST_STREAMS
    most_from_an_address: int = MOST_FROM_AN_ADDRESS
    _streams: dict[AttemptId, set[Signal]] = field(default_factory=dict)
    _seen: dict[AttemptId, str | None] = field(default_factory=dict)
    _addresses: Counter[str] = field(default_factory=Counter)
    _anybody: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: bool = False

    def add_to(self, app: web.Application) -> None:
        """Looks as long as the application lives; its streams end before it waits for requests under way."""
        app.cleanup_ctx.append(self._looking)
        app.on_shutdown.append(self._close)

    async def stream(
        self, request: web.Request, attempt: AttemptId, address: str, response: web.StreamResponse, now: Now
    ) -> None:
        """Writes the screen whenever it changes, until it is final, gone, or the stream is old enough.

        `response` has its headers, and isn't prepared. Raises `TooManyStreams` before anything is written.
        """
        with self._followed(attempt, address) as written, suppress(ConnectionError, *TRANSIENT):
            async with asyncio.timeout(self.lifetime_s):
                await response.prepare(request)
                await response.write(f"retry: {RECONNECT_MS}\n\n".encode())
                shown = request.headers.get("Last-Event-ID", "")
                while not self._closing:
                    told = await now()
                    if told is None:
                        await response.write(b"event: gone\ndata: -\n\n")
                        return
                    await response.write(_STILL if told.mark == shown else _event(told))
                    if told.final:
                        return
                    shown = told.mark
                    await written.wait(self.heartbeat_s)

    @contextmanager
    def _followed(self, attempt: AttemptId, address: str) -> Iterator[Signal]:
        if self._addresses.total() >= self.most or self._addresses[address] >= self.most_from_an_address:
            raise TooManyStreams
        written = Signal()
        self._addresses[address] += 1
        self._streams.setdefault(attempt, set()).add(written)
        self._anybody.set()
        try:
            yield written
        finally:
            self._addresses[address] -= 1
            self._addresses += Counter()  # forgets who has none any more
            self._streams[attempt].discard(written)
            if not self._streams[attempt]:
                del self._streams[attempt]
                self._seen.pop(attempt, None)

    # The one who looks.

    @asynccontextmanager
    async def _looking(self, app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._look(), name="windows")
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _look(self) -> None:
        while True:
            await self._anybody.wait()
            if not self._streams:
                self._anybody.clear()
                continue
            try:
                self._wake(await self.marks(list(self._streams)))
            except TRANSIENT as error:
                log.warning("windows_wait", error=type(error).__name__)
                await asyncio.sleep(AFTER_TROUBLE_S)
            except Exception:  # the border: windows then move by the heartbeat alone, and somebody is told
                log.exception("windows_fault")
                await asyncio.sleep(AFTER_TROUBLE_S)
            await asyncio.sleep(LOOK_EVERY_S)

    def _wake(self, marks: Mapping[AttemptId, str]) -> None:
        for attempt, streams in self._streams.items():
            mark = marks.get(attempt)
            if attempt not in self._seen or self._seen[attempt] != mark:
                self._seen[attempt] = mark
                for written in streams:
                    written.set()

    async def _close(self, app: web.Application) -> None:
        self._closing = True
        for streams in self._streams.values():
            for written in streams:
                written.set()


_STILL = b"event: still\ndata: -\n\n"
"""Nothing is new. An event and no comment, so that the script hears it, and notices when it stops coming."""


def _event(told: Told) -> bytes:
    return b"event: screen\nid: " + told.mark.encode() + b"\ndata: " + told.body + b"\n\n"
