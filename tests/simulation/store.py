"""The store in memory, behind the same protocol as PostgreSQL's. Each call is one step that nothing can come between.

`tests/integration/test_store_conformance.py` holds it against PostgreSQL. What has no say in the protocol isn't here:
handoffs, sealed values, the trace of a request.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from schemas.ids import AttemptId, ConnectorId, Generation, Shard
from schemas.lifecycle import State, Step
from service.store.batch import Batch, Changed, Conflict, Loaded, LoggedTransition, Note, ShardOf
from service.store.consequences import (
    AttemptEnded,
    AttemptExplained,
    AttemptHandedOn,
    AttemptOpened,
    CodeReceived,
    Consequence,
    CredentialSwapped,
    JobSettled,
    LeasesLost,
    ShredWanted,
    SyncBegan,
    VerificationWanted,
)
from service.store.due import Due, Job
from service.store.log import Entry, Watermark
from service.store.partitions import FenceLost, OffsetMove, Position
from statemachine.connector import Connector


@dataclass(frozen=True, slots=True)
class ConnectorRow:
    pk: int
    revision: int
    shard: Shard
    connector: Connector


@dataclass(frozen=True, slots=True)
class AttemptRow:
    attempt: AttemptId
    connector: int
    opened_at: datetime
    expires_at: datetime
    completion: str
    step: str = "link_offered"
    code_sealed: bytes | None = None
    claimed_account: str | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    expected: str | None = None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class CredentialRow:
    connector: int
    generation: int
    status: str


@dataclass(frozen=True, slots=True)
class JobRow:
    id: int
    kind: str
    connector: int
    attempt: AttemptId | None
    run_at: datetime
    tries: int = 0
    lease: UUID | None = None
    lease_until: datetime | None = None
    trace: str | None = None


@dataclass(slots=True)
class ShardRow:
    next_seq: int = 1
    published_seq: int = 0
    relay_epoch: int = 0


@dataclass(slots=True)
class Tables:
    """What is stored. Rows are never changed in place, so that a copy of the tables is a savepoint."""

    partitions: dict[tuple[str, int], Position] = field(default_factory=dict)
    connectors: dict[ConnectorId, ConnectorRow] = field(default_factory=dict)
    log: dict[tuple[Shard, int], Entry] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    attempts: dict[AttemptId, AttemptRow] = field(default_factory=dict)
    credentials: dict[tuple[int, AttemptId], CredentialRow] = field(default_factory=dict)
    """By connector and attempt: a grant that is shared is of one attempt, in several connectors."""
    jobs: dict[int, JobRow] = field(default_factory=dict)

    def copied(self) -> "Tables":
        return Tables(
            dict(self.partitions),
            dict(self.connectors),
            dict(self.log),
            list(self.notes),
            dict(self.attempts),
            dict(self.credentials),
            dict(self.jobs),
        )


class MemoryStore:
    """Implements `service.store.port.Store`."""

    def __init__(self, shards: int, clock: Callable[[], datetime], new_uuid: Callable[[], UUID]) -> None:
        self.tables = Tables()
        self.shards = {Shard(shard): ShardRow() for shard in range(shards)}
        self._clock = clock
        self._new_uuid = new_uuid
        self._ids = 0
        self._listeners: list[Callable[[Shard], None]] = []
        self._cut: list[asyncio.Event] = []

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. Numbers that were drawn are not given back."""
        before, shards = self.tables.copied(), {shard: replace(row) for shard, row in self.shards.items()}
        try:
            yield
        except BaseException:
            self.tables, self.shards = before, shards
            raise

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    def row_of(self, pk: int) -> ConnectorRow:
        return next(row for row in self.tables.connectors.values() if row.pk == pk)

    # What the door works on.

    async def load(self, ids: Collection[ConnectorId], shard_of: ShardOf) -> tuple[datetime, dict[ConnectorId, Loaded]]:
        loaded = {}
        for id_ in sorted(ids):
            row = self.tables.connectors.get(id_)
            if row is None:
                loaded[id_] = Loaded(None, 0, shard_of(id_), Connector(id_))
            else:
                loaded[id_] = Loaded(row.pk, row.revision, row.shard, row.connector.copied())
        return self._clock(), loaded

    async def steps(self, attempts: Collection[AttemptId]) -> dict[AttemptId, Step]:
        return {id_: Step(row.step) for id_ in attempts if (row := self.tables.attempts.get(id_)) is not None}

    async def store(self, batch: Batch, now: datetime) -> None:
        with self._transaction():
            self._insert([c for c in batch.changed if c.pk is None])
            self._move_offsets(batch.offsets)
            self._number(batch, now)
            self._update([c for c in batch.changed if c.pk is not None])
            self.tables.notes.extend(batch.notes)
            self._carry_out(batch.consequences)
        for shard in batch.wake:
            for heard in self._listeners:
                heard(shard)

    def _insert(self, new: Sequence[Changed]) -> None:
        if any(c.after.id in self.tables.connectors for c in new):
            raise Conflict
        for c in new:
            self.tables.connectors[c.after.id] = ConnectorRow(self._next_id(), 1, c.shard, c.after.copied())

    def _move_offsets(self, moves: Sequence[OffsetMove]) -> None:
        lost = []
        for move in moves:
            place = (move.topic, move.partition)
            if self.tables.partitions.get(place) == Position(move.epoch, move.first):
                self.tables.partitions[place] = Position(move.epoch, move.next_)
            else:
                lost.append(move)
        if lost:
            raise FenceLost(lost)

    def _number(self, batch: Batch, now: datetime) -> None:
        by_shard: dict[Shard, list[Entry]] = defaultdict(list)
        entries: list[Entry] = [*batch.transitions, *batch.dead_letters]
        for entry in entries:
            by_shard[entry.shard].append(entry)
        published = {mark.shard: mark for mark in batch.watermarks}
        for shard, of_shard in by_shard.items():
            row = self.shards[shard]
            for entry in of_shard:
                entry.seq = row.next_seq
                row.next_seq += 1
                kept = replace(entry, at=now) if isinstance(entry, LoggedTransition) else replace(entry)
                self.tables.log[shard, entry.seq] = kept
            if (mark := published.get(shard)) is not None:
                self._mark(mark)

    def _update(self, old: Sequence[Changed]) -> None:
        for c in old:
            row = self.tables.connectors.get(c.after.id)
            if row is None or row.revision != c.revision:
                raise Conflict
            self.tables.connectors[c.after.id] = replace(row, revision=row.revision + 1, connector=c.after.copied())

    # What hangs on connectors.

    def _carry_out(self, consequences: Sequence[Consequence]) -> None:
        settled = [c for c in consequences if isinstance(c, JobSettled)]
        if lost := {s.job for s in settled if not self._holds(s.job, s.token)}:
            raise LeasesLost(lost)
        for consequence in consequences:
            match consequence:
                case AttemptOpened() as a:
                    self._open(a)
                case CodeReceived() as r:
                    self._change_attempt(
                        r.attempt, code_sealed=r.sealed, claimed_account=r.claimed_account, step="returned"
                    )
                case AttemptEnded() as e:
                    self._end(e)
                case AttemptExplained() as x:
                    row = self.tables.attempts.get(x.attempt)
                    if row is not None and row.reason == "attempt_expired":
                        self._change_attempt(x.attempt, reason=x.reason)
                case AttemptHandedOn():
                    pass  # handoffs have no say in the protocol
                case VerificationWanted() as v:
                    self._verify(v)
                case CredentialSwapped() as s:
                    self._swap(s)
                case SyncBegan() as b:
                    self._sync_began(self.tables.connectors[b.connector].pk)
                case ShredWanted() as w:
                    pk = self.tables.connectors[w.connector].pk
                    self._retire_current(pk, w.at)
                    self._add_job("shred", pk, None, w.at)
                case JobSettled() as j:
                    if self._holds(j.job, j.token):
                        self._settle(self.tables.jobs.pop(j.job))

    def _holds(self, job: int, token: str) -> bool:
        row = self.tables.jobs.get(job)
        return row is not None and row.lease is not None and str(row.lease) == token

    def _sync_began(self, pk: int) -> None:
        for (connector, attempt), credential in self.tables.credentials.items():
            row = self.tables.attempts.get(attempt)
            own = connector == pk and credential.status == "current" and row is not None and row.connector == pk
            if own and row is not None and row.step == "credential_saved":
                self._change_attempt(attempt, step="sync_started")

    def _open(self, a: AttemptOpened) -> None:
        if a.attempt in self.tables.attempts:
            raise asyncpg.UniqueViolationError("attempt")
        pk = self.tables.connectors[a.connector].pk
        self.tables.attempts[a.attempt] = AttemptRow(a.attempt, pk, a.at, a.expires, a.completion, expected=a.expected)

    def _change_attempt(self, attempt: AttemptId, **changes: object) -> None:
        if (row := self.tables.attempts.get(attempt)) is not None:
            self.tables.attempts[attempt] = replace(row, **changes)

    def _end(self, e: AttemptEnded) -> None:
        row = self.tables.attempts.get(e.attempt)
        if row is not None and row.ended_at is None:
            self._change_attempt(
                e.attempt, ended_at=e.at, reason=e.reason, step=e.step or row.step, seen=e.seen, code_sealed=None
            )
        for job in [j for j in self.tables.jobs.values() if j.attempt == e.attempt and j.kind == "verify"]:
            del self.tables.jobs[job.id]
        candidate = self.tables.credentials.get((row.connector, e.attempt)) if row is not None else None
        if candidate is not None and candidate.status == "candidate":
            self._retire(e.attempt, candidate, e.at)

    def _verify(self, v: VerificationWanted) -> None:
        for job in self.tables.jobs.values():
            if job.kind == "verify" and job.attempt == v.attempt:
                self.tables.jobs[job.id] = replace(job, run_at=v.run_at, lease=None, lease_until=None)
                return
        self._add_job("verify", self.tables.connectors[v.connector].pk, v.attempt, v.run_at, v.trace)

    def _swap(self, s: CredentialSwapped) -> None:
        pk = self.tables.connectors[s.connector].pk
        self._retire_current(pk, s.at)
        made = self.tables.credentials.get((pk, s.attempt))
        assert made is not None and (made.status, made.generation) == ("candidate", s.generation), (
            "a verified attempt has its candidate, of the next generation"
        )
        self.tables.credentials[pk, s.attempt] = replace(made, status="current")
        if self.tables.attempts[s.attempt].connector == pk:
            self._change_attempt(
                s.attempt, ended_at=s.at, reason="connected", step="credential_saved", code_sealed=None
            )
            self._share(s)

    def _share(self, s: CredentialSwapped) -> None:
        """A job for each connector that the new grant may repair."""
        mine = self.tables.connectors[s.connector].connector
        for row in sorted(self.tables.connectors.values(), key=lambda row: row.pk):
            c = row.connector
            same = (c.tenant, c.provider, c.account and c.account.id) == (
                mine.tenant,
                mine.provider,
                mine.account and mine.account.id,
            )
            if same and c.id != mine.id and c.state is State.FAILED and c.reason and c.reason.offers_login:
                self._add_job("share", row.pk, s.attempt, s.at, s.trace)

    def _settle(self, job: JobRow) -> None:
        """A copy of a grant that wasn't taken is retired."""
        if job.kind == "share" and job.attempt is not None:
            copy = self.tables.credentials.get((job.connector, job.attempt))
            if copy is not None and copy.status == "candidate":
                self._retire(job.attempt, copy, self._clock())

    def _retire_current(self, pk: int, at: datetime) -> None:
        for (_, attempt), row in list(self.tables.credentials.items()):
            if row.connector == pk and row.status == "current":
                self._retire(attempt, row, at)

    def _retire(self, attempt: AttemptId, row: CredentialRow, at: datetime) -> None:
        self.tables.credentials[row.connector, attempt] = replace(row, status="retiring")
        self._add_job("retire", row.connector, attempt, at)

    def _add_job(
        self, kind: str, pk: int, attempt: AttemptId | None, run_at: datetime, trace: str | None = None
    ) -> None:
        job = JobRow(self._next_id(), kind, pk, attempt, run_at, trace=trace)
        self.tables.jobs[job.id] = job

    # Who owns an input partition.

    async def claim_partition(self, topic: str, partition: int) -> Position:
        was = self.tables.partitions.get((topic, partition), Position(0, 0))
        self.tables.partitions[topic, partition] = now = Position(was.epoch + 1, was.at)
        return now

    async def position(self, topic: str, partition: int) -> Position:
        return self.tables.partitions.get((topic, partition), Position(0, 0))

    # A shard's log.

    async def claim_relay(self, shard: Shard) -> Position:
        row = self.shards[shard]
        row.relay_epoch += 1
        return Position(row.relay_epoch, row.published_seq)

    async def unpublished(self, shard: Shard, after: int, limit: int) -> list[Entry]:
        last = self.shards[shard].next_seq
        entries = (self.tables.log.get((shard, seq)) for seq in range(after + 1, last))
        return [replace(entry) for entry in entries if entry is not None][:limit]

    async def move_watermark(self, shard: Shard, epoch: int, seq: int) -> bool:
        return self._mark(Watermark(shard, epoch, seq))

    def _mark(self, mark: Watermark) -> bool:
        row = self.shards[mark.shard]
        if row.relay_epoch != mark.epoch:
            return False
        row.published_seq = max(row.published_seq, mark.seq)
        return True

    async def listen(self, heard: Callable[[Shard], None]) -> None:
        cut = asyncio.Event()
        self._listeners.append(heard)
        self._cut.append(cut)
        try:
            await cut.wait()
        finally:
            self._listeners.remove(heard)
            self._cut.remove(cut)

    def cut_listeners(self) -> None:
        """Every connection that listens is lost."""
        for cut in self._cut:
            cut.set()

    # What is due.

    async def due(self, own: Sequence[Shard], lateness: timedelta, limit: int) -> list[Due]:
        now = self._clock()
        found = []
        for row in self.tables.connectors.values():
            c = row.connector
            if c.deadline is not None and c.deadline <= (now if row.shard in own else now - lateness):
                attempt = self.tables.attempts.get(c.attempt) if c.attempt else None
                found.append(Due(c.id, c.state, c.deadline, Step(attempt.step) if attempt else None))
        return sorted(found, key=lambda one: one.deadline)[:limit]

    async def lease_jobs(self, limit: int, lease: timedelta) -> list[Job]:
        now = self._clock()
        free = [
            j for j in self.tables.jobs.values() if j.run_at <= now and not (j.lease_until and j.lease_until >= now)
        ]
        leased = []
        for job in sorted(free, key=lambda j: (j.run_at, j.id))[:limit]:
            token = self._new_uuid()
            self.tables.jobs[job.id] = replace(job, lease=token, lease_until=now + lease, tries=job.tries + 1)
            connector = self.row_of(job.connector).connector.id
            leased.append(Job(job.id, job.kind, job.connector, connector, job.attempt, job.tries + 1, token, job.trace))
        return leased

    async def renew(self, job: Job, lease: timedelta) -> None:
        if self._holds(job.id, str(job.lease)):
            self.tables.jobs[job.id] = replace(self.tables.jobs[job.id], lease_until=self._clock() + lease)

    async def postpone(self, job: Job, pause: timedelta) -> None:
        if self._holds(job.id, str(job.lease)):
            self.tables.jobs[job.id] = replace(
                self.tables.jobs[job.id], run_at=self._clock() + pause, lease=None, lease_until=None
            )

    # What the jobs' handlers ask for beside the port: statements of the oauth room.

    async def add_candidate(self, job: Job, generation: Generation) -> bool:
        """Keeps an attempt's new grant; false when the job's lease is lost."""
        assert job.attempt is not None
        if not self._holds(job.id, str(job.lease)):
            return False
        if (job.pk, job.attempt) in self.tables.credentials:
            raise asyncpg.UniqueViolationError("credential_attempt")
        self.tables.credentials[job.pk, job.attempt] = CredentialRow(job.pk, generation, "candidate")
        return True

    async def copy(self, job: Job) -> bool:
        """Keeps a copy of the attempt's grant for the job's connector; false when anything of it has changed."""
        assert job.attempt is not None
        brought = self.tables.credentials.get((self.tables.attempts[job.attempt].connector, job.attempt))
        c = self.row_of(job.pk).connector
        if brought is None or brought.status != "current" or c.state is not State.FAILED:
            return False
        reason = self.row_of(brought.connector).connector.reason
        is_dead = reason is not None and reason.offers_login
        if is_dead or not self._holds(job.id, str(job.lease)) or (job.pk, job.attempt) in self.tables.credentials:
            return False
        self.tables.credentials[job.pk, job.attempt] = CredentialRow(job.pk, c.generation + 1, "candidate")
        return True

    async def finish(self, job: Job) -> None:
        """Ends a job that has no result; a credential that it retired is gone."""
        if not self._holds(job.id, str(job.lease)):
            return
        self._settle(self.tables.jobs.pop(job.id))
        if job.kind == "retire" and job.attempt is not None:
            self.tables.credentials.pop((job.pk, job.attempt), None)
