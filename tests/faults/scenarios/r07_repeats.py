"""Inputs that are delivered one to ten times, out of order, some of them stale (R7), and the oracle for what they do.

The oracle folds each distinct input, in the order of its first delivery, through the table; a repeat does nothing.
Commands and events come on two topics, whose order between them nobody knows: so they take turns, in rounds.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaProducer

from schemas import channels
from schemas.ids import AttemptId, ConnectorId, ProviderId, TenantId
from schemas.lifecycle import Outcome, Trigger
from schemas.reasons import Reason
from statemachine import Connector, decide
from statemachine.inputs import Disconnect, Input, Register, StartReauth, SyncFailed, SyncStarted, SyncSucceeded, Update
from tests.faults.drained import dealt_with
from tests.faults.poison import PROVIDER, TENANT, Record, good
from tests.faults.stage import holds
from tests.loop import Loop

WINDOW = 100
MOST_DELIVERIES = 10
STALE_SHARE = 0.05
COMMAND_SHARE = 0.1
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
REASONS = (Reason.TOKEN_REFUSED, Reason.GRANT_REVOKED, Reason.ACCOUNT_INACTIVE, Reason.RATE_LIMITED)
COMPARED = (
    "state",
    "version",
    "name",
    "reason",
    "fallback",
    "attempt_reason",
    "generation",
    "last_run",
    "last_success",
    "failed_since",
    "position",
    "transient_failures",
)
"""What the oracle tells of a connector: all that doesn't hang on the moment of the decision."""


@dataclass(frozen=True, slots=True)
class Said:
    """A distinct input: its record, and what it means."""

    record: Record
    means: Input

    @property
    def event_id(self) -> str:
        return next(value for name, value in self.record.headers if name == "ce_id" and value).decode()


@dataclass(slots=True)
class Oracle:
    """What the distinct inputs do."""

    connectors: dict[ConnectorId, Connector] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    """The ids of the events that made a transition."""
    _seen: set[str] = field(default_factory=set)

    def delivered(self, said: Said) -> None:
        if said.event_id in self._seen:
            return
        self._seen.add(said.event_id)
        id_ = said.means.connector
        decision = decide(self.connectors.get(id_) or Connector(id_), said.means, datetime.now(UTC))
        self.connectors[id_] = decision.connector
        if decision.outcome is Outcome.TRANSITION:
            self.moved.add(said.event_id)


@dataclass(slots=True)
class Repeats:
    """A run. `wrong` is where the service and the oracle differ."""

    inputs: int = 0
    deliveries: int = 0
    stale: int = 0
    wrong: list[str] = field(default_factory=list)


class Host:
    """Says things about its connectors, from a seed."""

    def __init__(self, seed: int, connectors: int) -> None:
        self._chance = random.Random(seed)
        self._ids = [ConnectorId(f"r{seed}-{number:04}") for number in range(connectors)]
        self._runs: dict[ConnectorId, int] = defaultdict(int)
        self.stale = 0

    def registrations(self) -> Iterator[Said]:
        for id_ in self._ids:
            data = {"tenant_id": TENANT, "provider": PROVIDER, "name": "Books", "connected": True}
            means = Register(
                connector=id_, tenant=TenantId(TENANT), provider=ProviderId(PROVIDER), name="Books", connected=True
            )
            yield Said(good(channels.COMMANDS, channels.REGISTER, id_, data), means)

    def events(self, count: int) -> Iterator[Said]:
        for _ in range(count):
            yield self._event(self._chance.choice(self._ids))

    def commands(self, count: int) -> Iterator[Said]:
        """At most one of a connector in a round."""
        for id_ in self._chance.sample(self._ids, count):
            yield self._command(id_)

    def deliveries(self, said: Sequence[Said]) -> list[Said]:
        """Each one to ten times, shuffled within a window."""
        placed: list[tuple[float, int, Said]] = []
        at = 0
        for one in said:
            for _ in range(self._chance.randint(1, MOST_DELIVERIES)):
                placed.append((at + self._chance.uniform(0, WINDOW), len(placed), one))
                at += 1
        return [one for _, _, one in sorted(placed, key=lambda each: each[:2])]

    def _event(self, id_: ConnectorId) -> Said:
        self._runs[id_] += 1
        run = self._runs[id_]
        if self._chance.random() < STALE_SHARE:
            run = self._chance.randrange(run)
            self.stale += 1
        started = occurred = BEGAN + timedelta(seconds=run)
        data: dict[str, Any] = {"started_at": started.isoformat()}
        match self._chance.choice((Trigger.SYNC_STARTED, Trigger.SYNC_SUCCEEDED, Trigger.SYNC_FAILED)):
            case Trigger.SYNC_STARTED:
                message, means = channels.SYNC_STARTED, SyncStarted(connector=id_, occurred=occurred, started=started)
            case Trigger.SYNC_SUCCEEDED:
                message = channels.SYNC_SUCCEEDED
                means = SyncSucceeded(connector=id_, occurred=occurred, started=started)
            case _:
                message, reason, position = channels.SYNC_FAILED, self._chance.choice(REASONS), f"page-{run}"
                data |= {"reason": reason, "position": position}
                means = SyncFailed(connector=id_, occurred=occurred, started=started, reason=reason, position=position)
        return Said(good(channels.SYNC_EVENTS, message, id_, data, at=occurred.isoformat()), means)

    def _command(self, id_: ConnectorId) -> Said:
        match self._chance.randrange(5):
            case 0:
                return Said(good(channels.COMMANDS, channels.DISCONNECT, id_, {}), Disconnect(connector=id_))
            case 1 | 2:
                name = f"Books {self._chance.randrange(10**6)}"
                said = good(channels.COMMANDS, channels.UPDATE, id_, {"name": name})
                return Said(said, Update(connector=id_, name=name))
            case _:
                attempt = AttemptId(UUID(int=self._chance.getrandbits(128), version=4))
                said = good(channels.COMMANDS, channels.START_REAUTH, id_, {"attempt_id": str(attempt)})
                return Said(said, StartReauth(connector=id_, attempt=attempt))


