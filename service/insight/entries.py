"""What happened to a connector, one entry a transition or note: the same value, wherever it was read.

A row of the database, a record of the topic and a line of a support bundle become the same entry, so that whatever is
told of a connector can be told from each of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import ActorKind, Ignored, Notice, Outcome, State, Step, Trigger
from schemas.reasons import Reason
from statemachine.connector import Account, Connector

Json: TypeAlias = Mapping[str, Any]  # Any: what JSON can hold


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused it."""

    kind: ActorKind
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the provider said, as far as it may be kept."""

    at: str
    status: int | None = None
    code: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One transition, or one input that was noted or ignored."""

    at: datetime
    outcome: Outcome
    trigger: Trigger
    version: int | None = None
    """Of a transition."""
    source: State | None = None
    to: State | None = None
    reason: Reason | None = None
    why: Ignored | None = None
    step: Step | None = None
    notice: Notice | None = None
    actor: Actor
    attempt: AttemptId | None = None
    expected: Account | None = None
    seen: Account | None = None
    evidence: Evidence | None = None
    correlation: str | None = None
    """The trace id of the request that it came from."""
    causation: str | None = None
    """The id of the event that said it."""
    after: Connector | None = None
    """The connector afterwards, of a transition."""

    @property
    def is_transition(self) -> bool:
        return self.version is not None


def of_record(record: Json, trace: Json | None = None) -> Entry:
    """A transition, from the data of its record. Raises `KeyError` or `ValueError` for what is none."""
    after = connector_of_record(record["connector"])
    trace = trace or {}
    return Entry(
        at=instant(record["at"]),
        outcome=Outcome.TRANSITION,
        trigger=Trigger(record["trigger"]),
        version=record["version"],
        source=State(record["from"]),
        to=State(record["to"]),
        reason=_reason(record["reason"]),
        step=Step(record["step"]) if record["step"] else None,
        notice=Notice(record["notice"]) if record["notice"] else None,
        actor=_actor(record["actor"]),
        attempt=_attempt(record["attempt_id"]),
        expected=_account(record["expected_account"]),
        seen=_account(record["seen_account"]),
        evidence=_evidence(record["evidence"]),
        correlation=trace.get("correlationid"),
        causation=trace.get("causationid"),
        after=after,
    )


def of_note(note: Json) -> Entry:
    """An input that was noted or ignored. Raises `KeyError` or `ValueError` for what is none."""
    return Entry(
        at=instant(note["at"]),
        outcome=Outcome(note["outcome"]),
        trigger=Trigger(note["trigger"]),
        reason=_reason(note["reason"]),
        why=Ignored(note["why"]) if note["why"] else None,
        actor=_actor(note["actor"]),
        attempt=_attempt(note["attempt_id"]),
        evidence=_evidence(note["evidence"]),
        causation=note["cause"],
    )


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Oldest first, each version once: a topic may show one again. Transitions go by version, whatever a clock says;
    notes have none, and stand before the first transition that is no older."""
    versions: dict[int, Entry] = {}
    notes: list[Entry] = []
    for entry in entries:
        if entry.version is None:
            notes.append(entry)
        else:
            versions.setdefault(entry.version, entry)
    notes.sort(key=lambda note: note.at)
    ordered: list[Entry] = []
    told = 0
    for version in sorted(versions):
        while told < len(notes) and notes[told].at <= versions[version].at:
            ordered.append(notes[told])
            told += 1
        ordered.append(versions[version])
    return ordered + notes[told:]


def connector_of_record(state: Json) -> Connector:
    """The connector that a snapshot tells of: what only observations change is not in there."""
    return Connector(
        id=ConnectorId(state["connector_id"]),
        state=State(state["state"]),
        version=state["version"],
        tenant=TenantId(state["tenant_id"]),
        provider=ProviderId(state["provider"]),
        name=state["name"],
        account=_account(state["account"]),
        generation=Generation(state["generation"]),
        reason=_reason(state["reason"]),
        since=instant(state["since"]),
        deadline=_maybe(state["deadline"]),
        attempt=_attempt(state["attempt_id"]),
        fallback=State(state["fallback"]) if state["fallback"] else None,
        attempt_reason=_reason(state["attempt_reason"]),
        failed_since=_maybe(state["failed_since"]),
        last_success=_maybe(state["last_success"]),
        expires_at=_maybe(state.get("expires_at")),
        expires_estimated=bool(state.get("expires_estimated")),
        warned=_maybe(state.get("expires_at")),
    )


def instant(told: str | datetime) -> datetime:
    """An instant, from its text. Raises `ValueError` for one without an offset."""
    at = datetime.fromisoformat(told) if isinstance(told, str) else told
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    return at


def _maybe(told: str | datetime | None) -> datetime | None:
    return instant(told) if told else None


def _reason(told: str | None) -> Reason | None:
    return Reason(told) if told else None


def _attempt(told: object) -> AttemptId | None:
    return AttemptId(UUID(str(told))) if told else None


def _account(told: Json | None) -> Account | None:
    return Account(told["id"], told["name"]) if told else None


def _actor(told: Json) -> Actor:
    return Actor(ActorKind(told["kind"]), told.get("id"))


def _evidence(told: Json | None) -> Evidence | None:
    return Evidence(told["at"], told.get("status"), told.get("code"), told.get("request_id")) if told else None
