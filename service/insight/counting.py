"""Counting the log: each transition once, in its shard's order, into hours, attempts and errors. The fold does no I/O.

What is counted is made from the log alone, so it is right however late it comes. In the background it takes a small
part of the time; whoever asks has what is left counted first, as far as that goes quickly.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog

from schemas.lifecycle import ActorKind, State, Step, Trigger
from service.insight.measuring import measure
from service.store import sums, tally
from service.store.fleet import log_begins
from service.store.pool import TRANSIENT, Pool
from service.store.rows import Row
from service.store.tally import ErrorKey, HourKey, Position, Seen, Tried

log = structlog.get_logger()

CHUNK = 500
"""Transitions of a transaction: some ten milliseconds of this process's loop."""
AT_ONCE = 10_000
"""So many are counted before an answer; where there are more it says that they are missing."""
STRETCH, STRETCHES = timedelta(days=2), 60
"""Of notes: how much time is counted in a transaction, and how often before an answer."""
PAUSE_S = 1.0
SHARE = 4
"""Counting in the background rests four times as long as it took."""

STEPS = tuple(Step)
PLACE = {step.value: place for place, step in enumerate(STEPS)}
RETURNED, SAVED = PLACE[Step.RETURNED], PLACE[Step.CREDENTIAL_SAVED]
STARTED, FLOWING = PLACE[Step.SYNC_STARTED], PLACE[Step.DATA_FLOWING]

_WITHOUT_REASON = (State.ABSENT, State.HEALTHY)
CONNECTED, STOPPED, REPLACED = "connected", "stopped", "replaced"
"""How an attempt ends: data flows; it got no further; a newer one took its place."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a transition of the log tells."""

    seq: int
    connector: int
    version: int
    at: datetime
    source: State
    to: State
    trigger: Trigger
    reason: str | None
    step: str | None
    attempt_id: UUID | None
    sent_at: datetime | None
    record: dict[str, Any]  # Any: the record's JSON

    @property
    def provider(self) -> str:
        return str(self.record["provider"])

    @property
    def by_operator(self) -> bool:
        return bool(self.record["actor"]["kind"] == ActorKind.OPERATOR)


@dataclass(slots=True)
class Counts:
    """What a part of a log adds up to."""

    tries: dict[int, Tried] = field(default_factory=dict)
    """The newest attempt of each connector."""
    hours: dict[HourKey, tuple[int, int]] = field(default_factory=dict)
    errors: dict[ErrorKey, Seen] = field(default_factory=dict)
    changed: dict[tuple[int, int], Tried] = field(default_factory=dict)
    """The attempts, newest or not, of which something was told; by connector and version."""
    unsure: bool = False
    """Whether a connector's reason before isn't known any more: the log no longer goes so far."""

    @property
    def connected(self) -> list[Tried]:
        """Those of the attempts that ended with data flowing."""
        return [tried for tried in self.changed.values() if tried.ending == CONNECTED]


def told(row: Row) -> Told:
    """A row of the log."""
    return Told(
        row["seq"],
        row["connector"],
        row["version"],
        row["at"],
        State(row["from_state"]),
        State(row["to_state"]),
        Trigger(row["trigger"]),
        row["reason"],
        row["step"],
        row["attempt_id"],
        row["exchange_begun_at"],
        orjson.loads(row["record"]),
    )


def count(counts: Counts, transitions: Sequence[Told], reasons: dict[int, str | None]) -> None:
    """Adds transitions, in the log's order. `reasons` holds what each connector's was before, and is kept up."""
    for one in transitions:
        counts.unsure |= one.connector not in reasons and one.source not in _WITHOUT_REASON
        _count_hour(counts, one, reasons.get(one.connector))
        reasons[one.connector] = one.record["connector"]["reason"]
        _count_error(counts, one)
        _follow_attempt(counts, one)


def _count_hour(counts: Counts, one: Told, before: str | None) -> None:
    hour = one.at.replace(minute=0, second=0, microsecond=0)
    after = one.record["connector"]["reason"]
    key = (hour, one.provider, one.source.value, before or "", one.to.value, after or "")
    times, failures = counts.hours.get(key, (0, 0))
    counts.hours[key] = times + 1, failures + (one.step == Step.FAILURE_SEEN)


def _count_error(counts: Counts, one: Told) -> None:
    evidence = one.record["evidence"]
    if evidence is None:
        return
    hour = one.at.replace(minute=0, second=0, microsecond=0)
    what = (evidence["at"], evidence["status"] or 0, evidence["code"] or "", one.reason or "")
    key = (hour, str(one.record["tenant_id"]), one.provider, *what)
    seen = counts.errors.get(key)
    if seen is None:
        counts.errors[key] = Seen(1, one.at, one.at, evidence["request_id"])
        return
    seen.times += 1
    seen.first, seen.last = min(seen.first, one.at), max(seen.last, one.at)
    seen.request_id = evidence["request_id"] or seen.request_id


