"""Answers a question with the best passages of this version's pages."""

import asyncio

from service.help.passages import edition
from service.help.question import words_of
from service.store import passages
from service.store.passages import Found
from service.store.pool import Pool

MOST = 6
A_PAGE = 2
"""The most passages of one page among the answers."""
AT_ONCE = 3
"""Questions that one process asks the database at once: strangers must not take every connection."""
PATIENCE_S = 3.0


class Answers:
    """Asks the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._room = asyncio.Semaphore(AT_ONCE)

    async def to(self, question: str) -> list[Found]:
        """The best passages, best first; none where no word of the question stands anywhere.

        Raises what asyncpg raises where the database is away, and `TimeoutError` where it is too busy.
        """
        words = words_of(question)
        if not words:
            return []
        async with asyncio.timeout(PATIENCE_S), self._room, self._pool.acquire() as connection:
            found = await passages.ask(connection, edition().hash, words, question, 4 * MOST)
        return _spread(found)


ASKED_FOR = {
    "reauthenticate-quickbooks": 1.2,
    "reasons": 1.2,
    "problems": 0.9,
    "adr": 0.7,
    "benchmarks": 0.7,
    "lifecycle": 0.8,
}
"""How often a page, or the pages below it, is what people look for; any other: 1."""


def _spread(found: list[Found]) -> list[Found]:
    """The best of all, and of no page more than some."""
    kept: list[Found] = []
    for one in sorted(found, key=_worth, reverse=True):
        if sum(other.passage.page == one.passage.page for other in kept) < A_PAGE:
            kept.append(one)
    return kept[:MOST]


def _worth(found: Found) -> float:
    return found.rank * ASKED_FOR.get(found.passage.page.partition("/")[0], 1.0)
