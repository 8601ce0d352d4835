"""Connectors that live: random inputs that fit each one's state, and what their log adds up to, counted another way.

The recount follows each connector's records one by one, as a reader of the topic would; it shares nothing with the
service's own counting.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from schemas.ids import AttemptId, ConnectorId, ProviderId, Shard, TenantId
from schemas.lifecycle import ActorKind, State, Step
from schemas.reasons import Reason
from schemas.records import Evidence, ProviderError
from service.engine.door import Engine
from service.engine.submission import Actor, Door, Judgement, Submission
from service.store.migrate import migrate
from service.store.pool import Pool, open_pool
from service.store.postgres import PostgresStore
from statemachine import Rules
from statemachine import inputs as say
from statemachine.connector import Account, Connector
from statemachine.inputs import Input

SHARDS = 2
PROVIDERS = ("books", "xero")
TENANTS = ("acme", "bikes", "cars")
NEEDS_A_PERSON = (Reason.TOKEN_REFUSED, Reason.TOKEN_REFUSED, Reason.ACCOUNT_INACTIVE, Reason.CLIENT_REJECTED)
REACHED = {
    State.AWAITING_AUTH: (Step.LINK_OFFERED, Step.PROVIDER_PAGE),
    State.VERIFYING: (Step.RETURNED, Step.EXCHANGED, Step.ACCOUNT_CHECKED),
}
"""How far an attempt may have come by then."""
CANDIDATE = """
insert into credential (
    connector, generation, attempt_id, status, data_key, account_id, access_sealed, scope, access_expires_at
)
select id, generation + 1, $2, 'candidate', 0, 'a', '', '', now() + interval '1 hour' from connector
where connector_id = $1 on conflict do nothing
"""


class AnyProvider:
    """Stands for the oauth room's judge."""

    def knows(self, provider: ProviderId) -> bool:
        return True

    def judge(self, provider: ProviderId, error: ProviderError) -> Judgement:
        return Judgement(Reason.TOKEN_REFUSED, Evidence(at="api", status=error.status))


@asynccontextmanager
async def engine_on(dsn: str, shards: int = SHARDS) -> AsyncIterator[tuple[Engine, Pool]]:
    """The door on a migrated database, without Kafka."""
    pool = await open_pool(dsn)
    async with pool.acquire() as connection:
        await migrate(connection, shards=shards)
    store = PostgresStore(pool, dsn)

    def shard_of(id_: ConnectorId) -> Shard:
        return Shard(sum(id_.encode()) % shards)

    engine = Engine(store, shards=shards, shard_of=shard_of, rules=Rules(), providers=AnyProvider())
    task = asyncio.create_task(engine.run())
    try:
        yield engine, pool
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pool.close()


