"""A store under test, in memory or on PostgreSQL, and the inputs that the store's tests hand in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, Shard, TenantId
from schemas.lifecycle import ActorKind
from schemas.reasons import Reason
from schemas.records import Evidence, ProviderError
from service.engine.fold import Unreadable, Work, fold
from service.engine.submission import Actor, JobLease, Judgement, ReceivedCode, Submission
from service.store import credentials, sharing
from service.store.batch import Batch, Loaded
from service.store.credentials import DataKey, Lifetimes
from service.store.due import Job
from service.store.log import Entry, Logged, Watermark
from service.store.migrate import migrate
from service.store.partitions import OffsetMove
from service.store.pool import open_pool
from service.store.port import Store
from service.store.postgres import PostgresStore
from service.store.sharing import Copied
from statemachine import Rules
from statemachine.inputs import (
    Input,
    Register,
    StartReauth,
    SyncFailed,
)
from tests.simulation.broker import Record
from tests.simulation.store import MemoryStore

SHARDS = 2
LOGIN_MENDS = [reason.value for reason in Reason if reason.offers_login]
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
TOPIC = "connectors.sync.events.v1"
# No deadline passes by itself while a test runs; those that shall have passed are set in the past.
RULES = Rules(attempt_time=timedelta(hours=1), backoff_base=timedelta(hours=1))
PAST = Rules(attempt_time=timedelta(seconds=-60), verification_time=timedelta(seconds=-60))


class Candidates(Protocol):
    """The verification's own statement, which isn't part of the port."""

    async def __call__(self, job: Job, generation: Generation) -> bool: ...


class Copies(Protocol):
    """The sharing's own statement, likewise."""

    async def __call__(self, job: Job) -> bool: ...


@dataclass
class Subject:
    """A store under test."""

    store: Store
    add_candidate: Candidates
    copy: Copies
    known: dict[ConnectorId, int] = field(default_factory=dict)

    async def take(self, *inputs: Input | Unreadable, **more: Any) -> Batch:
        """Loads, folds and stores, as the door does."""
        batch, now = await self.folded(*inputs, **more)
        await self.store.store(batch, now)
        return batch

    async def folded(
        self,
        *inputs: Input | Unreadable,
        move: OffsetMove | None = None,
        rules: Rules = RULES,
        lease: JobLease | None = None,
        code: ReceivedCode | None = None,
        marks: tuple[Watermark, ...] = (),
        wake: tuple[Shard, ...] = (),
    ) -> tuple[Batch, datetime]:
        """A batch as it would be stored now."""
        works = [_work(i, n, move, lease, code) for n, i in enumerate(inputs)]
        ids = {id_ for work in works if (id_ := work.connector) is not None}
        now, loaded = await self.store.load(ids, shard_of)
        batch, _ = fold(works, loaded, now, rules, AnyProvider())
        batch.offsets = [move] if move else []
        batch.watermarks, batch.wake = list(marks), list(wake)
        return batch, now

    async def loaded(self, name: str = "c0") -> Loaded:
        id_ = ConnectorId(name)
        return (await self.store.load([id_], shard_of))[1][id_]

    async def log(self, shard: int = 0, after: int = 0, limit: int = 100) -> list[Entry]:
        return await self.store.unpublished(Shard(shard), after, limit)


class AnyProvider:
    def knows(self, provider: ProviderId) -> bool:
        return True

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        return Judgement(Reason.TOKEN_REFUSED, Evidence(at="api", status=error.status))


def shard_of(id_: ConnectorId) -> Shard:
    return Shard(int(id_[-1]) % SHARDS)


def _work(
    i: Input | Unreadable, n: int, move: OffsetMove | None, lease: JobLease | None, code: ReceivedCode | None
) -> Work:
    record = Record(move.topic, move.partition, move.first + n, b"c0", b"value", ()) if move else None
    if isinstance(i, Unreadable):
        return Work(i, record=record)
    submission = Submission(input=i, actor=Actor(ActorKind.HOST), lease=lease, attachment=code)
    answer = None if move else asyncio.get_running_loop().create_future()
    return Work(submission, answer=answer, record=record)


def register(name: str = "c0", connected: bool = True) -> Register:
    return Register(
        connector=ConnectorId(name),
        tenant=TenantId("t1"),
        provider=ProviderId("books"),
        name="Books",
        connected=connected,
    )


def failed(name: str = "c0", minute: int = 1) -> SyncFailed:
    at = BEGIN + timedelta(minutes=minute)
    return SyncFailed(connector=ConnectorId(name), occurred=at, reason=Reason.TOKEN_REFUSED)


def reauth(number: int, name: str = "c0") -> StartReauth:
    return StartReauth(connector=ConnectorId(name), attempt=attempt(number))


def attempt(number: int) -> AttemptId:
    return AttemptId(UUID(int=number))


C0 = ConnectorId("c0")
CODE = ReceivedCode(sealed=b"sealed", data_key=1, claimed_account="9130")


def in_memory() -> Subject:
    store = MemoryStore(SHARDS, lambda: datetime.now(UTC), uuid4)
    return Subject(store, store.add_candidate, store.copy)


@asynccontextmanager
async def on_postgres(dsn: str) -> AsyncIterator[Subject]:
    async with await open_pool(dsn) as pool:
        async with pool.acquire() as connection:
            await migrate(connection, shards=SHARDS)

        async def add_candidate(job: Job, generation: Generation) -> bool:
            assert job.attempt is not None
            hour = timedelta(hours=1)
            async with pool.acquire() as connection:
                return await credentials.add_candidate(
                    connection,
                    pk=job.pk,
                    generation=generation,
                    attempt=job.attempt,
                    key=DataKey(1, b""),
                    access_sealed=b"",
                    refresh_sealed=None,
                    lifetimes=Lifetimes(hour, None, None),
                    scope="",
                    job=job.id,
                    lease=job.lease,
                )

        async def copy(job: Job) -> bool:
            assert job.attempt is not None
            async with pool.acquire() as connection:
                brought = await sharing.brought(connection, job.attempt)
                other = await credentials.current(connection, job.pk)
                if brought is None or other is None:
                    return False
                sealed = Copied(DataKey(1, b""), b"", None, None)
                return await sharing.copy(connection, job, brought, other, sealed, LOGIN_MENDS)

        yield Subject(PostgresStore(pool, dsn), add_candidate, copy)


def named(entry: Entry) -> str:
    return f"{entry.connector}/{entry.version}" if isinstance(entry, Logged) else f"@{entry.offset}"
