"""Six simulated years of connectors, on the service's own statements and engine under a clock of ours: P21.

Owners use, neglect, renew or lose their credentials, each by habits drawn from a seed. What they hear is held against
an oracle that knows the promise and the dates alone: every known end is preceded by the warnings that fit, none comes
after a renewal, and a warning whose end has moved away is taken back.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, Shard, TenantId
from schemas.lifecycle import ActorKind, State
from schemas.reasons import Reason
from schemas.records import Evidence, ProviderError
from schemas.secret import Secret
from service.engine.door import Engine
from service.engine.expiry import CAP, prepare, warn
from service.engine.submission import Actor, JobLease, Judgement, ReceivedCode, Submission
from service.oauth.description import ProviderConfig, load_descriptions
from service.oauth.description_file import Lifetimes
from service.oauth.grant import Grant
from service.oauth.verify import lifetimes_of, refreshed_lifetimes_of
from service.store import credentials, due, refreshes
from service.store.credentials import DataKey
from service.store.migrate import migrate
from service.store.pool import Pool, open_pool
from service.store.postgres import PostgresStore
from service.store.refreshes import Resealed
from statemachine import Rules
from statemachine.connector import Account
from statemachine.inputs import GrantReceived, Input, RefreshRejected, Register, StartReauth, SyncSucceeded, Verified
from tests.faults.stage import Violation
from tests.moved_clock import MovedClock

START = datetime(2027, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YEARS = 6
BEFORE = Rules().expiry_warnings
SHARDS = 2
TENANT = TenantId("t1")
CODE = ReceivedCode(sealed=b"", data_key=1, claimed_account=None)
KEY = DataKey(1, b"")
CURRENT = f"{credentials.FIELDS} where c.connector_id = $1 and k.status = 'current'"


def _broken(how: str) -> Violation:
    return Violation("P21", [how])


@dataclass
class Life:
    """One connector: its owner's habits, and what the oracle knows of its credential."""

    id: ConnectorId
    config: ProviderConfig
    tells: bool
    """Whether the provider's answers tell the lifetimes, too."""
    pause: int
    """The days between refreshes, usually."""
    neglect: float
    """How likely a pause is so long that a warning comes, or the end."""
    renews_at: timedelta | None
    """Which warning makes the owner sign in again."""
    away: int
    """The days until somebody mends a dead one."""
    attempts: int = 0
    generation: int = 0
    alive: bool = False
    consented: datetime = START
    refreshed: datetime = START
    moved: datetime = START
    """When the nearest end came to be what it is."""
    end: datetime | None = None
    heard: set[datetime] = field(default_factory=set)
    """When the warnings of this end that were heard were due."""
    open_warning: bool = False
    """Whether a warning stands of an end that is no longer the nearest."""
    next_refresh: datetime = START
    mend_at: datetime | None = START

    @property
    def lifetimes(self) -> Lifetimes:
        return self.config.description.lifetimes

    @property
    def idle(self) -> datetime | None:
        known = self.lifetimes.refresh_idle
        return self.refreshed + known if known else None

    @property
    def hard(self) -> datetime | None:
        known = self.lifetimes.refresh_hard
        return self.consented + known if known else None

    def fitting(self) -> set[datetime]:
        """When warnings of this end are due: those that lie in the time since when it is known."""
        if self.end is None:
            return set()
        since = self.consented if self.end == self.hard else self.refreshed
        return {self.end - before for before in BEFORE if self.end - before > since}

    def owed(self) -> set[datetime]:
        """Of these the ones that must have been heard: of those that had passed by when it became the nearest, one."""
        late = {one for one in self.fitting() if one <= self.moved}
        return {one for one in self.fitting() if one > self.moved} | ({max(late)} if late else set())

    def connected(self, now: datetime, rng: random.Random) -> None:
        self.generation += 1
        self.alive, self.consented, self.mend_at, self.open_warning = True, now, None, False
        self.end = None
        self.was_refreshed(now, rng)
        self.open_warning = False

    def was_refreshed(self, now: datetime, rng: random.Random) -> None:
        self.refreshed = now
        ends = [one for one in (self.idle, self.hard) if one is not None]
        nearest = min(ends, default=None)
        if nearest != self.end:
            self.open_warning = self.open_warning or bool(self.heard)
            self.end, self.moved, self.heard = nearest, now, set()
        days, idle = self.pause, self.lifetimes.refresh_idle
        if idle is not None and rng.random() < self.neglect:  # until some days before the end, or after it
            days = idle.days - min(rng.randrange(-10, 29), idle.days - 3)
        self.next_refresh = now + max(1, days + rng.randrange(-2, 3)) * DAY

    def granted(self, rng: random.Random, now: datetime) -> Grant:
        """The provider's answer: it tells what is left, some seconds less for the way here, or nothing."""
        if not self.tells:
            return Grant(Secret("access"))
        late = timedelta(seconds=rng.randrange(20))
        left = self.hard - now - late if self.hard is not None else None
        return Grant(Secret("access"), refresh_expires_in=self.lifetimes.refresh_idle, hard_expires_in=left)


