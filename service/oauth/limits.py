"""How much may begin (S39): a pace for each address, tenant and connector, and a bound on open attempts.

Two ways, since a flood comes in two kinds. What leaves a row (an attempt that is opened) is counted by its rows in
PostgreSQL: exact over all replicas, and without a write of its own. What leaves none (a button, a callback, a guess) is
counted in the process: strangers must not cause a write each, and the limit has to hold while the database is away. So
behind N replicas a stranger gets at most N times the pace.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from schemas.ids import ConnectorId, TenantId
from service.store.openings import openings
from service.store.pool import Pool

MOST_KEYS = 20_000
"""The most addresses, tenants or connectors that are remembered at once: some megabytes. The longest quiet is forgotten
first, and a forgotten one begins afresh."""
OPENINGS_AGAIN = timedelta(seconds=60)
"""When to come back once too many attempts were opened: they are counted over the last minute."""


class TooMany(Exception):
    """Too many requests of one address, tenant or connector; `retry_after` says when to come back."""

    def __init__(self, what: str, retry_after: timedelta) -> None:
        super().__init__(what)
        self.retry_after = retry_after

    @property
    def retry_after_s(self) -> int:
        """For the header: whole seconds, one at least."""
        return max(1, math.ceil(self.retry_after.total_seconds()))


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """What a deployment allows, a minute; and open attempts at once."""

    connector: int
    tenant: int
    open_attempts: int


class Gate:
    """What an attempt has to pass before it is opened, begun, or come back to."""

    def __init__(self, pool: Pool, limits: FlowLimits) -> None:
        self._pool = pool
        self._limits = limits
        self._of_connector = Pace("sign-ins of this connector", limits.connector)
        self._of_tenant = Pace("sign-ins of this tenant", limits.tenant)

    async def check_openings(self, tenant: TenantId, connector: ConnectorId) -> None:
        """Raises `TooMany` where no more may be opened. Those that come at one moment may go over by as many."""
        async with self._pool.acquire() as connection:
            opened = await openings(connection, tenant, connector)
        if opened.of_connector >= self._limits.connector or opened.of_tenant >= self._limits.tenant:
            raise TooMany("attempts in a minute", OPENINGS_AGAIN)
        if opened.open >= self._limits.open_attempts and not opened.replaces_one:
            raise TooMany("open attempts", OPENINGS_AGAIN)

    def count(self, tenant: TenantId, connector: ConnectorId) -> None:
        """Counts one sign-in that is begun or comes back. Raises `TooMany`.

        To be called once the link or the browser is proved, so that no stranger uses up what is somebody else's.
        """
        self._of_connector.take(connector)
        self._of_tenant.take(tenant)


class Pace:
    """Lets each key go on so often a minute, all of them at once if it likes (GCRA: one number a key).

    Whoever is refused isn't counted, so that waiting is enough.
    """

    def __init__(
        self, what: str, a_minute: int, *, most_keys: int = MOST_KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._interval_s = 60 / a_minute
        self._at_once_s = 60 - self._interval_s
        self._most_keys = most_keys
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def take(self, key: str) -> None:
        """Counts one. Raises `TooMany`."""
        now = self._clock()
        due = max(self._due.get(key, now), now)
        wait_s = due - now - self._at_once_s
        if wait_s > 1e-6:
            raise TooMany(self._what, timedelta(seconds=wait_s))
        self._due[key] = due + self._interval_s
        self._due.move_to_end(key)
        if len(self._due) > self._most_keys:
            self._due.popitem(last=False)
