"""R3: the model is the code's. Its lifecycle is held against the table, and its statements against PostgreSQL's.

The database's part of the model is explored for itself; every (state, statement) of it that is reached is played on
PostgreSQL, from the same state, by the service's own fold and store, and answer and state must be the same.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from schemas.ids import AttemptId, ConnectorId, ProviderId, Shard, TenantId
from schemas.lifecycle import ActorKind, Outcome, State, Step
from schemas.reasons import Reason
from schemas.records import ProviderError
from service.engine.fold import Work, fold
from service.engine.submission import Actor, Judgement, Receipt, Submission
from service.store import log, partitions, write
from service.store.batch import Conflict, Loaded
from service.store.migrate import migrate
from service.store.partitions import FenceLost, OffsetMove
from service.store.pool import Connection
from statemachine import Rules, decide
from statemachine.connector import Connector
from statemachine.inputs import AuthExpired, StartReauth, SyncFailed
from statemachine.inputs import Input as RealInput
from tests.model import database, lifecycle
from tests.model.database import CONFLICT, FENCE_LOST, ID_TAKEN, Database, Entry, Mark, Move, Stored
from tests.model.guards import Guards
from tests.model.lifecycle import Input
from tests.model.protocol import Bounds, first, steps

RULES = Rules()
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
TOPIC, PARTITION, SHARD = "in", 0, Shard(0)

# From the model's words to the code's, and back.


def instant(number: int) -> datetime:
    """The instant that a deadline of the model was set for."""
    return BEGIN + timedelta(hours=number)


def attempt(number: int) -> AttemptId:
    return AttemptId(UUID(int=number))


def real(n: int, c: lifecycle.Connector) -> Connector:
    """A connector of the model as the code has it. A connector that failed, failed for a reason that a login mends."""
    failed = lifecycle.FAILED in (c.state, c.fallback)
    return Connector(
        ConnectorId(f"c{n}"),
        state=State(c.state),
        version=c.version,
        tenant=TenantId("t1"),
        provider=ProviderId("books"),
        name="Books",
        reason=Reason.TOKEN_REFUSED if failed else None,
        since=BEGIN,
        deadline=instant(c.deadline) if c.deadline is not None else None,
        attempt=attempt(c.attempt) if c.attempt is not None else None,
        fallback=State(c.fallback) if c.fallback is not None else None,
    )


def seen(c: Connector, revision: int) -> lifecycle.Connector:
    """A connector of the code as the model sees it. A reminder's deadline isn't in the model."""
    waits = c.state is State.AWAITING_AUTH and c.deadline is not None
    return lifecycle.Connector(
        c.state.value,
        c.fallback.value if c.fallback else None,
        c.attempt.int if c.attempt else None,
        (c.deadline - BEGIN) // timedelta(hours=1) if waits and c.deadline else None,
        c.version,
        revision,
    )


def said(i: Input, minute: int) -> RealInput:
    id_ = ConnectorId(f"c{i.connector}")
    if i.trigger == lifecycle.START_REAUTH:
        assert i.attempt is not None
        return StartReauth(connector=id_, attempt=attempt(i.attempt))
    if i.trigger == lifecycle.AUTH_EXPIRED:
        assert i.due is not None
        return AuthExpired(connector=id_, due=instant(i.due), step=Step.LINK_OFFERED)
    return SyncFailed(connector=id_, occurred=BEGIN + timedelta(minutes=minute), reason=Reason.TOKEN_REFUSED)


# The lifecycle.


def _connectors() -> Iterator[lifecycle.Connector]:
    """Every connector that the model's lifecycle can make, up to version 4."""
    reached, queue = set(), [lifecycle.Connector(lifecycle.HEALTHY), lifecycle.Connector(lifecycle.FAILED)]
    while queue:
        c = queue.pop()
        if c in reached or c.version > 4:
            continue
        reached.add(c)
        queue.extend(lifecycle.decide(c, i)[1] for i in _inputs(c))
    yield from sorted(reached, key=repr)


def _inputs(c: lifecycle.Connector) -> Iterator[Input]:
    yield Input("", lifecycle.SYNC_FAILED, 0)
    for number in (1, 2):
        yield Input("", lifecycle.START_REAUTH, 0, attempt=number)
    for due in {1, c.deadline or 1}:
        yield Input("", lifecycle.AUTH_EXPIRED, 0, due=due)


def test_r03_the_models_lifecycle_is_the_tables_in_every_cell_that_it_has() -> None:
    cells = set()
    for c in _connectors():
        for i in _inputs(c):
            outcome, after = lifecycle.decide(c, i)
            now = instant(c.version + 1) - RULES.attempt_time
            decision = decide(real(0, c), said(i, 1), now, RULES)
            assert decision.outcome is Outcome(outcome), (c, i)
            assert seen(decision.connector, 1) == after, (c, i)
            cells.add((c.state, i.trigger))
    assert len(cells) == 9


