"""Random sequences of calls: each is drawn once and made on both stores, which must answer alike."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from schemas.ids import AttemptId, ConnectorId, Generation, Shard
from schemas.lifecycle import Step
from schemas.reasons import Reason
from service.engine.fold import Unreadable
from service.engine.submission import JobLease
from service.store.batch import Batch, Conflict, Loaded
from service.store.consequences import LeasesLost
from service.store.due import Job
from service.store.log import Watermark
from service.store.partitions import FenceLost, OffsetMove, Position
from service.store.postgres import PostgresStore
from statemachine.connector import Account
from statemachine.inputs import (
    Cancelled,
    Disconnect,
    GrantReceived,
    GrantShared,
    Input,
    ProviderUnavailable,
    Rejected,
    StartReauth,
    SyncFailed,
    SyncSucceeded,
    Update,
    Verified,
)
from tests.integration.store_subjects import (
    BEGIN,
    CODE,
    PAST,
    RULES,
    SHARDS,
    TOPIC,
    Subject,
    attempt,
    in_memory,
    named,
    on_postgres,
    register,
)
from tests.simulation.store import MemoryStore


@dataclass
class Side:
    """One of the two stores, with what only it can name: its leases, and batches that are stored later."""

    subject: Subject
    jobs: dict[tuple[str, AttemptId | None, ConnectorId], Job] = field(default_factory=dict)
    held: tuple[Batch, datetime] | None = None


Call = Callable[[Side], Awaitable[object]]


class Drawn:
    """Draws calls from a seed, and from what the store in memory holds: so that many are about the live attempt."""

    def __init__(self, seed: int, store: MemoryStore) -> None:
        self.rng = random.Random(seed)
        self._store = store
        self._minute = 0

    def call(self) -> tuple[str, Call]:
        kinds = (self._take, self._take, self._take, self._take, self._hold, self._store_held, self._claim)
        kinds += (
            self._relay,
            self._mark,
            self._read,
            self._due,
            self._lease,
            self._lease,
            self._job,
            self._result,
            self._result,
        )
        return self.rng.choice(kinds)()

    def _input(self) -> Input:
        id_ = ConnectorId(f"c{self.rng.randrange(3)}")
        row = self._store.tables.connectors.get(id_)
        live = row.connector.attempt if row else None
        if live is None or self.rng.random() < 0.3:
            live = attempt(self.rng.randint(1, 40))
        self._minute += 1
        at = BEGIN + timedelta(minutes=self._minute)
        match self.rng.randrange(14):
            case 0 | 1:
                return register(id_, self.rng.random() < 0.5)
            case 2 | 3:
                return SyncFailed(connector=id_, occurred=at, reason=Reason.TOKEN_REFUSED)
            case 4:
                return SyncSucceeded(connector=id_, occurred=at)
            case 5 | 6 | 7:
                return StartReauth(connector=id_, attempt=live)
            case 8 | 9 | 10 | 11:
                return GrantReceived(connector=id_, attempt=live)
            case 12:
                return Cancelled(connector=id_, attempt=live)
            case _:
                return self.rng.choice((Update(connector=id_, name=f"N{self._minute}"), Disconnect(connector=id_)))

    def _batch(self) -> tuple[list[Input | Unreadable], dict[str, Any]]:
        inputs: list[Input | Unreadable] = [self._input() for _ in range(self.rng.randint(1, 4))]
        more: dict[str, Any] = {"rules": self.rng.choice((RULES, PAST)), "code": CODE}
        if self.rng.random() < 0.5:
            at = self._store.tables.partitions.get((TOPIC, 0), Position(1, 0))
            if self.rng.random() < 0.25:
                at = Position(self.rng.randint(1, 2), self.rng.randrange(4))
            if self.rng.random() < 0.4:
                inputs.append(Unreadable("malformed", "d"))
            more["move"] = OffsetMove(TOPIC, 0, at.epoch, at.at, at.at + len(inputs))
        if self.rng.random() < 0.5:
            more["marks"] = (Watermark(Shard(0), self.rng.randint(0, 2), self.rng.randint(0, 5)),)
        return inputs, more

    def _take(self) -> tuple[str, Call]:
        inputs, more = self._batch()

        async def call(side: Side) -> object:
            return _written(await side.subject.take(*inputs, **more))

        return f"take {inputs} {more}", call

    def _hold(self) -> tuple[str, Call]:
        inputs, more = self._batch()

        async def call(side: Side) -> object:
            side.held = await side.subject.folded(*inputs, **more)
            return [t.version for t in side.held[0].transitions]

        return f"hold {inputs} {more}", call

    def _store_held(self) -> tuple[str, Call]:
        async def call(side: Side) -> object:
            if side.held is None:
                return None
            await side.subject.store.store(*side.held)
            return _written(side.held[0])

        return "store what is held", call

    def _claim(self) -> tuple[str, Call]:
        return "claim", lambda side: side.subject.store.claim_partition(TOPIC, 0)

    def _relay(self) -> tuple[str, Call]:
        shard = Shard(self.rng.randrange(SHARDS))
        return f"relay {shard}", lambda side: side.subject.store.claim_relay(shard)

    def _mark(self) -> tuple[str, Call]:
        shard, epoch, seq = Shard(self.rng.randrange(SHARDS)), self.rng.randint(0, 2), self.rng.randint(0, 6)
        return f"mark {shard} {epoch} {seq}", lambda side: side.subject.store.move_watermark(shard, epoch, seq)

    def _read(self) -> tuple[str, Call]:
        shard, after, limit = self.rng.randrange(SHARDS), self.rng.randint(0, 6), self.rng.randint(1, 9)

        async def call(side: Side) -> object:
            return [(e.seq, named(e)) for e in await side.subject.log(shard, after, limit)]

        return f"read {shard} {after} {limit}", call

    def _due(self) -> tuple[str, Call]:
        own = [Shard(shard) for shard in range(SHARDS) if self.rng.random() < 0.5]
        lateness = self.rng.choice((timedelta(seconds=30), timedelta(hours=1)))

        async def call(side: Side) -> object:
            return sorted((d.connector, d.state, d.step) for d in await side.subject.store.due(own, lateness, 10))

        return f"due {own} {lateness}", call

    def _lease(self) -> tuple[str, Call]:
        lease = self.rng.choice((timedelta(seconds=-60), timedelta(hours=1)))

        async def call(side: Side) -> object:
            jobs = await side.subject.store.lease_jobs(50, lease)
            side.jobs |= {(job.kind, job.attempt, job.connector): job for job in jobs if job.attempt is not None}
            return sorted((job.kind, job.connector, str(job.attempt), job.tries) for job in jobs)

        return f"lease {lease}", call

    def _job(self) -> tuple[str, Call]:
        nth, renews = self.rng.randrange(4), self.rng.random() < 0.5
        pause = self.rng.choice((timedelta(seconds=-60), timedelta(hours=1)))

        async def call(side: Side) -> object:
            held = sorted(side.jobs.items(), key=lambda item: str(item[0]))[nth : nth + 1]
            for _, job in held:
                store = side.subject.store
                await (store.renew if renews else store.postpone)(job, pause)
            return [what for what, _ in held]

        return f"{'renew' if renews else 'postpone'} the {nth}th job for {pause}", call

    def _result(self) -> tuple[str, Call]:
        """Of all jobs, the first whose attempt is live: its grant is kept and its result handed in."""
        away, wrong, lost = (self.rng.random() < 0.3 for _ in range(3))

        async def call(side: Side) -> object:
            jobs = await side.subject.store.lease_jobs(50, timedelta(hours=1))
            side.jobs |= {(job.kind, job.attempt, job.connector): job for job in jobs if job.attempt is not None}
            for what, job in sorted(side.jobs.items(), key=lambda item: str(item[0])):
                kind, about, _ = what
                one = await side.subject.loaded(job.connector)
                if (
                    kind not in ("verify", "share")
                    or about is None
                    or (kind == "verify" and one.connector.attempt != about)
                ):
                    continue
                del side.jobs[what]
                held = replace(job, lease=UUID(int=1)) if lost else job
                if kind == "share":
                    return await _shared(side, held, one, wrong)
                return await _handed_in(side, held, one, away, wrong)
            return None

        return f"result away={away} wrong={wrong} lost={lost}", call


async def _handed_in(side: Side, job: Job, one: Loaded, away: bool, wrong: bool) -> object:
    assert job.attempt is not None
    lease, id_ = JobLease(job.id, str(job.lease)), job.connector
    if away:
        input_: Input = ProviderUnavailable(connector=id_, attempt=job.attempt, reason=Reason.PROVIDER_UNAVAILABLE)
        return _written(await side.subject.take(input_, lease=lease))
    kept = await side.subject.add_candidate(job, Generation(one.connector.generation + 1))
    if wrong:
        input_ = Rejected(connector=id_, attempt=job.attempt, reason=Reason.WRONG_ACCOUNT, step=Step.EXCHANGED)
    else:
        input_ = Verified(connector=id_, attempt=job.attempt, account=Account("9130", "Acme"))
    return kept, _written(await side.subject.take(input_, lease=lease))


async def _shared(side: Side, job: Job, one: Loaded, late: bool) -> object:
    assert job.attempt is not None
    copied = await side.subject.copy(job)
    generation, account = Generation(one.connector.generation - late), Account("9130", "Acme")
    shared = GrantShared(connector=job.connector, attempt=job.attempt, account=account, generation=generation)
    return copied, _written(await side.subject.take(shared, lease=JobLease(job.id, str(job.lease))))


def _written(batch: Batch) -> object:
    return [(t.seq, t.connector, t.version, t.trigger) for t in batch.transitions], [d.seq for d in batch.dead_letters]


async def _answer(side: Side, call: Call) -> object:
    try:
        return await call(side)
    except FenceLost as lost:
        return "FenceLost", lost.moves
    except LeasesLost as lost:
        return "LeasesLost", len(lost.jobs)
    except (Conflict, asyncpg.UniqueViolationError, AssertionError) as error:
        return type(error).__name__


async def _stands(side: Side) -> object:
    """Everything that both can tell, without times and without numbers of rows."""
    rows = []
    for name in ("c0", "c1", "c2"):
        one = await side.subject.loaded(name)
        c = one.connector
        known = (c.state, c.version, c.generation, c.account, c.reason, c.attempt, c.fallback, c.attempt_reason, c.name)
        rows.append((name, one.pk is not None, one.revision, known, c.unavailable, c.deadline is None))
    logs = [[(e.seq, named(e)) for e in await side.subject.log(shard)] for shard in range(SHARDS)]
    return rows, logs, await side.subject.store.position(TOPIC, 0)


SEQUENCES, CALLS = 40, 50


@pytest.mark.slow
async def test_r01_random_sequences_of_calls_are_answered_alike_by_both(database: str) -> None:
    happened: set[str] = set()
    async with on_postgres(database) as subject:
        assert isinstance(subject.store, PostgresStore)
        for seed in range(SEQUENCES):
            await subject.store.pool.execute(
                "truncate connector, transition, note, dead_letter, attempt, credential, job, input_partition"
            )
            await subject.store.pool.execute("update shard set next_seq = 1, published_seq = 0, relay_epoch = 0")
            memory = in_memory()
            assert isinstance(memory.store, MemoryStore)
            real, simulated, drawn = Side(subject), Side(memory), Drawn(seed, memory.store)
            made: list[str] = []
            for _ in range(CALLS):
                words, call = drawn.call()
                made.append(words)
                answers = [await _answer(side, call) for side in (real, simulated)]
                assert answers[0] == answers[1], f"seed {seed}:\n" + "\n".join(made)
                happened.add(str(answers[0][0]) if isinstance(answers[0], tuple) else str(answers[0]))
                assert await _stands(real) == await _stands(simulated), f"seed {seed}:\n" + "\n".join(made)
    assert happened >= {"FenceLost", "LeasesLost", "Conflict", "UniqueViolationError"}
