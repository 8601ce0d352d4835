"""The door: `Engine.submit` for whoever waits for an answer, `Engine.consume` for a partition's inputs.

Each shard has one loop. It takes what is queued (callers first), loads the connectors, folds, stores, answers. No timer
makes batches: they form by themselves while the last commit runs. A queue is bounded; a full one says so to callers
(`Busy`), and the consumer waits.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import asyncpg
import structlog

from schemas.ids import ConnectorId, Shard
from service.engine.figures import count_batch, count_retry
from service.engine.fold import Unreadable, Work, fold, replaceable
from service.engine.queue import Chunk, Queue, moves, settle, split, take
from service.engine.signals import Signal
from service.engine.spans import Traceparents, begin_spans
from service.engine.submission import Busy, LeaseLost, ProviderPort, Receipt, Submission
from service.engine.tail import Tail
from service.store.batch import Batch, Conflict
from service.store.consequences import CredentialSwapped, LeasesLost, VerificationWanted
from service.store.log import Entry
from service.store.partitions import FenceLost
from service.store.pool import TRANSIENT
from service.store.port import Store
from service.telemetry import traces
from statemachine import Rules

log = structlog.get_logger()

CALLERS_CAP = 1000
"""Callers' inputs that may wait in a shard's queue."""
ANSWER_LIMIT_S = 8.0
"""How long a caller waits for a database that is away."""
RECORDS_CAP = 2000
"""Records that may wait in a shard's queue before the consumer has to."""
UNKNOWN_TRIES = 5
"""How often a batch is tried again after an error of the database that isn't known to pass."""