# The statements.

Call = tuple[Any, ...]  # Any: each statement's own parameters


class Watched:
    """Notes which statements the model calls in which state, and what they answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[tuple[str, Call], Any] = {}
        for name in ("claim_partition", "claim_relay", "move_watermark", "unpublished", "store"):
            monkeypatch.setattr(database, name, self._watched(name, getattr(database, name)))

    def _watched(self, name: str, statement: Any) -> Any:
        def call(*given: Any) -> Any:
            answer = self.seen[name, given] = statement(*given)
            return answer

        return call


def explored(bounds: Bounds, watched: Watched) -> dict[tuple[str, Call], Any]:
    reached, queue = {first(bounds)}, [first(bounds)]
    while queue:
        for _, after in steps(queue.pop(), Guards()):
            if after not in reached:
                reached.add(after)
                queue.append(after)
    return watched.seen


SMALL = (
    Bounds(relays=False, looks=1, crashes=0, rebalances=1, lost_answers=0),
    Bounds(looks=1, crashes=0, rebalances=0, lost_answers=1),
)


class AnyProvider:
    def knows(self, provider: ProviderId) -> bool:
        return True

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        raise AssertionError("the model's failures are judged")


@dataclass
class Real:
    """PostgreSQL in a state of the model."""

    connection: Connection
    pks: dict[int, int]

    async def put(self, db: Database) -> None:
        await self.connection.execute("truncate connector, transition, attempt, input_partition, note, job")
        await self.connection.execute(
            "update shard set next_seq = $1, published_seq = $2, relay_epoch = $3 where shard = 0",
            db.next_seq,
            db.published,
            db.relay_epoch,
        )
        await self.connection.execute(
            "insert into input_partition (topic, partition, owner_epoch, next_offset) values ($1, 0, $2, $3)",
            TOPIC,
            db.epoch,
            db.next_offset,
        )
        for n, c in enumerate(db.connectors):
            self.pks[n] = await self._connector(n, c)
        for number in sorted(db.attempts):
            await self._attempt(number, db)
        for entry in db.log:
            await self.connection.execute(
                "insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, record)"
                " values (0, $1, $2, $3, $4, 'healthy', 'healthy', 'update', '{\"connector\": {}}')",
                entry.seq,
                BEGIN,
                self.pks[entry.connector],
                entry.version,
            )

    async def _connector(self, n: int, c: lifecycle.Connector) -> int:
        row = real(n, c)
        pk: int = await self.connection.fetchval(
            "insert into connector (connector_id, shard, tenant_id, provider, name, state, version, revision, reason,"
            " since, deadline, attempt_id, fallback) values ($1, 0, 't1', 'books', 'Books', $2, $3, $4, $5, $6, $7, $8,"
            " $9) returning id",
            row.id,
            row.state,
            row.version,
            c.revision,
            row.reason,
            row.since,
            row.deadline,
            row.attempt,
            row.fallback,
        )
        return pk

    async def _attempt(self, number: int, db: Database) -> None:
        await self.connection.execute(
            "insert into attempt (attempt_id, connector, tenant_id, opened_at, expires_at, completion)"
            " values ($1, $2, 't1', $3, $3, 'host')",
            attempt(number),
            self.pks[0],
            BEGIN,
        )

    async def looked_at(self) -> Database:
        """The state again, without what only the model notes."""
        shard = await self.connection.fetchrow("select * from shard where shard = 0")
        partition = await self.connection.fetchrow("select * from input_partition")
        loaded = (await write.load(self.connection, [ConnectorId("c0"), ConnectorId("c1")], lambda _: SHARD))[1]
        rows = await self.connection.fetch("select * from transition order by seq")
        number_of = {pk: n for n, pk in self.pks.items()}
        attempts = await self.connection.fetch("select attempt_id from attempt")
        assert shard is not None and partition is not None
        return Database(
            partition["owner_epoch"],
            partition["next_offset"],
            tuple(seen(one.connector, one.revision) for _, one in sorted(loaded.items())),
            tuple(Entry(row["seq"], number_of[row["connector"]], row["version"], "", None, None) for row in rows),
            shard["next_seq"],
            shard["published_seq"],
            shard["relay_epoch"],
            frozenset(row["attempt_id"].int for row in attempts),
        )

    # The statements, by their names in the model.

    async def claim_partition(self) -> None:
        await partitions.claim_partition(self.connection, TOPIC, PARTITION)

    async def claim_relay(self) -> None:
        await log.claim_relay(self.connection, SHARD)

    async def move_watermark(self, epoch: int, seq: int) -> bool:
        return await log.move_watermark(self.connection, SHARD, epoch, seq)

    async def unpublished(self, after: int, limit: int) -> list[tuple[int, str, int]]:
        entries = await log.unpublished(self.connection, SHARD, after, limit)
        return [(e.seq, e.connector, e.version) for e in entries if isinstance(e, log.Logged)]

    async def store(
        self,
        move: Move | None,
        inputs: tuple[Input, ...],
        read: tuple[lifecycle.Connector | None, ...],
        guards: Guards,
        first_seq: int | None = None,
        mark: Mark | None = None,
    ) -> str | list[int]:
        """The fold and the store of the service, on what was read."""
        loaded = {
            ConnectorId(f"c{n}"): Loaded(self.pks[n], c.revision, SHARD, real(n, c))
            for n, c in enumerate(read)
            if c is not None
        }
        works = [_work(i, minute) for minute, i in enumerate(inputs, start=1)]
        now = _now(inputs, read)
        batch, _ = fold(works, loaded, now, RULES, AnyProvider())
        if move is not None:
            batch.offsets = [OffsetMove(TOPIC, PARTITION, move.epoch, move.first, move.next_)]
        if mark is not None:
            batch.watermarks = [log.Watermark(SHARD, mark.epoch, mark.seq)]
        if batch.is_empty():
            return []
        try:
            await write.store(self.connection, batch, now)
        except FenceLost:
            return FENCE_LOST
        except Conflict:
            return CONFLICT
        except asyncpg.UniqueViolationError:
            return ID_TAKEN
        return [t.seq for t in batch.transitions]


def _work(i: Input, minute: int) -> Work:
    answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    return Work(Submission(input=said(i, minute), actor=Actor(ActorKind.HOST)), answer=answer)


def _now(inputs: tuple[Input, ...], read: tuple[lifecycle.Connector | None, ...]) -> datetime:
    """When the batch was loaded: so that a deadline set by it is the one that the model says."""
    now_is, last = list(read), 1
    for i in inputs:
        before = now_is[i.connector]
        assert before is not None
        _, after = lifecycle.decide(before, i)
        now_is[i.connector] = after
        if after.deadline is not None and after.deadline != before.deadline:
            last = after.deadline
    return instant(last) - RULES.attempt_time


def _bare(db: Database) -> Database:
    return db._replace(log=tuple(Entry(e.seq, e.connector, e.version, "", None, None) for e in db.log), handled=())


def _expected(name: str, before: Database, answer: Any) -> tuple[Any, Database]:
    """The model's answer and state, in the words of `Real`."""
    match name:
        case "claim_partition" | "claim_relay":
            return None, answer
        case "unpublished":
            return [(e.seq, f"c{e.connector}", e.version) for e in answer], before
        case "store":
            told, db = answer
            return ([e.seq for e in told.entries] if isinstance(told, Stored) else told), db
    told, db = answer
    return told, db


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Real]:
    connection = await asyncpg.connect(database)
    try:
        await migrate(connection, shards=1)
        yield Real(connection, {})
    finally:
        await connection.close()


