"""The door against a real PostgreSQL: what is submitted is stored once, in order, whole or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, Shard, TenantId
from schemas.lifecycle import ActorKind, Ignored, Outcome, Refused, State
from schemas.reasons import Reason
from schemas.records import ConnectorState, Evidence, ProviderError, Transition
from service.engine.door import Engine
from service.engine.fold import Unreadable, Work
from service.engine.queue import Chunk
from service.engine.submission import Actor, Busy, Judgement, Submission
from service.store.batch import Batch
from service.store.log import Logged
from service.store.migrate import migrate
from service.store.partitions import FenceLost, OffsetMove
from service.store.pool import Pool, open_pool
from service.store.postgres import PostgresStore
from statemachine import Rules
from statemachine.inputs import Disconnect, Input, Register, StartReauth, SyncFailed, SyncSucceeded, Update

SHARDS = 2
HOST = Actor(ActorKind.HOST)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


class AnyProvider:
    """Stands for the oauth room's judge, which has its own tests."""

    def knows(self, provider: ProviderId) -> bool:
        return True

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        return Judgement(Reason.TOKEN_REFUSED, Evidence(at="api", status=error.status))


def shard_of(connector: ConnectorId) -> Shard:
    return Shard(sum(connector.encode()) % SHARDS)


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[Engine]:
    """An engine on a migrated database."""
    pool = await open_pool(dsn)
    async with pool.acquire() as connection:
        await migrate(connection, shards=SHARDS)
    store = PostgresStore(pool, dsn)
    engine = Engine(store, shards=SHARDS, shard_of=shard_of, rules=Rules(), providers=AnyProvider())
    task = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pool.close()


@pytest.fixture
async def engine(database: str) -> AsyncIterator[Engine]:
    async with running(database) as engine:
        yield engine


def register(name: str = "c1", *, tenant: str = "t1", connected: bool = True) -> Register:
    return Register(
        connector=ConnectorId(name),
        tenant=TenantId(tenant),
        provider=ProviderId("quickbooks-online"),
        name="Books",
        connected=connected,
    )


def failed(name: str = "c1", *, minute: int = 1, reason: Reason = Reason.TOKEN_REFUSED) -> SyncFailed:
    return SyncFailed(connector=ConnectorId(name), occurred=NOW + timedelta(minutes=minute), reason=reason)


def succeeded(name: str = "c1", *, minute: int = 2) -> SyncSucceeded:
    return SyncSucceeded(connector=ConnectorId(name), occurred=NOW + timedelta(minutes=minute))


def by_host(input_: Input, tenant: str | None = None) -> Submission:
    return Submission(input=input_, actor=HOST, tenant=TenantId(tenant) if tenant else None)


def pool_of(engine: Engine) -> Pool:
    assert isinstance(engine.store, PostgresStore)
    return engine.store.pool


async def versions(pool: Pool, name: str = "c1") -> list[int]:
    rows = await pool.fetch(
        "select t.version from transition t join connector c on c.id = t.connector where connector_id = $1"
        " order by t.version",
        name,
    )
    return [row["version"] for row in rows]


async def test_a_transition_is_one_version_one_row_and_one_record_as_the_contract_says(engine: Engine) -> None:
    await engine.submit(by_host(register()))
    receipt = await engine.submit(by_host(failed()))
    assert (receipt.outcome, receipt.connector.state, receipt.connector.version) == (
        Outcome.TRANSITION,
        State.FAILED,
        2,
    )
    entries = [e async for e in _log(engine)]
    assert isinstance(entries[1], Logged)
    assert [entry.version for entry in entries] == [1, 2]
    told = Transition.model_validate_json(entries[1].record)
    assert (told.from_, told.to, told.reason, told.connector.failed_since) == (
        State.HEALTHY,
        State.FAILED,
        Reason.TOKEN_REFUSED,
        NOW + timedelta(minutes=1),
    )
    assert isinstance(told.connector, ConnectorState)


async def _log(engine: Engine):  # type: ignore[no-untyped-def]
    for shard in range(SHARDS):
        for entry in await engine.store.unpublished(Shard(shard), 0, 1000):
            yield entry


async def test_inputs_of_one_connector_from_many_callers_at_once_leave_no_gap_and_no_double(engine: Engine) -> None:
    await engine.submit(by_host(register()))
    inputs = [failed(minute=m) if m % 2 else succeeded(minute=m) for m in range(1, 60)]
    receipts = await asyncio.gather(*(engine.submit(by_host(i)) for i in inputs))
    moved = sum(receipt.outcome is Outcome.TRANSITION for receipt in receipts)
    assert await versions(pool_of(engine)) == list(range(1, moved + 2))


