"""What happens, as it happens: readers follow the log behind what is committed, each from its own position.

Nothing is kept for a reader but its position: what it hasn't read stays in the log, so a slow or absent one costs no
memory, and goes on where it was. The database is asked for news once for all readers of this process.
"""

import asyncio
import base64
import binascii
from collections import Counter
from collections.abc import AsyncGenerator, Hashable, Iterator
from contextlib import contextmanager

import orjson

from schemas.ids import TenantId
from service.store import feed as store
from service.store.feed import Happened
from service.store.pool import Pool

POLL_S = 0.25
AT_ONCE = 200
"""Transitions of a read: what a reader has in memory at most."""
OF_A_READER = 10
IN_ALL = 200
"""So many may follow at once: of one caller, and in this process."""

Position = dict[int, int]
"""The last number that was read of each shard's log."""


class TooManyReaders(Exception):
    """Somebody has to stop reading first."""


def written(position: Position) -> str:
    """A position for readers, who must not look inside."""
    pairs = [[shard, seq] for shard, seq in sorted(position.items())]
    return base64.urlsafe_b64encode(orjson.dumps(pairs)).decode().rstrip("=")


def read(text: str) -> Position:
    """A position that was written. Raises `ValueError` for what is none."""
    try:
        pairs = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        position = dict(pairs)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("no position") from None
    if not all(type(n) is int and 0 <= n < 2**63 for pair in position.items() for n in pair) or len(position) > 4096:
        raise ValueError("no position")
    return position


class Feed:
    """The readers of a process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._logged: Position = {}
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._readers: Counter[Hashable] = Counter()
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Ends every reader's stream soon."""
        self._closed.set()

    def check(self, who: Hashable) -> None:
        """Raises `TooManyReaders` where one more would be too many."""
        if self._readers[who] >= OF_A_READER or self._readers.total() >= IN_ALL:
            raise TooManyReaders

    async def end(self) -> Position:
        """Where the log ends now."""
        async with self._pool.acquire() as connection:
            return await store.logged(connection)

    async def follow(
        self, who: Hashable, tenant: TenantId | None, position: Position, until: float
    ) -> AsyncGenerator[tuple[Position, Happened | None], None]:
        """What happens to a tenant's connectors, or (`None`) to all, behind a position; up to an instant of the loop.

        Gives the position behind each; and without anything, where nothing happened for a while.
        """
        clock = asyncio.get_running_loop().time
        with self._counted(who):
            while clock() < until and not self._closed.is_set():
                is_quiet = True
                for shard, seq in (await self._news()).items():
                    while position.get(shard, 0) < seq:
                        found = await self._next(shard, position.get(shard, 0), seq)
                        for one in found:
                            position[shard] = one.seq
                            if tenant in (None, one.tenant):
                                is_quiet = False
                                yield position, one
                        if len(found) < AT_ONCE:
                            position[shard] = seq  # the rest are dead letters' numbers
                        if self._closed.is_set():
                            return
                if is_quiet:
                    yield position, None

    @contextmanager
    def _counted(self, who: Hashable) -> Iterator[None]:
        self._readers[who] += 1
        try:
            yield
        finally:
            self._readers[who] -= 1
            self._readers += Counter()  # drops those that are at zero

    async def _news(self) -> Position:
        """How far the logs go, looked at a moment ago at most; waits that long."""
        loop = asyncio.get_running_loop()
        async with self._reading:
            if (wait := self._read_at + POLL_S - loop.time()) > 0:
                await asyncio.sleep(wait)
            async with self._pool.acquire() as connection:
                self._logged = await store.logged(connection)
            self._read_at = loop.time()
            return self._logged

    async def _next(self, shard: int, after: int, until: int) -> list[Happened]:
        async with self._pool.acquire() as connection:
            return await store.next_of(connection, shard, after, until, AT_ONCE)