def _calls(monkeypatch: pytest.MonkeyPatch) -> dict[Database, dict[tuple[str, Call], Any]]:
    """By the state without what only the model notes: what is called there."""
    watched = Watched(monkeypatch)
    for bounds in SMALL:
        explored(bounds, watched)
    monkeypatch.undo()
    by_state: dict[Database, dict[tuple[str, Call], Any]] = {}
    for (name, (db, *given)), answer in watched.seen.items():
        expected = _expected(name, db, answer)
        by_state.setdefault(_bare(db), {})[name, tuple(given)] = (expected[0], _bare(expected[1]))
    return by_state


@pytest.mark.slow
async def test_r03_every_statement_in_every_state_of_the_model_does_the_same_in_postgresql(
    postgres: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_state = _calls(monkeypatch)
    names = set()
    for db, calls in by_state.items():
        outer = postgres.connection.transaction(isolation="repeatable_read")  # as one of the statements asks for
        await outer.start()
        await postgres.put(db)
        assert await postgres.looked_at() == db
        for (name, given), expected in calls.items():
            inner = postgres.connection.transaction()
            await inner.start()
            # A statement that fails leaves its own savepoint behind, as in the service its transaction.
            savepoint = postgres.connection.transaction()
            await savepoint.start()
            told = await getattr(postgres, name)(*given)
            failed = told in (FENCE_LOST, CONFLICT, ID_TAKEN)
            await (savepoint.rollback() if failed else savepoint.commit())
            assert (told, await postgres.looked_at()) == expected, (name, given, db)
            names.add((name, told if failed else "done"))
            await inner.rollback()
        await outer.rollback()
    count = sum(map(len, by_state.values()))
    print(f"{len(by_state)} states of the database, {count} statements")
    assert count > 500
    assert names >= {
        ("claim_partition", "done"),
        ("claim_relay", "done"),
        ("unpublished", "done"),
        ("move_watermark", "done"),
        ("store", "done"),
        ("store", FENCE_LOST),
        ("store", CONFLICT),
        ("store", ID_TAKEN),
    }