async def test_two_engines_on_one_database_keep_versions_whole(database: str, engine: Engine) -> None:
    async with running(database) as other:
        await engine.submit(by_host(register()))
        receipts = []
        for m in range(1, 80, 2):  # both at once, again and again: one of them has always read what the other changes
            one, another = by_host(failed(minute=m)), by_host(succeeded(minute=m + 1))
            receipts += await asyncio.gather(engine.submit(one), other.submit(another))
        moved = sum(receipt.outcome is Outcome.TRANSITION for receipt in receipts)
        assert await versions(pool_of(engine)) == list(range(1, moved + 2))


async def test_a_connector_of_another_tenant_is_unknown(engine: Engine) -> None:
    await engine.submit(by_host(register(tenant="t1")))
    receipt = await engine.submit(by_host(Disconnect(connector=ConnectorId("c1")), tenant="t2"))
    assert (receipt.outcome, receipt.why) == (Outcome.REFUSED, Refused.UNKNOWN_CONNECTOR)


async def test_an_ignored_input_is_kept_with_why_for_the_history(engine: Engine) -> None:
    await engine.submit(by_host(register()))
    await engine.submit(by_host(succeeded(minute=5)))
    receipt = await engine.submit(by_host(failed(minute=4)))
    assert (receipt.outcome, receipt.why) == (Outcome.IGNORED, Ignored.OLDER_RUN)
    note = await pool_of(engine).fetchrow("select outcome, why, reason from note")
    assert dict(note or {}) == {"outcome": "ignored", "why": "older_run", "reason": "token_refused"}


async def test_a_failure_that_passes_is_counted_and_kept_but_not_published(engine: Engine) -> None:
    await engine.submit(by_host(register()))
    receipt = await engine.submit(by_host(failed(reason=Reason.RATE_LIMITED)))
    assert (receipt.connector.state, receipt.connector.transient_failures) == (State.HEALTHY, 1)
    assert await versions(pool_of(engine)) == [1]
    assert await pool_of(engine).fetchval("select reason from note") == "rate_limited"


async def test_an_attempt_is_opened_with_its_transition(engine: Engine) -> None:
    await engine.submit(by_host(register()))
    attempt = AttemptId(uuid4())
    await engine.submit(by_host(StartReauth(connector=ConnectorId("c1"), attempt=attempt)))
    row = await pool_of(engine).fetchrow("select * from attempt")
    assert row is not None
    assert (row["attempt_id"], row["completion"], row["ended_at"]) == (attempt, "host", None)


# Records: the fence.


def records(*inputs: Input | None, first: int = 0, topic: str = "in", partition: int = 0) -> list[Work]:
    """Inputs as works of a partition; `None` is a record that can't be read."""
    return [
        Work(
            by_host(input_) if input_ is not None else Unreadable("malformed", "not JSON"),
            record=record(topic, partition, first + i),
        )
        for i, input_ in enumerate(inputs)
    ]


def record(topic: str, partition: int, offset: int) -> ConsumerRecord:
    return ConsumerRecord(
        topic, partition, offset, 0, 0, b"k", b"\x00raw", None, 1, 4, (("h", b"\xff"), ("null", None))
    )


def chunk(works: list[Work], *, epoch: int, first: int = 0) -> Chunk:
    move = OffsetMove("in", 0, epoch, first, first + len(works))
    return Chunk(move, works, asyncio.get_running_loop().create_future())


async def claimed(engine: Engine) -> int:
    return (await engine.store.claim_partition("in", 0)).epoch


async def test_the_consumed_offset_is_stored_with_what_it_caused(engine: Engine) -> None:
    one = chunk(records(register(), failed()), epoch=await claimed(engine))
    await engine.consume(one)
    await one.stored
    assert await pool_of(engine).fetchval("select next_offset from input_partition") == 2
    assert await versions(pool_of(engine)) == [1, 2]


async def test_a_batch_that_is_delivered_again_changes_nothing(engine: Engine) -> None:
    epoch = await claimed(engine)
    for _ in range(2):
        one = chunk(records(register(), failed()), epoch=epoch)
        await engine.consume(one)
        await one.stored
    assert await versions(pool_of(engine)) == [1, 2]
    assert await pool_of(engine).fetchval("select count(*) from note") == 0


async def test_a_zombie_of_an_older_epoch_loses_at_the_fence(engine: Engine) -> None:
    old = await claimed(engine)
    await claimed(engine)
    zombie = chunk(records(register()), epoch=old)
    await engine.consume(zombie)
    with pytest.raises(FenceLost):
        await zombie.stored
    assert await pool_of(engine).fetchval("select count(*) from connector") == 0


