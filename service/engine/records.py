"""The records that a transition leaves behind, as JSON: what the log keeps and Kafka shows.

Built as plain dictionaries for speed; a test holds them against the contracts in `schemas/records.py`.
"""

from datetime import datetime
from typing import Any

import orjson

from schemas.records import Evidence
from service.engine.submission import Actor, Submission, Trace
from statemachine.connector import Account, Connector
from statemachine.decide import Decision
from statemachine.effects import RequestSync

Json = dict[str, Any]  # Any: what JSON can hold


def encode(value: object) -> str:
    """Compact JSON; times as RFC 3339. The default is for asyncpg's own kind of UUID."""
    return orjson.dumps(value, default=str).decode()


def account(account_: Account | None) -> Json | None:
    return {"id": account_.id, "name": account_.name} if account_ else None


def actor(actor_: Actor) -> Json:
    return {"kind": actor_.kind, "id": actor_.id}


def evidence(evidence_: Evidence | None) -> Json | None:
    return evidence_.model_dump() if evidence_ else None


def trace(trace_: Trace) -> Json | None:
    if trace_.correlation_id is None and trace_.causation_id is None and trace_.traceparent is None:
        return None
    return {
        "correlationid": trace_.correlation_id,
        "causationid": trace_.causation_id,
        "traceparent": trace_.traceparent,
    }


def connector_state(c: Connector) -> Json:
    """Data of `connectors.auth.state.v1` (`schemas.records.ConnectorState`)."""
    return {
        "connector_id": c.id,
        "tenant_id": c.tenant,
        "provider": c.provider,
        "name": c.name,
        "state": c.state,
        "version": c.version,
        "since": c.since,
        "reason": c.reason,
        "remedy": c.reason.remedy if c.reason else None,
        "fallback": c.fallback,
        "account": account(c.account),
        "generation": c.generation,
        "attempt_id": c.attempt,
        "attempt_reason": c.attempt_reason,
        "deadline": c.deadline,
        "failed_since": c.failed_since,
        "last_success": c.last_success,
        "expires_at": c.expires_at,
        "expires_estimated": c.expires_estimated,
    }


def transition(d: Decision, submission: Submission, at: datetime, state: str, public_url: str = "") -> Json:
    """Data of `connectors.auth.transitions.v1` (`schemas.records.Transition`); `state` is the snapshot's JSON."""
    c = d.connector
    record = {
        "connector_id": c.id,
        "tenant_id": c.tenant,
        "provider": c.provider,
        "version": c.version,
        "at": at,
        "from": d.source,
        "to": c.state,
        "trigger": submission.input.trigger,
        "reason": d.reason,
        "origin": d.reason.origin if d.reason else None,
        "remedy": d.reason.remedy if d.reason else None,
        "step": d.step,
        "notice": d.notice,
        "link": link(d, public_url),
        "actor": actor(submission.actor),
        "attempt_id": getattr(submission.input, "attempt", None) or c.attempt,
        "expected_account": account(d.expected),
        "seen_account": account(d.seen),
        "evidence": evidence(submission.evidence),
        "connector": orjson.Fragment(state),
    }
    if d.replaced is not None:
        record["replaced_step"] = d.replaced
    return record


def link(d: Decision, public_url: str) -> str | None:
    """Where the owner goes on: the stable page of the connector, whenever a notice asks for a login."""
    if d.notice is None or not d.notice.asks_the_owner or d.reason is None or not d.reason.offers_login:
        return None
    return f"{public_url}/reconnect/{d.connector.provider}/{d.connector.id}"


def sync_request(c: Connector, effect: RequestSync) -> Json:
    """Data of `connectors.sync.requests.v1` (`schemas.records.SyncRequest`)."""
    return {
        "connector_id": c.id,
        "tenant_id": c.tenant,
        "provider": c.provider,
        "version": c.version,
        "generation": effect.generation,
        "since": effect.since,
        "position": effect.position,
        "ask": effect.ask,
    }
