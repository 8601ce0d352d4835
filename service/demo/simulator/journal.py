"""What was asked of the simulator: a journal of requests and counters, without any secret.

A code is known here by the SHA-256 of its value, so that a test that holds the code can ask how often it came.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

JOURNAL_LENGTH = 10_000


@dataclass(slots=True)
class Entry:
    """One request. `status` is None while it is being answered, and stays so if the line was cut."""

    number: int
    at: datetime
    host: str
    endpoint: str
    method: str
    path: str
    intuit_tid: str
    realm: str | None = None
    grant_type: str | None = None
    code_sha256: str | None = None
    status: int | None = None
    error: str | None = None
    fault: str | None = None


def code_digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


class Journal:
    """Counts at arrival, before any fault; keeps the last 10,000 entries."""

    def __init__(self) -> None:
        self.clear()
        self._waiters: list[asyncio.Future[None]] = []

    def clear(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=JOURNAL_LENGTH)
        self.total = 0
        self.by_endpoint: Counter[str] = Counter()
        self.by_realm: Counter[tuple[str, str]] = Counter()
        self.by_code: Counter[str] = Counter()

    def arrived(self, entry: Entry) -> None:
        self.total += 1
        self.entries.append(entry)
        self.by_endpoint[entry.endpoint] += 1
        if entry.realm is not None:
            self.by_realm[entry.realm, entry.endpoint] += 1
        if entry.code_sha256 is not None:
            self.by_code[entry.code_sha256] += 1
        self._wake()

    def answered(self, entry: Entry, status: int | None) -> None:
        entry.status = status
        self._wake()

    def exchanges_of(self, code: str) -> int:
        """How often this code was brought to the token endpoint, answered or not."""
        return self.by_code[code_digest(code)]

    async def until(self, condition: Callable[[Journal], bool]) -> None:
        """Return when the condition holds, looked at after each arrival and answer. The caller sets the time."""
        while not condition(self):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