class Engine:
    """The one way by which connectors change."""

    def __init__(
        self,
        store: Store,
        *,
        shards: int,
        shard_of: Callable[[ConnectorId], Shard],
        rules: Rules,
        providers: ProviderPort,
        public_url: str = "",
        traceparents: Traceparents | None = None,
    ) -> None:
        """`public_url` is what the links of the records begin with; `traceparents` is asked where traces are made."""
        self.store = store
        self.rules = rules
        self.shard_of = shard_of
        self._providers = providers
        self._public_url = public_url
        self._traceparents = traceparents
        self._queues = {Shard(shard): Queue() for shard in range(shards)}
        self.tails: dict[Shard, Tail] = {shard: Tail() for shard in self._queues}
        """What was just added to each shard's log, for the relay."""
        self.job_wanted = Signal()
        """Set when a job is due now, for the runner."""
        self.relayed: set[Shard] = set()
        """The shards that this process relays; the others' owners are notified."""

    async def submit(self, submission: Submission) -> Receipt:
        """Hands one input in and waits until what it did is stored.

        Raises `Busy` when the shard's queue is full or the database stays away for too long (the input may then be
        stored all the same: all inputs may be handed in again), and `LeaseLost` when the job's lease has passed to
        somebody else.
        """
        queue = self._queues[self.shard_of(submission.input.connector)]
        if len(queue.callers) >= CALLERS_CAP:
            raise Busy
        work = Work(submission, answer=asyncio.get_running_loop().create_future(), origin=traces.origin())
        assert work.answer is not None
        queue.callers.append(work)
        queue.filled.set()
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await work.answer
        except TimeoutError:
            raise Busy from None

    async def consume(self, chunk: Chunk) -> None:
        """Queues a partition's chunk, and returns as soon as there is room for more.

        `chunk.stored` is done when the chunk's transaction committed, and fails with `FenceLost` when the partition
        belongs to somebody else.
        """
        queue = self._queues[Shard(chunk.move.partition)]
        while sum(len(waiting.works) for waiting in queue.chunks) >= RECORDS_CAP:
            queue.drained.clear()
            await queue.drained.wait()
        queue.chunks.append(chunk)
        queue.filled.set()

    async def join(self, pk: int) -> None:
        """The request that is being served is about that connector's re-authorisation: they are one trace."""
        if traces.are_on() and self._traceparents is not None:
            traces.join((await self._traceparents([pk])).get(pk))

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for shard, queue in self._queues.items():
                tasks.create_task(self._work(queue), name=f"shard-{shard}")

    async def _work(self, queue: Queue) -> None:
        while True:
            await queue.filled.wait()
            works, chunks = take(queue)
            if not works and not chunks:
                queue.filled.clear()
                continue
            await self._process(works, chunks)

    async def _process(self, callers: list[Work], chunks: list[Chunk]) -> None:
        """Stores a batch, however often it takes, and answers everybody in it."""
        pause, unknown = 0.05, 0
        while callers or chunks:
            try:
                await self._store(callers, chunks)
                return
            except Conflict:
                count_retry("conflict")
                await asyncio.sleep(random.uniform(0, 0.01))  # somebody else's input came in between
            except FenceLost as lost:
                count_retry("fence")
                callers, chunks = await self._without_lost(callers, chunks, lost)
            except LeasesLost as lost:
                count_retry("lease")
                callers = _without_leases(callers, lost.jobs)
            except Exception as error:
                unknown += not isinstance(error, TRANSIENT)
                if _speaks_of_the_data(error) or unknown > UNKNOWN_TRIES:
                    count_retry("input")
                    await self._isolate(callers, chunks, error)
                    return
                count_retry("database")
                log.warning("database_unavailable", error=type(error).__name__)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, 2)
                callers = [work for work in callers if work.answer is not None and not work.answer.done()]

    async def _store(self, callers: Sequence[Work], chunks: Sequence[Chunk]) -> None:
        began, began_ns = time.perf_counter(), time.time_ns()
        works = [*callers, *(work for chunk in chunks for work in chunk.works)]
        ids = {id_ for work in works if (id_ := work.connector) is not None}
        now, loaded = await self.store.load(ids, self.shard_of)
        spans = None
        if traces.are_on() and self._traceparents is not None:
            spans = await begin_spans(works, loaded, began_ns, self._traceparents)
        live = replaceable(works, loaded)
        steps = await self.store.steps(live) if live else {}
        batch, receipts = fold(works, loaded, now, self.rules, self._providers, self._public_url, steps)
        batch.offsets = moves(chunks)
        logged = batch.by_shard()
        batch.wake = [shard for shard in logged if shard not in self.relayed]
        batch.watermarks = [mark for shard in logged if (mark := self.tails[shard].published) is not None]
        if not batch.is_empty():
            await self.store.store(batch, now)
        if spans is not None:
            spans.end(batch)
        count_batch(batch, callers=len(callers), records=len(works) - len(callers), took_s=time.perf_counter() - began)
        self._tell(batch, logged)
        for work, receipt in zip(works, receipts, strict=True):
            if work.answer is not None and receipt is not None and not work.answer.done():
                work.answer.set_result(receipt)
        for chunk in chunks:
            settle(chunk)

    def _tell(self, batch: Batch, logged: dict[Shard, list[Entry]]) -> None:
        for shard, entries in logged.items():
            self.tails[shard].append(entries)
        if any(isinstance(c, VerificationWanted | CredentialSwapped) for c in batch.consequences):
            self.job_wanted.set()

    async def _without_lost(
        self, callers: list[Work], chunks: list[Chunk], lost: FenceLost
    ) -> tuple[list[Work], list[Chunk]]:
        """What is still ours to store.

        A chunk whose commit we weren't told of turns out to be stored. So are the callers of its batch, then: they are
        told to ask again rather than stored twice.
        """
        ours, theirs = [], {(move.topic, move.partition) for move in lost.moves}
        for chunk in chunks:
            if (chunk.move.topic, chunk.move.partition) not in theirs:
                ours.append(chunk)
                continue
            try:
                at = await self.store.position(chunk.move.topic, chunk.move.partition)
            except TRANSIENT:
                return callers, chunks  # the next try loses at the same fence, and asks again
            if at.epoch == chunk.move.epoch and at.at >= chunk.move.next_:
                self._wake_relays()  # what it logged is in nobody's tail
                settle(chunk)
                _leave_unknown(callers)
                callers = []
            elif not chunk.stored.done():
                chunk.stored.set_exception(FenceLost([chunk.move]))
        return callers, ours

    def _wake_relays(self) -> None:
        for tail in self.tails.values():
            tail.wake()

    async def _isolate(self, callers: Sequence[Work], chunks: Sequence[Chunk], error: Exception) -> None:
        """A batch that can't be stored is stored input by input, so that one poisonous input hinders no other."""
        log.error("batch_failed", inputs=len(callers) + sum(len(c.works) for c in chunks), error=repr(type(error)))
        if len(callers) + sum(len(chunk.works) for chunk in chunks) > 1:
            for work in callers:
                await self._process([work], [])
            for chunk in chunks:
                await self._one_by_one(chunk)
            return
        for work in callers:
            if work.answer is not None and not work.answer.done():
                work.answer.set_exception(error)
        for chunk in chunks:
            if any(isinstance(work.submission, Unreadable) for work in chunk.works):
                raise error  # not even its dead letter can be stored: that is a fault of ours, so stop
            code = "id_taken" if isinstance(error, asyncpg.UniqueViolationError) else "broken"
            poison = [Work(Unreadable(code, type(error).__name__), record=w.record) for w in chunk.works]
            await self._process([], [Chunk(chunk.move, poison, chunk.stored)])

    async def _one_by_one(self, chunk: Chunk) -> None:
        for part in split(chunk):
            await self._process([], [part])
            if (error := part.stored.exception()) is not None:
                chunk.stored.set_exception(error)
                return
        settle(chunk)


def _speaks_of_the_data(error: Exception) -> bool:
    """Whether an input is to blame. The database's other errors may pass, known to us or not: they bury nothing.

    `ValueError` is asyncpg's word for a value that it can't encode.
    """
    of_the_database = isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, *TRANSIENT))
    data = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError)
    return isinstance(error, data) or not of_the_database


def _leave_unknown(callers: Sequence[Work]) -> None:
    for work in callers:
        if work.answer is not None and not work.answer.done():
            work.answer.set_exception(Busy())


def _without_leases(callers: Sequence[Work], jobs: set[int]) -> list[Work]:
    kept = []
    for work in callers:
        submission = work.submission
        if isinstance(submission, Submission) and submission.lease is not None and submission.lease.job in jobs:
            if work.answer is not None and not work.answer.done():
                work.answer.set_exception(LeaseLost())
        else:
            kept.append(work)
    return kept
