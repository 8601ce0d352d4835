"""The fleet's figures, read for whoever is scraped: at most every 15 seconds, and never for long.

What a scrape finds is what was read last. While the database is away that gets older, which is told, too.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from schemas.ids import ProviderId
from schemas.lifecycle import State
from service.store import figures
from service.store.figures import Untold, Unwell, Waiting
from service.store.pool import TRANSIENT, Pool
from service.telemetry import metrics

log = structlog.get_logger()

EVERY_S = 15.0
SHARE = 100
"""What takes long is read less often: reading rests a hundred times as long as it took."""
RARELY_S = 120.0
"""So often it is read at least: the alerts rely on it."""
LIMIT_S = 20.0
"""How long a reading may take in all, waiting for a connection included."""
SCRAPE_WAITS_S = 1.0
"""How long a scrape waits for a reading; then it shows the one before."""

_AGING = (State.FAILED, State.AWAITING_AUTH, State.VERIFYING, State.SYNCING)


class Figures:
    """Reads when somebody asks; only a process that is scraped ever does."""

    def __init__(self, pool: Pool, endpoints: Sequence[str] = ()) -> None:
        self._pool, self._endpoints = pool, endpoints
        self._wanted = asyncio.Event()
        self._read = asyncio.Event()
        self._read_at: float | None = None
        self._due = self._large_due = 0.0
        """When reading is worth its price again: the cheap part, and what reads many rows."""

    async def fresh(self) -> None:
        """Sees to it that the metrics are not older than they need be, within `SCRAPE_WAITS_S`."""
        if time.monotonic() >= self._due:
            self._read.clear()
            self._wanted.set()
            try:
                async with asyncio.timeout(SCRAPE_WAITS_S):
                    await self._read.wait()
            except TimeoutError:
                pass  # the former figures, and their age, are the answer
        if self._read_at is not None:
            metrics.FLEET_AGE.set(time.monotonic() - self._read_at)

    async def run(self) -> None:
        """Reads what is asked for, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                async with asyncio.timeout(LIMIT_S):
                    await self._look()
                metrics.DATABASE_UP.set(1)
            except TRANSIENT as error:
                self._due = time.monotonic() + 1.0
                metrics.DATABASE_UP.set(0)
                log.warning("figures_wait", error=type(error).__name__)
            self._read.set()

    async def _look(self) -> None:
        began = time.monotonic()
        async with self._pool.acquire() as connection:
            unwell, waiting = await figures.unwell(connection), await figures.waiting(connection)
            untold = await figures.webhooks(connection, self._endpoints) if self._endpoints else []
            taken = time.monotonic() - began
            if is_large_due := time.monotonic() >= self._large_due:
                began_large = time.monotonic()
                healthy, ending = await figures.healthy(connection), await figures.ending(connection)
                self._large_due = time.monotonic() + _rest(time.monotonic() - began_large)
        if is_large_due:
            _tell_large(healthy, ending)
        _tell(unwell, waiting)
        _tell_webhooks(untold)
        self._read_at = time.monotonic()
        self._due = began + _rest(taken)


def _rest(taken_s: float) -> float:
    return min(max(EVERY_S, SHARE * taken_s), RARELY_S)


def _tell(unwell: Sequence[Unwell], waiting: Waiting) -> None:
    """What is gone tells nothing: nobody waits in between, so no scrape sees a part."""
    numbers = {(one.state.value, one.provider): one.number for one in unwell}
    healthy = State.HEALTHY.value
    for state, provider in list(_known):
        if state != healthy and (state, provider) not in numbers:
            metrics.CONNECTORS.labels(state, provider).set(0)
    for (state, provider), number in numbers.items():
        _known.add((state, provider))
        metrics.CONNECTORS.labels(state, provider).set(number)
    for aging in _AGING:
        oldest = max((one.oldest_s for one in unwell if one.state is aging), default=0.0)
        metrics.STATE_AGE.labels(aging.value).set(max(oldest, 0.0))
    metrics.DEADLINES_OVERDUE.set(waiting.overdue)
    metrics.RELAY_LAG.set(max(waiting.relay_lag_s, 0.0))
    metrics.RELAY_BEHIND.set(waiting.relay_behind)
    metrics.DEAD_LETTERS_WAITING.set(waiting.letters)
    metrics.JOBS_WAITING.set(waiting.jobs)


def _tell_webhooks(untold: Sequence[Untold]) -> None:
    for one in untold:
        metrics.WEBHOOK_LAG.labels(one.endpoint).set(max(one.lag_s, 0.0))
        metrics.WEBHOOK_BEHIND.labels(one.endpoint).set(one.entries)
        metrics.WEBHOOK_WAITING.labels(one.endpoint).set(one.waiting)


def _tell_large(healthy: Mapping[ProviderId, int], ending: Mapping[ProviderId, Mapping[str, int]]) -> None:
    state = State.HEALTHY.value
    known = {provider for known_state, provider in _known if known_state == state}
    for provider in known | healthy.keys():
        _known.add((state, provider))
        metrics.CONNECTORS.labels(state, provider).set(healthy.get(ProviderId(provider), 0))
    for provider in known | healthy.keys() | ending.keys():
        for within in ("1d", "7d", "30d"):
            metrics.CREDENTIAL_EXPIRY.labels(provider, within).set(ending.get(ProviderId(provider), {}).get(within, 0))


_known: set[tuple[str, str]] = set()
"""The series of connectors that were told once: a state that has emptied is told as 0, not left out."""
