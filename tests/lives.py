"""A connector's life without a database: inputs through the real table, into the very records that Kafka shows."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from schemas.ids import ConnectorId
from schemas.lifecycle import ActorKind, Outcome, Step
from schemas.reasons import Reason
from schemas.records import Evidence
from service.engine import records
from service.engine.submission import Actor, Submission, Trace
from service.insight.entries import Entry, connector_of_record, in_order, of_note, of_record
from service.insight.names import Names, ProviderNames
from service.insight.why import Glimpse, Why, why
from statemachine import decide, inputs
from statemachine.connector import Account, Connector
from statemachine.decide import Decision

PUBLIC_URL = "https://connect.example.com"
BEGAN = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
ACME, OTHER = Account("913", "Acme Inc"), Account("914", "Acme Ltd")
QUICKBOOKS = ProviderNames("QuickBooks", "company", "Organization Admin")
HOST = Actor(ActorKind.HOST, "backend")
OLIVIA = Actor(ActorKind.PERSON, "u-olivia")
ENGINE = Actor(ActorKind.SYNC_ENGINE)
PROVIDER = Actor(ActorKind.PROVIDER, "quickbooks-online")
REGRANT = Actor(ActorKind.REGRANT, "deadline")
REFUSED = Evidence(at="api", status=401, code="3200", request_id="1-tid")


@dataclass
class Life:
    """One connector, its log as the topic has it, and its notes."""

    connector: Connector = field(default_factory=lambda: Connector(id=ConnectorId("books")))
    now: datetime = BEGAN
    log: list[dict[str, Any]] = field(default_factory=list)
    traces: list[dict[str, Any] | None] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0

    def does(self, input_: Any, actor: Actor = REGRANT, evidence: Evidence | None = None) -> Decision:
        """One input, as the engine's fold takes it."""
        trace = Trace(f"{len(self.log):032x}", None, None)
        submission = Submission(input=input_, actor=actor, evidence=evidence, trace=trace)
        decision = decide(self.connector, input_, self.now)
        if decision.outcome is Outcome.TRANSITION:
            state = records.encode(records.connector_state(decision.connector))
            record = records.transition(decision, submission, self.now, state, PUBLIC_URL)
            self.log.append(orjson.loads(records.encode(record)))
            self.traces.append(records.trace(trace))
        elif decision.outcome is Outcome.IGNORED or decision.reason is not None or decision.effects:
            note = {
                "at": self.now,
                "outcome": decision.outcome,
                "trigger": input_.trigger,
                "why": decision.why,
                "reason": decision.reason or getattr(input_, "reason", None),
                "attempt_id": getattr(input_, "attempt", None),
                "actor": records.actor(actor),
                "evidence": records.evidence(evidence),
                "cause": "e-1",
            }
            self.notes.append(orjson.loads(records.encode(note)))
        self.connector = decision.connector
        return decision

    def later(self, **time: float) -> "Life":
        self.now += timedelta(**time)
        return self

    # What happens in the usual stories.

    def registers(self, *, connected: bool = False) -> "Life":
        facts = {"tenant": "acme", "provider": "quickbooks-online", "name": "Books"}
        self.does(inputs.Register(connector=self.connector.id, connected=connected, **facts), HOST)  # type: ignore[arg-type]
        return self

    def opens(self, actor: Actor = HOST) -> "Life":
        self.attempts += 1
        self.does(inputs.StartReauth(connector=self.connector.id, attempt=UUID(int=self.attempts)), actor)  # type: ignore[arg-type]
        return self

    def comes_back(self) -> "Life":
        self.does(inputs.GrantReceived(connector=self.connector.id, attempt=self._attempt), OLIVIA)
        return self

    def is_verified(self, account: Account = ACME) -> "Life":
        self.does(inputs.Verified(connector=self.connector.id, attempt=self._attempt, account=account), PROVIDER)
        return self

    def is_rejected(self, reason: Reason, seen: Account | None = None, evidence: Evidence | None = None) -> "Life":
        rejected = inputs.Rejected(
            connector=self.connector.id, attempt=self._attempt, reason=reason, step=Step.EXCHANGED, seen=seen
        )
        self.does(rejected, PROVIDER, evidence)
        return self

    def cannot_ask(self) -> "Life":
        away = inputs.ProviderUnavailable(
            connector=self.connector.id, attempt=self._attempt, reason=Reason.PROVIDER_UNAVAILABLE
        )
        self.does(away, PROVIDER, Evidence(at="token", status=503, request_id="1-away"))
        return self

    def syncs(self) -> "Life":
        self.does(self._sync(inputs.SyncSucceeded), ENGINE)
        return self

    def fails(self, reason: Reason = Reason.TOKEN_REFUSED, evidence: Evidence | None = REFUSED) -> "Life":
        self.does(self._sync(inputs.SyncFailed, reason=reason, position="p-1"), ENGINE, evidence)
        return self

    def waits(self) -> "Life":
        """Until the deadline, whatever it is for."""
        c = self.connector
        assert c.deadline is not None
        self.now = c.deadline
        late = {
            "awaiting_auth": inputs.AuthExpired,
            "verifying": inputs.VerifyExpired,
            "syncing": inputs.SyncExpired,
            "failed": inputs.ReminderDue,
        }[c.state]
        self.does(late(connector=c.id, due=c.deadline))
        return self

    def connects(self) -> "Life":
        """The first connection, and the first data."""
        return (
            self.registers()
            .later(minutes=1)
            .opens()
            .later(minutes=2)
            .comes_back()
            .is_verified()
            .later(minutes=3)
            .syncs()
        )

    @property
    def _attempt(self) -> Any:
        return self.connector.attempt

    def _sync(self, of: Any, **facts: Any) -> Any:
        return of(connector=self.connector.id, occurred=self.now, generation=self.connector.generation, **facts)

    # How it is read.

    @property
    def transitions(self) -> list[Entry]:
        return [of_record(record, trace) for record, trace in zip(self.log, self.traces, strict=True)]

    @property
    def entries(self) -> list[Entry]:
        return in_order([*self.transitions, *(of_note(note) for note in self.notes)])

    def why(self, glimpse: Glimpse | None = None) -> Why:
        """As the database tells it: the connector's row, the log and the notes."""
        return why(self.connector, self.entries, Names.of(self.connector, QUICKBOOKS), glimpse)

    def why_from_kafka(self) -> Why:
        """As the topic alone tells it."""
        connector = connector_of_record(self.log[-1]["connector"])
        return why(connector, in_order(of_record(record) for record in self.log), Names.of(connector, QUICKBOOKS))
