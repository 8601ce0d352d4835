"""What comes in: a host that repeats itself, mixes up its order, is late, and sometimes writes nonsense.

It looks at the stored connectors only to be interesting: so that many inputs are of the live attempt and the current
generation, and some just are not.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from schemas import channels
from schemas.channels import Message
from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import ActorKind, Outcome
from schemas.reasons import Reason
from service.engine.submission import Actor, Busy, LeaseLost, NewAttempt, ReceivedCode, Submission
from statemachine.inputs import (
    Cancelled,
    Delete,
    Disconnect,
    GrantReceived,
    GrantRefused,
    Input,
    RefreshRejected,
    Register,
    StartReauth,
    Update,
    VerifiedAgain,
)
from tests.simulation.broker import Broker
from tests.simulation.network import Trace
from tests.simulation.replica import PREFIX, PROVIDERS, Replica, shard_of
from tests.simulation.store import MemoryStore

CONNECTORS = tuple(ConnectorId(f"c{n}") for n in range(5))


@dataclass(frozen=True, slots=True)
class Event:
    """A record that the host writes."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Host:
    """Draws inputs from the seed, and hands them in."""

    def __init__(
        self,
        rng: random.Random,
        store: MemoryStore,
        broker: Broker,
        replicas: Callable[[], list[Replica]],
        clock: Callable[[], datetime],
        trace: Trace,
        is_stored: Callable[[Submission], bool],
    ) -> None:
        self._is_stored = is_stored
        self.rng, self.store, self.broker, self.trace = rng, store, broker, trace
        self.replicas, self.clock = replicas, clock
        self.nonsense: set[bytes] = set()
        """The values of records that no reader can understand."""
        self.calls: set[asyncio.Task[None]] = set()
        self.unexpected: list[str] = []
        self._events = 0
        self._attempts: list[AttemptId] = []

    async def run(self, inputs: int, seconds: float) -> None:
        for id_ in CONNECTORS[: self.rng.randint(2, len(CONNECTORS))]:
            self._write(self._register(id_))
        many_sign_in = self.rng.random() < 0.1
        for _ in range(inputs):
            await asyncio.sleep(self.rng.expovariate(inputs / seconds))
            draw = self.rng.random()
            if many_sign_in and draw > 0.3:
                self._call(self._sign_in())
                continue
            if draw < 0.55:
                self._say(self._sync())
            elif draw < 0.65:
                self._say(self._command())
            elif draw < 0.7:
                self._say(self._nonsense())
            else:
                self._call(self._request())
        while self.calls:
            await asyncio.wait(self.calls)

    # Records.

    def _say(self, event: Event) -> None:
        """At once, late, or twice."""
        self._write(event)
        for _ in range(self.rng.choice((0, 0, 0, 0, 0, 1, 2))):
            loop = asyncio.get_running_loop()
            loop.call_later(self.rng.uniform(0, 3), self._write, event)

    def _write(self, event: Event) -> None:
        record = self.broker.append(event.topic, event.partition, event.key, event.value, event.headers)
        words = dict(event.headers).get("ce_type", b"?").decode(errors="replace").removeprefix("io.regrant.")
        key = (event.key or b"").decode(errors="replace")
        self.trace.add("host", f"{event.topic[15:19]}{event.partition}@{record.offset} {words} {key}")

    def _event(self, message: Message, channel: channels.Channel, id_: ConnectorId, body: dict[str, object]) -> Event:
        self._events += 1
        late = timedelta(seconds=self.rng.choice((0, 0, 0, 1, 5)))
        headers = {
            "ce_specversion": "1.0",
            "ce_id": f"e{self._events}",
            "ce_source": "/host",
            "ce_type": message.type,
            "ce_subject": id_,
            "ce_time": (self.clock() - late).isoformat(),
            "content-type": "application/json",
        }
        encoded = tuple((name, text.encode()) for name, text in headers.items())
        partition = shard_of(id_)
        if self.rng.random() < 0.03:
            partition = self.rng.randrange(self.broker.partitions)  # a stray key
        return Event(PREFIX + channel.topic, int(partition), id_.encode(), orjson.dumps(body), encoded)

    def _sync(self) -> Event:
        id_ = self.rng.choice(CONNECTORS)
        body: dict[str, object] = {}
        if self.rng.random() < 0.7:
            body["generation"] = max(0, self._generation(id_) + self.rng.choice((0, 0, 0, 0, -1, 1)))
        if self.rng.random() < 0.5:
            body["started_at"] = (self.clock() - timedelta(seconds=self.rng.uniform(0, 8))).isoformat()
        said = self.rng.choice((channels.SYNC_STARTED, channels.SYNC_SUCCEEDED, channels.SYNC_FAILED))
        if said is channels.SYNC_FAILED:
            if self.rng.random() < 0.5:
                body["error"] = {"at": "api", "status": self.rng.choice((401, 401, 503))}
            else:
                body["reason"] = self.rng.choice(("token_refused", "network_error", "client_rejected"))
        return self._event(said, channels.SYNC_EVENTS, id_, body)

    def _command(self) -> Event:
        id_ = self.rng.choice(CONNECTORS)
        draw = self.rng.random()
        if draw < 0.3:
            return self._register(id_)
        if draw < 0.5:
            return self._event(channels.UPDATE, channels.COMMANDS, id_, {"name": self._name()})
        if draw < 0.85:
            return self._event(
                channels.START_REAUTH, channels.COMMANDS, id_, {"attempt_id": str(self._attempt_to_open())}
            )
        if draw < 0.97:
            return self._event(channels.DISCONNECT, channels.COMMANDS, id_, {})
        return self._event(channels.DELETE, channels.COMMANDS, id_, {})

    def _register(self, id_: ConnectorId) -> Event:
        provider = "unknown" if self.rng.random() < 0.05 else PROVIDERS[0]
        body: dict[str, object] = {
            "tenant_id": "t1",
            "provider": provider,
            "name": self._name(),
            "connected": self.rng.random() < 0.7,
        }
        return self._event(channels.REGISTER, channels.COMMANDS, id_, body)

    def _nonsense(self) -> Event:
        event = self._sync()
        value = b"nonsense %d" % self._events
        self.nonsense.add(value)
        kind = self.rng.randrange(3)
        if kind == 0:
            return Event(event.topic, event.partition, None, value, event.headers)
        if kind == 1:
            return Event(event.topic, event.partition, event.key, value, ())
        return Event(event.topic, event.partition, event.key, value, event.headers)

    # Callers.

    def _call(self, submission: Submission) -> None:
        if replicas := self.replicas():
            replica = self.rng.choice(replicas)
            call = asyncio.ensure_future(self._answered(replica, submission))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)

    async def _answered(self, replica: Replica, submission: Submission) -> None:
        said = f"{submission.input.trigger} {submission.input.connector}"
        self.trace.add("host", f"calls {replica.process.name}: {said}")
        try:
            async with asyncio.timeout(12):  # its replica may be dead
                receipt = await replica.engine.submit(submission)
            self.trace.add("host", f"is answered: {said}")
            if receipt.outcome in (Outcome.TRANSITION, Outcome.OBSERVATION) and not self._is_stored(submission):
                self.unexpected.append(f"I3: {said} was answered before it was stored")
        except (Busy, LeaseLost, TimeoutError):
            self.trace.add("host", f"isn't answered: {said}")
        except Exception as error:
            if type(error).__name__ != "UniqueViolationError":  # the attempt was opened before
                self.unexpected.append(f"{said}: {error!r}")

    def _request(self) -> Submission:
        id_ = self.rng.choice(CONNECTORS)
        draw = self.rng.random()
        person, host = Actor(ActorKind.PERSON, "p1"), Actor(ActorKind.HOST)
        tenant = TenantId("t1" if self.rng.random() < 0.97 else "t2")
        if draw < 0.35:
            input_: Input = StartReauth(connector=id_, attempt=self._attempt_to_open())
            return Submission(input=input_, actor=host, tenant=tenant, attachment=NewAttempt(person_id="p1"))
        if draw < 0.65:
            code = ReceivedCode(sealed=b"sealed", data_key=1, claimed_account=None)
            return Submission(
                input=GrantReceived(connector=id_, attempt=self._live(id_)), actor=person, attachment=code
            )
        if draw < 0.72:
            return Submission(input=Cancelled(connector=id_, attempt=self._live(id_)), actor=person)
        if draw < 0.78:
            refused = GrantRefused(connector=id_, attempt=self._live(id_), reason=Reason.ACCESS_DENIED)
            return Submission(input=refused, actor=person)
        if draw < 0.88:
            generation = Generation(max(0, self._generation(id_) - self.rng.choice((0, 0, 1))))
            rejected = RefreshRejected(connector=id_, generation=generation, reason=Reason.TOKEN_REFUSED)
            return Submission(input=rejected, actor=Actor(ActorKind.PROVIDER))
        if draw < 0.9:
            reason = self.rng.choice((None, None, Reason.TOKEN_REFUSED, Reason.ACCOUNT_INACTIVE))
            found = VerifiedAgain(connector=id_, generation=Generation(self._generation(id_)), reason=reason)
            return Submission(input=found, actor=host, tenant=tenant)
        version = self.rng.choice((None, None, 2))
        input_ = self._host_input(id_)
        return Submission(input=input_, actor=host, tenant=tenant, if_version=version)

    def _sign_in(self) -> Submission:
        """One of the people who sign in, while syncs fail: so that several connectors live on one account."""
        id_ = self.rng.choice(CONNECTORS)
        row = self.store.tables.connectors.get(id_)
        if row is not None and row.connector.attempt is not None:
            code = ReceivedCode(sealed=b"sealed", data_key=1, claimed_account=None)
            back = GrantReceived(connector=id_, attempt=row.connector.attempt)
            return Submission(input=back, actor=Actor(ActorKind.PERSON, "p1"), attachment=code)
        if row is None or row.connector.generation == 0 or self.rng.random() < 0.3:
            input_: Input = StartReauth(connector=id_, attempt=self._attempt_to_open())
            return Submission(input=input_, actor=Actor(ActorKind.HOST), attachment=NewAttempt(person_id="p1"))
        rejected = RefreshRejected(connector=id_, generation=row.connector.generation, reason=Reason.TOKEN_REFUSED)
        return Submission(input=rejected, actor=Actor(ActorKind.PROVIDER))

    def _host_input(self, id_: ConnectorId) -> Input:
        match self.rng.randrange(10):
            case 0 | 1 | 2 | 3:
                return Register(
                    connector=id_,
                    tenant=TenantId("t1"),
                    provider=ProviderId(PROVIDERS[0]),
                    name=self._name(),
                    connected=True,
                )
            case 4 | 5 | 6:
                return Update(connector=id_, name=self._name())
            case 7 | 8:
                return Disconnect(connector=id_)
            case _:
                return Delete(connector=id_)

    # What is drawn.

    def _name(self) -> str:
        return f"Books {self.rng.randrange(5)}"

    def _generation(self, id_: ConnectorId) -> int:
        row = self.store.tables.connectors.get(id_)
        return row.connector.generation if row else 0

    def _attempt_to_open(self) -> AttemptId:
        """Mostly a new one; now and then one that was asked for before."""
        if self._attempts and self.rng.random() < 0.15:
            return self.rng.choice(self._attempts)
        attempt = AttemptId(UUID(int=self.rng.getrandbits(128), version=4))
        self._attempts.append(attempt)
        return attempt

    def _live(self, id_: ConnectorId) -> AttemptId:
        row = self.store.tables.connectors.get(id_)
        if row is not None and row.connector.attempt is not None and self.rng.random() < 0.85:
            return row.connector.attempt
        return self.rng.choice(self._attempts) if self._attempts else self._attempt_to_open()
