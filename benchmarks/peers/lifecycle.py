"""The part of the lifecycle that the peers need, as one would write it by hand: a few ifs, and the record as a dict.

What it does to a connector, and the record's content, are the same as ours; there is just no table, no guard for what
these inputs never meet, and no model that validates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from schemas.lifecycle import Notice, State, Step, Trigger
from schemas.reasons import Reason

FIRST_REMINDER = timedelta(days=1)
_EVENTS = {"io.regrant.sync.failed.v1": Trigger.SYNC_FAILED, "io.regrant.sync.succeeded.v1": Trigger.SYNC_SUCCEEDED}


@dataclass(slots=True)
class Event:
    """A sync event, as far as it is read."""

    connector_id: str
    trigger: Trigger
    source: str
    occurred: datetime
    started: datetime
    reason: Reason | None


@dataclass(slots=True)
class Moved:
    """What an event does to a row: the columns that change, and the record of the transition (`None`: observation)."""

    state: State
    version: int
    reason: Reason | None
    since: datetime
    failed_since: datetime | None
    last_run: datetime
    last_success: datetime | None
    deadline: datetime | None
    before: State
    told: Reason | None
    record: bytes | None


def read(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> Event:
    """A Kafka record as an event."""
    attributes = dict(headers)
    data = orjson.loads(value)
    return Event(
        connector_id=key.decode(),
        trigger=_EVENTS[attributes["ce_type"].decode()],
        source=attributes["ce_source"].decode(),
        occurred=datetime.fromisoformat(attributes["ce_time"].decode()),
        started=datetime.fromisoformat(data["started_at"]),
        reason=Reason(data["reason"]) if "reason" in data else None,
    )


def move(row: Mapping[str, Any], event: Event) -> Moved | None:  # Any: the row's columns
    """What `event` does to the connector of `row`; `None` where it is stale, which is how a repeat is seen."""
    if row["last_run"] is not None and event.started <= row["last_run"]:
        return None
    before = State(row["state"])
    now = datetime.now(UTC)
    if event.trigger is Trigger.SYNC_FAILED and before is State.HEALTHY:
        moved = Moved(
            State.FAILED,
            row["version"] + 1,
            event.reason,
            now,
            row["failed_since"] or event.occurred,
            event.started,
            row["last_success"],
            now + FIRST_REMINDER,
            before,
            event.reason,
            None,
        )
    elif event.trigger is Trigger.SYNC_SUCCEEDED and before is State.FAILED:
        version = row["version"] + 1
        told = Reason.RECOVERED
        moved = Moved(State.HEALTHY, version, None, now, None, event.started, event.occurred, None, before, told, None)
    else:
        known, since, deadline = row["reason"], row["since"], row["deadline"]
        reason = Reason(known) if known else None
        success = event.occurred if event.trigger is Trigger.SYNC_SUCCEEDED else row["last_success"]
        failed = row["failed_since"]
        return Moved(
            before, row["version"], reason, since, failed, event.started, success, deadline, before, None, None
        )
    moved.record = orjson.dumps(_record(row, event, moved, now))
    return moved


def _record(row: Mapping[str, Any], event: Event, moved: Moved, now: datetime) -> dict[str, Any]:  # Any: JSON
    failed = moved.state is State.FAILED
    told = moved.told
    return {
        "connector_id": event.connector_id,
        "tenant_id": row["tenant_id"],
        "provider": row["provider"],
        "version": moved.version,
        "at": now,
        "from": moved.before,
        "to": moved.state,
        "trigger": event.trigger,
        "reason": told,
        "origin": told.origin if told else None,
        "remedy": told.remedy if told else None,
        "step": Step.FAILURE_SEEN if failed else None,
        "notice": Notice.PERSON_NEEDED if failed else Notice.RECOVERED,
        "actor": {"kind": "sync_engine", "id": event.source},
        "attempt_id": None,
        "expected_account": None,
        "seen_account": None,
        "evidence": None,
        "connector": {
            "connector_id": event.connector_id,
            "tenant_id": row["tenant_id"],
            "provider": row["provider"],
            "name": row["name"],
            "state": moved.state,
            "version": moved.version,
            "since": now,
            "reason": moved.reason,
            "remedy": moved.reason.remedy if moved.reason else None,
            "fallback": None,
            "account": None,
            "generation": 0,
            "attempt_id": None,
            "attempt_reason": None,
            "deadline": moved.deadline,
            "failed_since": moved.failed_since,
            "last_success": moved.last_success,
        },
    }
