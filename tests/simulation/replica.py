"""A replica: the service's own parts, put together as `service.app` does, on a distant store and broker."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from schemas.ids import ConnectorId, Generation, ProviderId, Shard
from schemas.lifecycle import ActorKind, State, Step
from schemas.reasons import Reason
from schemas.records import Evidence, ProviderError
from service.engine.deadlines import fire_deadlines
from service.engine.door import Engine
from service.engine.jobs import run_jobs
from service.engine.submission import Actor, JobLease, Judgement, LeaseLost, Submission
from service.kafka.published import Publication
from service.kafka.topics import partition_of
from service.kafka.work import Worker
from service.store.due import Job
from statemachine import Rules
from statemachine.connector import Account
from statemachine.inputs import GrantShared, Input, ProviderUnavailable, Rejected, Verified
from tests.simulation.broker import Broker, Consumer, Producer
from tests.simulation.network import DistantStore, Process, Wrote
from tests.simulation.store import MemoryStore

SHARDS = 2
PREFIX = "sim."
RULES = Rules(
    attempt_time=timedelta(seconds=4),
    verification_time=timedelta(seconds=4),
    sync_start_time=timedelta(seconds=2),
    sync_run_time=timedelta(seconds=5),
    sync_asks=2,
    backoff_base=timedelta(seconds=0.5),
    backoff_cap=timedelta(seconds=1),
    sync_pause_base=timedelta(seconds=0.5),
    sync_pause_cap=timedelta(seconds=1),
    reminders=(timedelta(seconds=2), timedelta(seconds=3)),
)
PROVIDERS = ("books", "ledger")


def shard_of(connector: ConnectorId) -> Shard:
    return Shard(partition_of(connector.encode(), SHARDS))


class TwoProviders:
    """What the oauth room knows: which providers there are, and what their errors mean."""

    def knows(self, provider: ProviderId) -> bool:
        return provider in PROVIDERS

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        reason = Reason.TOKEN_REFUSED if error.status == 401 else Reason.PROVIDER_UNAVAILABLE
        return Judgement(reason, Evidence(at=error.at, status=error.status))


def _never_grows() -> None:
    raise AssertionError("no partition is added")


class Replica:
    """One incarnation. `task` ends only by a fault of ours."""

    def __init__(self, process: Process, store: MemoryStore, broker: Broker, wrote: Wrote) -> None:
        self.process = process
        self._memory = store
        self.store = DistantStore(store, process, wrote)
        self.engine = Engine(
            self.store,  # type: ignore[arg-type]
            shards=SHARDS,
            shard_of=shard_of,
            rules=RULES,
            providers=TwoProviders(),
        )
        self._worker = Worker(
            self.engine,
            Publication(PREFIX, "https://regrant.example"),
            lambda: Consumer(broker, process),  # type: ignore[arg-type, return-value]
            lambda id_: Producer(broker, process, id_),  # type: ignore[return-value]
            _never_grows,
        )
        self.leaving = False
        self._tasks: list[asyncio.Task[None]] = []
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        ends = self.store.finish
        handlers = {"verify": self._verify, "share": self._share, "retire": ends, "shred": ends}
        async with asyncio.TaskGroup() as tasks:
            self._tasks = [
                tasks.create_task(fire_deadlines(self.engine), name="deadlines"),
                tasks.create_task(self._worker.run(), name="worker"),
                tasks.create_task(run_jobs(self.engine, handlers), name="jobs"),
                tasks.create_task(self.engine.run(), name="engine"),
            ]

    async def leaves(self) -> None:
        """As on SIGTERM: what feeds the engine ends first, then the jobs, and the engine last."""
        self.leaving = True
        *background, jobs, engine = self._tasks
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        jobs.cancel()
        await asyncio.wait([jobs], timeout=20)
        engine.cancel()
        await asyncio.wait([self.task])

    # The verification, with a provider that answers by the seed.

    async def _verify(self, job: Job) -> None:
        assert job.attempt is not None
        rng = self.process.rng
        connector = self._memory.row_of(job.pk).connector
        if connector.attempt != job.attempt or connector.state is not State.VERIFYING:
            await self.store.finish(job)
            return
        await asyncio.sleep(rng.uniform(0, 0.5))
        drawn = rng.random()
        if drawn < 0.2:
            away = ProviderUnavailable(connector=connector.id, attempt=job.attempt, reason=Reason.PROVIDER_UNAVAILABLE)
            await self._hand_in(job, away)
            return
        if (job.pk, job.attempt) not in self._memory.tables.credentials and not await self.store.add_candidate(
            job, Generation(connector.generation + 1)
        ):
            raise LeaseLost
        await asyncio.sleep(rng.uniform(0, 0.5))
        mine = _account_of(connector.id)
        if drawn < 0.4:
            seen = Account("another", "Acme Ltd")
            wrong = Rejected(
                connector=connector.id,
                attempt=job.attempt,
                reason=Reason.WRONG_ACCOUNT,
                step=Step.EXCHANGED,
                seen=seen,
            )
            await self._hand_in(job, wrong)
        else:
            await self._hand_in(job, Verified(connector=connector.id, attempt=job.attempt, account=mine))

    async def _share(self, job: Job) -> None:
        assert job.attempt is not None
        rng, tables = self.process.rng, self._memory.tables
        await asyncio.sleep(rng.uniform(0, 0.5))
        if (job.pk, job.attempt) not in tables.credentials and not await self.store.copy(job):
            await self.store.finish(job)
            return
        await asyncio.sleep(rng.uniform(0, 0.5))
        copy = tables.credentials.get((job.pk, job.attempt))
        if copy is None or copy.status != "candidate":
            await self.store.finish(job)
            return
        shared = GrantShared(
            connector=job.connector,
            attempt=job.attempt,
            account=_account_of(job.connector),
            generation=Generation(copy.generation - 1),
        )
        await self._hand_in(job, shared)

    async def _hand_in(self, job: Job, input_: Input) -> None:
        actor = Actor(ActorKind.PROVIDER, "books")
        await self.engine.submit(Submission(input=input_, actor=actor, lease=JobLease(job.id, str(job.lease))))


def _account_of(id_: ConnectorId) -> Account:
    """Several connectors share each account."""
    return Account(f"account {int(id_[-1]) % 2}", "Acme Inc")


def living(replicas: Sequence[Replica]) -> list[Replica]:
    return [replica for replica in replicas if not (replica.process.dead or replica.leaving)]