@dataclass
class Years:
    """What happened."""

    ends: int = 0
    surprises: int = 0
    warnings: int = 0
    renewals: int = 0
    taken_back: int = 0
    refreshes: int = 0
    providers: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"{self.warnings} warnings of {self.ends} ends and {self.renewals} renewals, {self.taken_back} taken back, "
            f"{self.refreshes} refreshes, {self.surprises} surprises, {len(self.providers)} providers"
        )


async def simulated(dsn: str, count: int, seed: int, say: Callable[[str], None] = print, years: int = YEARS) -> Years:
    """Lets `count` connectors live for so many years on an empty database. Raises `Violation`."""
    async with _world(dsn) as world:
        lives = list(_lives(count, random.Random(seed)))
        play = _Play(world, {life.id: life for life in lives}, random.Random(seed + 1))
        await play.register()
        for day in range(years * 365):
            await play.day(START + day * DAY)
            if day % 365 == 364:
                say(f"year {day // 365 + 1}: {play.seen}")
        return play.seen


def _lives(count: int, rng: random.Random) -> Iterable[Life]:
    described = sorted(load_descriptions().values(), key=lambda one: one.id)
    for number in range(count):
        description = described[number % len(described)]
        idle = description.lifetimes.refresh_idle
        longest = min(60, idle.days - 3) if idle else 60
        yield Life(
            ConnectorId(f"c{number}"),
            ProviderConfig(description, "client", Secret("secret")),
            tells=rng.random() < 0.5,
            pause=rng.randint(longest // 2, longest),
            neglect=rng.choice((0.0, 0.05, 0.3)),
            renews_at=rng.choice((None, *BEFORE)),
            away=rng.randint(1, 20),
        )


@dataclass
class _World:
    pool: Pool
    engine: Engine
    clock: MovedClock


class _AnyProvider:
    def knows(self, provider: ProviderId) -> bool:
        return True

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        return Judgement(Reason.TOKEN_REFUSED, Evidence(at="api", status=error.status))


@asynccontextmanager
async def _world(dsn: str) -> AsyncIterator[_World]:
    clock = await MovedClock.install(dsn, START)
    try:
        async with await open_pool(dsn) as pool:
            await _migrated(pool)
            engine = Engine(
                PostgresStore(pool, dsn),
                shards=SHARDS,
                shard_of=lambda id_: Shard(int(id_[1:]) % SHARDS),
                rules=Rules(),
                providers=_AnyProvider(),
            )
            running = asyncio.create_task(engine.run())
            try:
                await prepare(engine, pool, {})
                yield _World(pool, engine, clock)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    finally:
        await clock.close()


async def _migrated(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await migrate(connection, shards=SHARDS)
        # The first months are made already; the others in one piece.
        begin, end = (START.replace(day=1) + 100 * DAY).replace(day=1), START + (YEARS + 1) * 366 * DAY
        for table in ("transition", "note"):
            await connection.execute(
                f"create table {table}_years partition of {table} for values from ('{begin}') to ('{end}')"
            )


@dataclass
class _Play:
    world: _World
    lives: dict[ConnectorId, Life]
    rng: random.Random
    seen: Years = field(default_factory=Years)
    read: dict[int, int] = field(default_factory=dict)

    async def register(self) -> None:
        await self._submit(
            Register(connector=one.id, tenant=TENANT, provider=one.config.description.id, name="Books")
            for one in self.lives.values()
        )
        self.seen.providers = {one.config.description.id for one in self.lives.values()}

    async def day(self, now: datetime) -> None:
        """Midnight: what is due is told, then what ends ends, and then people and syncs do what they do."""
        await self.world.clock.to(now)
        looked_at = await warn(self.world.engine, self.world.pool)
        while looked_at and looked_at % CAP == 0 and (more := await warn(self.world.engine, self.world.pool)):
            looked_at += more
        renewing = await self._heard(now) if looked_at else []
        for life in self.lives.values():
            if life.alive and life.open_warning:
                raise _broken(f"{life.id} on {now}: its end moved to {life.end}, and the warning stands")
        await self._end(now)
        connecting = [one for one in self.lives.values() if one.mend_at == now]
        await self._connect([*connecting, *(one for one in renewing if one.alive)], now)
        await self._refresh([one for one in self.lives.values() if one.alive and one.next_refresh == now], now)

    async def _heard(self, now: datetime) -> list[Life]:
        """Holds what was told against what is owed; returns whose owners sign in again because of it."""
        renewing = []
        for record in await self._log():
            life = self.lives[ConnectorId(record["connector_id"])]
            if record["trigger"] == "expiry_moved":
                if not life.open_warning:
                    raise _broken(f"{life.id} on {now}: a warning was taken back that still stands, or never was")
                life.open_warning = False
                self.seen.taken_back += 1
            elif record["trigger"] == "expiry_near":
                due_at = self._is_right(life, record["connector"], now)
                life.open_warning = False
                if life.end is not None and life.end - due_at == life.renews_at:
                    renewing.append(life)
        return renewing

    def _is_right(self, life: Life, told: dict[str, str | bool], now: datetime) -> datetime:
        """When the warning was due, which must be one that is owed. Answers are some seconds late, so ends are, too."""
        self.seen.warnings += 1
        said = datetime.fromisoformat(str(told["expires_at"]))
        close = [one for one in life.owed() if one <= now and life.end is not None]
        if not life.alive or life.end is None or not timedelta() <= life.end - said < timedelta(minutes=1):
            raise _broken(f"{life.id} on {now}: warned of {said}, and it ends at {life.end}")
        if told["expires_estimated"] is life.tells:
            raise _broken(f"{life.id} on {now}: the provider tells {life.tells}, the warning says otherwise")
        news = set(close) - life.heard
        if len(news) != 1:
            raise _broken(f"{life.id} on {now}: warned with {sorted(news)} owed, of {life.end}")
        (due_at,) = news
        if due_at > life.moved and now - due_at > DAY:
            raise _broken(f"{life.id} on {now}: the warning of {due_at} is late")
        life.heard.add(due_at)
        return due_at

    async def _log(self) -> list[dict[str, object]]:
        entries = []
        async with self.world.pool.acquire() as connection:
            for shard in range(SHARDS):
                rows = await connection.fetch(
                    "select seq, record from transition where shard = $1 and seq > $2 order by seq",
                    shard,
                    self.read.get(shard, 0),
                )
                if rows:
                    self.read[shard] = rows[-1]["seq"]
                entries += [orjson.loads(row["record"]) for row in rows]
        return entries

    async def _end(self, now: datetime) -> None:
        ended = [one for one in self.lives.values() if one.alive and one.end is not None and one.end <= now]
        for life in ended:
            self.seen.ends += 1
            if missing := life.owed() - life.heard:
                self.seen.surprises += 1
                raise _broken(f"{life.id} ended on {life.end}, not warned on {sorted(missing)}")
            life.alive, life.heard, life.open_warning = False, set(), False
            life.mend_at = now + life.away * DAY
        await self._submit(
            RefreshRejected(connector=one.id, generation=Generation(one.generation), reason=Reason.GRANT_REVOKED)
            for one in ended
        )

    async def _connect(self, lives: Sequence[Life], now: datetime) -> None:
        """A person signs in, for the first time or again: the whole way through the engine."""
        if not lives:
            return
        by_attempt = {}
        for life in lives:
            life.attempts += 1
            by_attempt[AttemptId(UUID(int=(int(life.id[1:]) << 32) + life.attempts))] = life
        await self._submit(StartReauth(connector=one.id, attempt=id_) for id_, one in by_attempt.items())
        await self._submit(
            (GrantReceived(connector=one.id, attempt=id_) for id_, one in by_attempt.items()), attachment=CODE
        )
        for life in lives:
            self.seen.renewals += life.alive
            life.connected(now, self.rng)
            life.heard = set()
        await self._work(by_attempt, now)
        await self._submit(
            SyncSucceeded(connector=one.id, occurred=now, generation=Generation(one.generation)) for one in lives
        )

    async def _work(self, by_attempt: dict[AttemptId, Life], now: datetime) -> None:
        """The jobs that the sign-ins left."""
        async with self.world.pool.acquire() as connection:
            while jobs := await due.lease_jobs(connection, 500, timedelta(minutes=1)):
                await asyncio.gather(*(self._verify(job, by_attempt, now) for job in jobs if job.kind == "verify"))
                for job in jobs:
                    if job.kind == "retire" and job.attempt is not None:
                        await credentials.shred_credential(connection, job.pk, job.attempt)
                        await due.finish(connection, job)

    async def _verify(self, job: due.Job, by_attempt: dict[AttemptId, Life], now: datetime) -> None:
        assert job.attempt is not None
        life = by_attempt[job.attempt]
        async with self.world.pool.acquire() as connection:
            kept = await credentials.add_candidate(
                connection,
                pk=job.pk,
                generation=Generation(life.generation),
                attempt=job.attempt,
                key=KEY,
                access_sealed=b"",
                refresh_sealed=b"",
                lifetimes=lifetimes_of(life.granted(self.rng, now), life.config),
                scope="",
                job=job.id,
                lease=job.lease,
            )
        assert kept
        verified = Verified(connector=life.id, attempt=job.attempt, account=Account(life.id, "Acme"))
        await self._submit([verified], lease=JobLease(job.id, str(job.lease)))

    async def _refresh(self, lives: Sequence[Life], now: datetime) -> None:
        await asyncio.gather(*(self._refreshed(one, now) for one in lives))

    async def _refreshed(self, life: Life, now: datetime) -> None:
        async with self.world.pool.acquire() as connection:
            record = await connection.fetchrow(CURRENT, life.id)
            assert record is not None and record["connector_state"] == State.HEALTHY, (life.id, now)
            row = credentials.known(record)
            lease = await refreshes.lease_refresh(connection, row, timedelta(seconds=20), ())
            assert lease is not None
            left = refreshed_lifetimes_of(life.granted(self.rng, now), life.config)
            assert await refreshes.keep_refreshed(connection, lease.token, [Resealed(row, b"", b"")], left)
        self.seen.refreshes += 1
        life.was_refreshed(now, self.rng)

    async def _submit(
        self, inputs: Iterable[Input], *, attachment: ReceivedCode | None = None, lease: JobLease | None = None
    ) -> None:
        """Hands all of them in at once; none of them may be turned down."""
        actor = Actor(ActorKind.HOST, "years")
        everything = list(inputs)
        for part in range(0, len(everything), 400):
            receipts = await asyncio.gather(
                *(
                    self.world.engine.submit(Submission(input=one, actor=actor, attachment=attachment, lease=lease))
                    for one in everything[part : part + 400]
                )
            )
            assert all(receipt.why is None for receipt in receipts), [r.why for r in receipts if r.why is not None]