async def test_a_chunk_that_is_read_again_by_the_next_epoch_isnt_stored_beside_its_former_reading(
    engine: Engine,
) -> None:
    older = chunk(records(register(), failed()), epoch=await claimed(engine))
    newer = chunk(records(register(), failed()), epoch=await claimed(engine))
    await engine.consume(older)
    await engine.consume(newer)  # both wait in the queue when the next batch is taken
    with pytest.raises(FenceLost):
        await older.stored
    await newer.stored
    assert await versions(pool_of(engine)) == [1, 2]
    assert await pool_of(engine).fetchval("select count(*) from note") == 0


async def test_a_record_that_cant_be_read_is_a_dead_letter_and_hinders_nobody(engine: Engine) -> None:
    one = chunk(records(register(), None, failed()), epoch=await claimed(engine))
    await engine.consume(one)
    await one.stored
    letter = await pool_of(engine).fetchrow("select * from dead_letter")
    assert letter is not None
    assert (letter["record_value"], letter["header_values"], letter["code"]) == (
        b"\x00raw",
        [b"\xff", None],
        "malformed",
    )
    assert await versions(pool_of(engine)) == [1, 2]


async def test_a_record_that_the_database_itself_refuses_is_buried_alone(engine: Engine) -> None:
    poison = SyncFailed(connector=ConnectorId("c1"), occurred=NOW, reason=Reason.TOKEN_REFUSED, position="a\x00b")
    one = chunk(records(register(), register("c2"), poison, failed("c2")), epoch=await claimed(engine))
    await engine.consume(one)
    await one.stored
    assert await pool_of(engine).fetch("select code, record_offset from dead_letter") == [("broken", 2)]
    assert (await versions(pool_of(engine)), await versions(pool_of(engine), "c2")) == ([1], [1, 2])
    assert await pool_of(engine).fetchval("select next_offset from input_partition") == 4


class UnknownTrouble(PostgresStore):
    """A store that fails three times with an error of the database that nobody knows to pass."""

    failures = 3

    async def store(self, batch: Batch, now: datetime) -> None:
        if type(self).failures > 0:
            type(self).failures -= 1
            raise asyncpg.InternalServerError("cache lookup failed")
        await PostgresStore.store(self, batch, now)


async def test_an_error_of_the_database_that_nobody_knows_buries_no_record(engine: Engine) -> None:
    epoch = await claimed(engine)
    engine.store = UnknownTrouble(pool_of(engine), "")
    one = chunk(records(register(), failed()), epoch=epoch)
    await engine.consume(one)
    async with asyncio.timeout(30):
        await one.stored
    assert await versions(pool_of(engine)) == [1, 2]
    assert await pool_of(engine).fetchval("select count(*) from dead_letter") == 0


async def test_a_refused_command_is_a_dead_letter_with_its_reason(engine: Engine) -> None:
    one = chunk(records(failed("nobody")), epoch=await claimed(engine))
    await engine.consume(one)
    await one.stored
    assert await pool_of(engine).fetchval("select code from dead_letter") == "unknown_connector"


async def test_generations_never_go_back_and_older_ones_are_stale(engine: Engine) -> None:
    await engine.submit(by_host(register()))
    late = SyncFailed(connector=ConnectorId("c1"), occurred=NOW, reason=Reason.TOKEN_REFUSED, generation=Generation(7))
    receipt = await engine.submit(by_host(late))
    assert receipt.why is Ignored.UNKNOWN_GENERATION


class Unheard(PostgresStore):
    """A store whose first answer is lost on the way back: the batch is stored all the same."""

    lost = 1

    async def store(self, batch: Batch, now: datetime) -> None:
        await PostgresStore.store(self, batch, now)
        if type(self).lost > 0:
            type(self).lost -= 1
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


async def test_a_caller_whose_batch_was_stored_unheard_is_not_stored_twice(engine: Engine) -> None:
    await engine.submit(by_host(register()))
    epoch = await claimed(engine)
    engine.store = Unheard(pool_of(engine), "")
    one = chunk(records(failed(), succeeded()), epoch=epoch)
    caller = Work(by_host(Update(connector=ConnectorId("c1"), name="Ledger")), answer=asyncio.Future())
    await engine._process([caller], [one])
    assert one.stored.done()
    assert caller.answer is not None
    with pytest.raises(Busy):
        await caller.answer
    assert await versions(pool_of(engine)) == [1, 2, 3, 4]