def _follow_attempt(counts: Counts, one: Told) -> None:
    tried = counts.tries.get(one.connector)
    open_ = tried is not None and tried.ended_at is None
    if one.trigger is Trigger.START_REAUTH:
        if tried is not None and open_:
            came_to = one.record.get("replaced_step")
            tried.step = max(tried.step, PLACE[came_to]) if came_to else tried.step
            _end(counts, tried, one, REPLACED, None)
        counts.tries[one.connector] = opened = _opened(one, tried)
        counts.changed[opened.connector, opened.version] = opened
        return
    if tried is None or not open_:
        return
    tried.helped |= one.by_operator
    counts.changed[tried.connector, tried.version] = tried
    if one.to is State.VERIFYING and one.source is not State.VERIFYING:
        tried.step, tried.returned_at = max(tried.step, RETURNED), one.at
    elif one.to is State.SYNCING and one.source is State.VERIFYING:
        tried.step, tried.saved_at, tried.sent_at = SAVED, one.at, one.sent_at
    elif one.source is State.SYNCING and one.to is State.HEALTHY:
        tried.step = FLOWING
        _end(counts, tried, one, CONNECTED, one.reason)
    elif one.to in (State.HEALTHY, State.FAILED, State.DISCONNECTED, State.DELETED):
        if one.source is State.SYNCING and one.trigger is Trigger.SYNC_FAILED:
            tried.step = STARTED
        elif one.step is not None and one.source is not State.SYNCING:
            tried.step = max(tried.step, PLACE[one.step])
        _end(counts, tried, one, STOPPED, one.reason)


def _end(counts: Counts, tried: Tried, one: Told, ending: str, reason: str | None) -> None:
    tried.ended_at, tried.ending, tried.reason = one.at, ending, reason
    counts.changed[tried.connector, tried.version] = tried


def _opened(one: Told, before: Tried | None) -> Tried:
    """A new attempt. It is a further try where the one before was for the same trouble."""
    state = one.record["connector"]
    since = state["failed_since"]
    failed_at = datetime.fromisoformat(since) if since else None
    same = before is not None and _is_same_trouble(before, failed_at, state["generation"])
    assert one.attempt_id is not None, "what opens an attempt names it"
    return Tried(
        connector=one.connector,
        version=one.version,
        attempt_id=one.attempt_id,
        tenant_id=one.record["tenant_id"],
        provider=one.provider,
        opened_at=one.at,
        generation=state["generation"],
        failed_at=failed_at,
        try_=before.try_ + 1 if same and before else 1,
        helped=one.by_operator or bool(same and before and before.helped),
        step=PLACE[Step.LINK_OFFERED],
    )


def _is_same_trouble(before: Tried, failed_at: datetime | None, generation: int) -> bool:
    """Whether data flowed in between: then the first failure since, or else the credential, is another one."""
    if failed_at is not None or before.failed_at is not None:
        return failed_at == before.failed_at
    return before.generation == generation and before.ending != CONNECTED


class Counter:
    """Counts a database's log: in the background, and before an answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._one = asyncio.Lock()

    async def run(self) -> None:
        """Counts until cancelled, at a small part of the time."""
        while True:
            began, there_is_more = time.monotonic(), False
            try:
                there_is_more = not await self.count_up(CHUNK)
                there_is_more |= not await self.count_notes(1)
            except TRANSIENT as error:
                log.warning("counting_waits", error=type(error).__name__)
            await asyncio.sleep((time.monotonic() - began) * SHARE if there_is_more else PAUSE_S)

    async def count_up(self, at_most: int = AT_ONCE) -> bool:
        """Counts what isn't counted yet, so many transitions at most; returns whether that was all."""
        async with self._one:
            async with self._pool.acquire() as connection:
                behind = [p for p in await tally.positions(connection) if p.logged > p.counted]
            for position in behind:
                while position.counted < position.logged:
                    if at_most <= 0:
                        return False
                    counted, position = await self._count_chunk(position)
                    at_most -= counted
            await self._sum_up()
        return True

    async def _sum_up(self) -> None:
        """Makes the sums where they don't hold all that is counted."""
        async with self._pool.acquire() as connection:
            if await sums.are_made(connection):
                return
        async with self._pool.acquire() as connection, connection.transaction():
            await tally.lock(connection)
            if not await sums.are_made(connection):
                await sums.make(connection)

    async def count_notes(self, stretches: int = STRETCHES) -> bool:
        """Counts what notes tell of errors, so many stretches of time at most; returns whether that was all."""
        async with self._one:
            for _ in range(stretches):
                async with self._pool.acquire() as connection, connection.transaction():
                    await tally.lock(connection)
                    summed = await sums.are_made(connection)
                    if await tally.count_notes(connection, await log_begins(connection), STRETCH, summed):
                        return True
        return False

    async def _count_chunk(self, wanted: Position) -> tuple[int, Position]:
        """Counts a chunk of a shard's log; returns how many, and how far that is."""
        async with self._pool.acquire() as connection, connection.transaction():
            await tally.lock(connection)
            summed = await sums.are_made(connection)
            (now,) = [p for p in await tally.positions(connection) if p.shard == wanted.shard]
            rows = [told(row) for row in await tally.chunk(connection, now, CHUNK)]
            firsts: dict[int, int] = {}
            for row in rows:
                firsts.setdefault(row.connector, row.version)
            known = await tally.reasons_before(connection, firsts.items())
            counts = Counts(tries=await tally.newest_tries(connection, firsts))
            count(counts, rows, {pk: reason for (pk, _), reason in known.items()})
            await tally.add(connection, counts.hours, counts.errors, list(counts.changed.values()))
            seq = rows[-1].seq if len(rows) == CHUNK else now.logged  # dead letters have numbers, too
            summed &= not counts.unsure
            if summed:
                await sums.add(connection, counts.hours, counts.errors, counts.connected)
            await tally.move(connection, now.shard, seq, summed)
        measure(counts.changed.values())
        return len(rows), Position(now.shard, now.logged, seq)
