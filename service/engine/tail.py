"""The tail of a shard's log, from the door to the relay: what this process just committed, published from memory.

The database stays authoritative. The tail holds entries only while they follow on each other without a gap and there is
room; whatever it doesn't hold (another process committed it, the relay is far behind, a commit's answer was lost) the
relay reads from the log. So a tail that forgets costs a read, never a record.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from service.store.log import Entry, Watermark

TAIL_CAP = 4000
"""Entries that a tail holds, some 2 kB each; beyond that the relay is behind and reads."""


class Tail:
    """One shard's. Filled by many batches, followed by one relay."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._grew = asyncio.Event()
        self._must_read = True
        self.published: Watermark | None = None
        """How far this process's relay has published, to be kept with the next batch; `None` without a relay here."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Adds what a batch stored, in the order of its numbers."""
        if self.published is None or len(self._entries) + len(entries) > TAIL_CAP:
            self.wake()
            return
        if self._entries and self._entries[-1].seq + 1 != entries[0].seq:
            self._entries.clear()
            self._must_read = True
        self._entries.extend(entries)
        self._grew.set()

    def wake(self) -> None:
        """There is something in the log that the tail doesn't hold."""
        self._must_read = True
        self._grew.set()

    def take(self, after: int, limit: int) -> list[Entry]:
        """The entries that follow on number `after`, at most `limit`; none where the tail doesn't hold the next one."""
        while self._entries and self._entries[0].seq <= after:
            self._entries.popleft()
        if not self._entries:
            return []
        if self._entries[0].seq != after + 1:
            self._must_read = True
            return []
        return [self._entries.popleft() for _ in range(min(limit, len(self._entries)))]

    def must_read(self) -> bool:
        """Whether the log may hold what the tail doesn't, told once."""
        must, self._must_read = self._must_read, False
        return must

    async def grew(self, at_most_s: float) -> bool:
        """Waits until there is something new, at most `at_most_s` seconds; returns whether there is."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._grew.wait()
        except TimeoutError:
            return False
        self._grew.clear()
        return True

    def follow(self, published: Watermark | None) -> None:
        """A relay of this process takes it up behind that watermark, or (`None`) leaves it."""
        self._entries.clear()
        self._must_read = True
        self.published = published