@dataclass
class Herd:
    """Connectors, and the door that their inputs go through."""

    door: Door
    pool: Pool
    random: random.Random
    known: dict[ConnectorId, Connector] = field(default_factory=dict)
    providers: tuple[str, ...] = PROVIDERS

    async def live(self, steps: int, connectors: int = 30) -> None:
        """So many inputs, to connectors of several tenants and providers, a few of them at a time."""
        ids = [ConnectorId(f"c{number:03}") for number in range(connectors)]
        for _ in range(steps // 10):
            await asyncio.gather(*(self.step(id_) for id_ in self.random.sample(ids, 10)))

    async def step(self, id_: ConnectorId) -> None:
        """One input that fits the connector's state, mostly what ends well."""
        now = self.known.get(id_, Connector(id_))
        if now.state is State.DELETED:
            return
        input_ = self._input(now)
        if isinstance(input_, say.Verified):
            await self.pool.execute(CANDIDATE, id_, input_.attempt)
        if isinstance(input_, say.StartReauth) and now.attempt is not None:
            step = self.random.choice(REACHED[now.state])
            await self.pool.execute("update attempt set step = $2 where attempt_id = $1", now.attempt, step)
        await self.say(input_)

    async def say(self, input_: Input, by: ActorKind | None = None) -> Connector:
        kind = by or self.random.choice([ActorKind.HOST] * 9 + [ActorKind.OPERATOR])
        evidence = None
        if isinstance(input_, say.SyncFailed | say.Rejected | say.RefreshRejected | say.VerifiedAgain):
            code = self.random.choice(["3200", "invalid_grant", None])
            evidence = Evidence(at="api", status=self.random.choice([401, 403, None]), code=code, request_id="tid-1")
        submission = Submission(input=input_, actor=Actor(kind, "test"), evidence=evidence)
        self.known[input_.connector] = connector = (await self.door.submit(submission)).connector
        return connector

    def _input(self, c: Connector) -> Input:
        id_, now, pick, generation = c.id, datetime.now(UTC), self.random.choice, c.generation
        account = Account("a", "Acme")
        reauth = say.StartReauth(connector=id_, attempt=AttemptId(uuid4()))
        worked = say.SyncSucceeded(connector=id_, occurred=now, generation=generation)
        broke = say.SyncFailed(connector=id_, occurred=now, generation=generation, reason=pick(NEEDS_A_PERSON))
        off = say.Disconnect(connector=id_)
        attempt = c.attempt or AttemptId(uuid4())
        match c.state:
            case State.ABSENT:
                number = int(id_[1:])
                tenant, provider = TENANTS[number % len(TENANTS)], self.providers[number % len(self.providers)]
                return say.Register(
                    connector=id_,
                    tenant=TenantId(tenant),
                    provider=ProviderId(provider),
                    name=f"Books {number}",
                    connected=pick([True, False]),
                )
            case State.HEALTHY:
                refused = say.RefreshRejected(connector=id_, generation=generation, reason=Reason.GRANT_REVOKED)
                return pick([broke, broke, refused, worked, reauth, say.Update(connector=id_, name=uuid4().hex), off])
            case State.FAILED:
                attempt = AttemptId(uuid4())
                shared = say.GrantShared(connector=id_, attempt=attempt, account=account, generation=generation)
                right = say.VerifiedAgain(connector=id_, generation=generation)
                still = say.VerifiedAgain(connector=id_, generation=generation, reason=pick(NEEDS_A_PERSON))
                again = pick([right, still]) if generation else reauth
                return pick([reauth, reauth, reauth, worked, broke, shared if c.account is None else again, again])
            case State.AWAITING_AUTH:
                assert c.deadline is not None
                step = pick([Step.LINK_OFFERED, Step.PROVIDER_PAGE])
                back = say.GrantReceived(connector=id_, attempt=attempt)
                return pick(
                    [
                        *[back] * 5,
                        say.GrantRefused(connector=id_, attempt=attempt, reason=Reason.ACCESS_DENIED),
                        say.Cancelled(connector=id_, attempt=attempt, step=step),
                        say.AuthExpired(connector=id_, due=c.deadline, step=step),
                        reauth,
                        worked,
                        broke,
                        off,
                    ]
                )
            case State.VERIFYING:
                assert c.deadline is not None
                step = pick([Step.RETURNED, Step.EXCHANGED, Step.ACCOUNT_CHECKED])
                proved = say.Verified(connector=id_, attempt=attempt, account=c.account or account)
                wrong = say.Rejected(connector=id_, attempt=attempt, reason=Reason.WRONG_ACCOUNT, step=step)
                away = say.ProviderUnavailable(connector=id_, attempt=attempt, reason=Reason.PROVIDER_UNAVAILABLE)
                late = say.VerifyExpired(connector=id_, due=c.deadline)
                return pick([*[proved] * 5, wrong, away, late, reauth, broke, off])
            case State.SYNCING:
                assert c.deadline is not None
                late = say.SyncExpired(connector=id_, due=c.deadline)
                refused = say.RefreshRejected(connector=id_, generation=generation, reason=Reason.GRANT_REVOKED)
                return pick([*[worked] * 5, broke, late, refused, reauth])
            case _:
                return pick([reauth, say.Delete(connector=id_)])


async def logged(pool: Pool) -> list[dict[str, Any]]:
    """The data of all transitions' records, as Kafka would show it."""
    import orjson

    return [orjson.loads(row["record"]) for row in await pool.fetch("select record from transition")]


@dataclass
class Recount:
    """What a reader of the topic finds who follows each connector by its versions."""

    attempts: list[dict[str, Any]] = field(default_factory=list)
    failures: int = 0
    arrows: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[tuple[str, str, int | None, str | None, str | None]] = field(default_factory=Counter)
    states: dict[str, tuple[str, str | None, str]] = field(default_factory=dict)
    """How each connector stands: state, reason, provider."""

    def reached(self) -> Counter[str]:
        """How many attempts came at least as far as each step, from the link on."""
        steps = [step.value for step in Step]
        counts: Counter[str] = Counter()
        for attempt in self.attempts:
            for step in steps[1 : steps.index(attempt["step"]) + 1]:
                counts[step] += 1
        return counts

    def endings(self) -> Counter[tuple[str, str, str | None, str | None]]:
        return Counter((a["provider"], a["step"], a["ending"], a["reason"]) for a in self.attempts)


async def spread(pool: Pool, over: timedelta) -> None:
    """Moves the log's instants: evenly over a time up to now, in their order."""
    rows = await pool.fetch("select connector, version from transition order by at, connector, version")
    begin, step = datetime.now(UTC) - over, over / (len(rows) + 1)
    async with pool.acquire() as connection:
        await connection.executemany(
            "update transition set at = $3, record = jsonb_set(record::jsonb, '{at}', to_jsonb($3::timestamptz))::text"
            " where connector = $1 and version = $2",
            [(row["connector"], row["version"], begin + step * n) for n, row in enumerate(rows)],
        )


def recounted(records: Iterable[Mapping[str, Any]]) -> Recount:
    """Counts the data of transitions' records; a record that comes again counts once."""
    found = Recount()
    stories: defaultdict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for record in records:
        stories[record["connector_id"]][record["version"]] = record
    for id_, story in stories.items():
        assert sorted(story) == list(range(1, len(story) + 1)), "no gap"
        _follow(found, id_, [story[version] for version in sorted(story)])
    return found


_STEPS = [step.value for step in Step]


def _follow(found: Recount, id_: str, story: list[Mapping[str, Any]]) -> None:
    live: dict[str, Any] | None = None
    for r in story:
        found.arrows[r["from"], r["to"]] += 1
        found.failures += r["step"] == "failure_seen"
        if (e := r["evidence"]) is not None:
            found.errors[r["provider"], e["at"], e["status"], e["code"], r["reason"]] += 1
        if r["trigger"] == "start_reauth":
            if live:
                live["ending"] = "replaced"
                live["step"] = max(live["step"], r.get("replaced_step") or "link_offered", key=_STEPS.index)
            live = {"provider": r["provider"], "step": "link_offered", "ending": None, "reason": None}
            live |= {"tenant": r["tenant_id"]}
            found.attempts.append(live)
        elif live:
            match (r["from"], r["to"], r["trigger"]):
                case ("awaiting_auth", "verifying", _):
                    live["step"] = "returned"
                case ("verifying", "syncing", _):
                    live["step"] = "credential_saved"
                case ("syncing", "healthy", _):
                    live |= {"step": "data_flowing", "ending": "connected", "reason": r["reason"]}
                case ("syncing", "failed", "sync_failed"):
                    live |= {"step": "sync_started", "ending": "stopped", "reason": r["reason"]}
                case ("syncing", "failed" | "disconnected" | "deleted", _):
                    live |= {"ending": "stopped", "reason": r["reason"]}
                case ("awaiting_auth" | "verifying", "healthy" | "failed" | "disconnected" | "deleted", _):
                    live |= {"ending": "stopped", "reason": r["reason"], "step": r["step"] or live["step"]}
            live = live if live["ending"] is None else None
        found.states[id_] = (r["to"], r["connector"]["reason"], r["provider"])
