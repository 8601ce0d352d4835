"""A courier: brings one shard's events to one endpoint, in order per connector.

It follows the log behind a cursor. A connector whose event isn't accepted is parked: the cursor goes on with the
others, and the connector's own events wait in the log until the one before them was accepted or given up. So what is
kept is a number and the connectors that are behind, never events.

Two parts run beside each other, and meet only in the database, where each locks the cursor's row to write. Follow: the
next page, without those who are parked. Again: those whose pause is over. A page notes again, as parked, whom it left
out: else an event would be lost whose connector caught up in between.

An endpoint that is down as a whole is sent one event now and then, which tells when it is back; the others stay in the
log. Only where it takes others' events meanwhile is one given up.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Generic

import structlog

from schemas.ids import Shard
from service.couriers.endpoint import Done, E, Endpoint, Outcome, Refusal
from service.couriers.health import Health
from service.couriers.schedule import Schedule
from service.engine.signals import Signal
from service.store import couriers as store
from service.store import given_up
from service.store.couriers import Due, LogRow, Parking, Replaced, Seen
from service.store.pool import TRANSIENT, Connection, Pool
from service.telemetry import metrics

log = structlog.get_logger()

PAGE = 100
"""Transitions of a read: what comes again at most after a kill."""
AT_ONCE = 8
"""Connectors that are told of at a time, by each part."""
OF_A_CONNECTOR = 50
"""Transitions of one parked connector at a time."""
AGAIN_EVERY_S = 1.0
"""How often it is looked whose pause is over."""
RESTART_S = 1.0

_NO_PAUSE = timedelta()


@dataclass(frozen=True, slots=True)
class Stopped:
    """A connector's events were sent up to this one, which wasn't accepted, or (no refusal) not sent."""

    version: int
    refusal: Refusal | None


@dataclass(slots=True)
class Courier(Generic[E]):
    """One endpoint's, for one shard, while this process owns the shard."""

    endpoint: Endpoint[E]
    shard: Shard
    pool: Pool
    schedule: Schedule
    logged: int = 0
    """Where the shard's log ends, as far as is known here."""
    grew: Signal = field(default_factory=Signal)
    _epoch: int = 0
    _health: Health = field(init=False)
    _accepted: bool = False
    _failure: str | None = None
    _recovered: bool = False
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def __post_init__(self) -> None:
        self._health = Health(self.schedule)

    async def run(self) -> None:
        """Delivers until cancelled, which it is when the shard goes to another process."""
        while True:
            try:
                await self._own()
            except* Replaced:
                log.info("courier_replaced", endpoint=self.endpoint.name, shard=self.shard)
            except* TRANSIENT as errors:
                log.warning("courier_restarts", endpoint=self.endpoint.name, error=type(errors.exceptions[0]).__name__)
            await asyncio.sleep(RESTART_S)

    async def _own(self) -> None:
        async with self.pool.acquire() as connection:
            position = await store.claim(connection, self.endpoint.name, self.shard)
        self._epoch = position.epoch
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(position.at), name="follow")
            tasks.create_task(self._again(), name="again")

    # Follow.

    async def _follow(self, at: int) -> None:
        while True:
            if self.logged <= at:
                await self.grew.wait(AGAIN_EVERY_S)
                continue
            until, probing = self.logged, self._health.is_down
            limit = 1 if probing else PAGE
            async with self.pool.acquire() as connection:
                page = await store.next_of(connection, self.shard, at, until, limit)
                parked = await store.parked_of(connection, self.endpoint.name, {row.pk for row in page})
            parkings = await self._page(page, parked, probing=probing)
            at = page[-1].seq if len(page) == limit else until
            async with self.pool.acquire() as connection, connection.transaction():
                await self._move(connection, at)
                await store.park(connection, self.endpoint.name, self.shard, parkings)

    async def _page(self, page: Sequence[LogRow], parked: set[int], *, probing: bool) -> list[Parking]:
        """Sends a page's events; returns who is behind after it."""
        by_connector: dict[int, list[LogRow]] = defaultdict(list)
        for row in page:
            if any(True for _ in self.endpoint.events_of(row)):
                by_connector[row.pk].append(row)
        behind = [Parking(pk, by_connector[pk][0].version, 0, _NO_PAUSE, None) for pk in parked & by_connector.keys()]
        sent = {pk: rows for pk, rows in by_connector.items() if pk not in parked}
        stops = await asyncio.gather(*(self._deliver(rows, probing=probing) for rows in sent.values()))
        for pk, stopped in zip(sent, stops, strict=True):
            if stopped is not None:
                behind.append(self._parking(pk, stopped, tries=0))
        return behind

    # Again.

    async def _again(self) -> None:
        while True:
            probing = self._health.is_down  # then the pauses don't count: whoever is next tells whether it is back
            async with self.pool.acquire() as connection:
                due = await store.due(connection, self.endpoint.name, self.shard, None if probing else PAGE)
                asked = [] if probing else await given_up.asked(connection, self.endpoint.name, self.shard, PAGE)
            if not due and not asked:
                await asyncio.sleep(AGAIN_EVERY_S)
                continue
            await asyncio.gather(
                *(self._once_more(one, probing=probing) for one in due), *(self._as_asked(row) for row in asked)
            )

    async def _once_more(self, due: Due, *, probing: bool) -> None:
        name = self.endpoint.name
        async with self.pool.acquire() as connection:
            rows = await store.waiting(connection, name, self.shard, due, OF_A_CONNECTOR)
        stopped = await self._deliver(rows, probing=probing)
        async with self.pool.acquire() as connection, connection.transaction():
            cursor = await self._move(connection, 0)
            if stopped is None:
                await store.go_on(connection, name, due.pk, rows[-1].version if rows else due.version, cursor)
                return
            tries = due.tries if stopped.version == due.version else 0
            parking = self._parking(due.pk, stopped, tries)
            if probing:
                parking = replace(parking, tries=tries)  # it wasn't the event's fault
            if parking.failure is None or not self.schedule.is_spent(parking.tries):
                await store.wait(connection, name, parking)
            elif await store.accepted_since(connection, name, due.since):
                await store.give_up(connection, name, due.pk, parking.failure)
                await store.go_on(connection, name, due.pk, stopped.version, cursor)
                self._count("given_up")
                self.endpoint.give_up(rows[0].connector, stopped.version)
            else:
                await store.wait(connection, name, parking)  # it takes nobody's: then it isn't the event

    async def _as_asked(self, row: LogRow) -> None:
        """Sends an event that was given up, since somebody wants that; one try."""
        stopped = await self._deliver([row], probing=False)
        refusal = stopped.refusal if stopped is not None else None
        if stopped is not None and refusal is None:
            return  # the endpoint is down by now
        async with self.pool.acquire() as connection, connection.transaction():
            await self._move(connection, 0)
            if refusal is None:
                await given_up.accepted(connection, self.endpoint.name, row)
            else:
                await given_up.refused(connection, self.endpoint.name, row, refusal.what)

    # Both.

    async def _deliver(self, rows: Sequence[LogRow], *, probing: bool) -> Stopped | None:
        """Sends a connector's events one after another; returns where that stopped, or `None`."""
        async with self._slots:
            for row in rows:
                for event in self.endpoint.events_of(row):
                    if self._health.is_down and not probing:
                        return Stopped(row.version, None)
                    if (refusal := await self._send(row.pk, event)) is not None:
                        return Stopped(row.version, refusal)
        return None

    async def _send(self, pk: int, event: E) -> Refusal | None:
        async with self._health.turn():
            outcome = await self.endpoint.send(event)
            if isinstance(outcome, Refusal):
                self._count("refused")
                self._failure = outcome.what
                self._health.failed(pk)
                return outcome
            if outcome is Done.ACCEPTED:
                self._count("accepted")
                self._accepted = True
                self._recovered |= self._health.accepted()
            return None

    def _count(self, outcome: Outcome) -> None:
        metrics.WEBHOOKS.labels(self.endpoint.name, outcome).inc()

    def _parking(self, pk: int, stopped: Stopped, tries: int) -> Parking:
        if stopped.refusal is None:
            return Parking(pk, stopped.version, tries, _NO_PAUSE, None)
        pause = self.schedule.pause(tries + 1, stopped.refusal.again_after)
        return Parking(pk, stopped.version, tries + 1, pause, stopped.refusal.what)

    async def _move(self, connection: Connection, seq: int) -> int:
        """Locks the cursor and moves it, with what the endpoint said meanwhile. Raises `Replaced`."""
        seen = Seen(self._accepted, self._failure)
        recovered, self._recovered = self._recovered, False
        self._accepted, self._failure = False, None
        try:
            at = await store.move(connection, self.endpoint.name, self.shard, self._epoch, seq, seen)
            if recovered:
                await store.hurry(connection, self.endpoint.name, self.shard)
        except BaseException:
            self._recovered |= recovered
            raise
        return at