async def repeated_and_shuffled(
    loop: Loop, *, seed: int, inputs: int, connectors: int = 200, rounds: int = 8
) -> Repeats:
    """Says `inputs` distinct things, each one to ten times, and compares what became of it with the oracle."""
    host, oracle, run = Host(seed, connectors), Oracle(), Repeats()
    producer = AIOKafkaProducer(bootstrap_servers=loop.topics.bootstrap, linger_ms=2)
    await producer.start()
    try:
        await _deliver(loop, producer, oracle, run, host.deliveries(list(host.registrations())))
        each = inputs // rounds
        commands = min(round(each * COMMAND_SHARE), connectors)
        for _ in range(rounds):
            await _deliver(loop, producer, oracle, run, host.deliveries(list(host.events(each - commands))))
            await _deliver(loop, producer, oracle, run, host.deliveries(list(host.commands(commands))))
            run.inputs += each
    finally:
        await producer.stop()
    run.stale = host.stale
    await _compare(loop, oracle, run)
    await holds(loop.service.settings.database.dsn.reveal(), loop.topics.bootstrap, loop.topics.prefix)
    return run


async def _deliver(
    loop: Loop, producer: AIOKafkaProducer, oracle: Oracle, run: Repeats, deliveries: Sequence[Said]
) -> None:
    acknowledged = []
    for said in deliveries:
        oracle.delivered(said)
        record = said.record
        acknowledged.append(
            await producer.send(
                loop.topics.prefix + record.topic, key=record.key, value=record.value, headers=list(record.headers)
            )
        )
    await asyncio.gather(*acknowledged)
    run.deliveries += len(deliveries)
    await dealt_with(loop)


async def _compare(loop: Loop, oracle: Oracle, run: Repeats) -> None:
    rows = await loop.pool.fetch("select * from connector where connector_id = any($1)", list(oracle.connectors))
    seen = {row["connector_id"]: row for row in rows}
    for id_, expected in oracle.connectors.items():
        row = seen[id_]
        differs = {
            name: (row[name], getattr(expected, name)) for name in COMPARED if row[name] != getattr(expected, name)
        }
        if (row["attempt_id"] is None) != (expected.attempt is None):
            differs["attempt"] = (row["attempt_id"], expected.attempt)
        if differs:
            run.wrong.append(f"{id_}: {differs}")
    causes = await loop.pool.fetch(
        "select trace->>'causationid' as cause, count(*) as n from transition t join connector c on c.id = t.connector"
        " where c.connector_id = any($1) group by 1",
        list(oracle.connectors),
    )
    moved = {row["cause"]: row["n"] for row in causes}
    run.wrong += [f"{cause} made {n} transitions" for cause, n in moved.items() if n > 1]
    run.wrong += [f"{cause} made a transition that it mustn't" for cause in set(moved) - oracle.moved]
    run.wrong += [f"{cause} made no transition" for cause in oracle.moved - set(moved)]
