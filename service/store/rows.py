"""A connector as a row: its columns, and the way there and back."""

from typing import Any

import asyncpg

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Reason
from statemachine.connector import Account, Connector

CHANGING: tuple[tuple[str, str], ...] = (
    ("name", "text"),
    ("state", "connector_state"),
    ("version", "bigint"),
    ("account_id", "text"),
    ("account_name", "text"),
    ("generation", "int"),
    ("reason", "text"),
    ("since", "timestamptz"),
    ("deadline", "timestamptz"),
    ("attempt_id", "uuid"),
    ("fallback", "connector_state"),
    ("attempt_reason", "text"),
    ("unavailable", "int"),
    ("failed_since", "timestamptz"),
    ("position", "text"),
    ("last_run", "timestamptz"),
    ("last_success", "timestamptz"),
    ("swapped", "timestamptz"),
    ("transient_failures", "int"),
    ("sync_asks", "int"),
    ("reminders", "int"),
)
COLUMNS: tuple[tuple[str, str], ...] = (("tenant_id", "text"), ("provider", "text"), *CHANGING)


_STATES = {state.value: state for state in State}
_REASONS: dict[str | None, Reason | None] = {None: None, **{reason.value: reason for reason in Reason}}


def values_of(c: Connector) -> tuple[Any, ...]:  # Any: one value a column, of the column's type
    """The connector's values, in the order of `COLUMNS`."""
    return (c.tenant, c.provider, *changing_values_of(c))


def changing_values_of(c: Connector) -> tuple[Any, ...]:  # Any: likewise
    """The values that an input may change once the connector is registered, in the order of `CHANGING`."""
    return (
        c.name,
        c.state,
        c.version,
        c.account.id if c.account else None,
        c.account.name if c.account else None,
        c.generation,
        c.reason,
        c.since,
        c.deadline,
        c.attempt,
        c.fallback,
        c.attempt_reason,
        c.unavailable,
        c.failed_since,
        c.position,
        c.last_run,
        c.last_success,
        c.swapped,
        c.transient_failures,
        c.sync_asks,
        c.reminders,
    )


def connector_of(row: asyncpg.Record) -> Connector:
    """The connector that a row of the table `connector` holds."""
    return Connector(
        id=ConnectorId(row["connector_id"]),
        state=_STATES[row["state"]],
        version=row["version"],
        tenant=TenantId(row["tenant_id"]),
        provider=ProviderId(row["provider"]),
        name=row["name"],
        account=Account(row["account_id"], row["account_name"] or "") if row["account_id"] else None,
        generation=Generation(row["generation"]),
        reason=_REASONS[row["reason"]],
        since=row["since"],
        deadline=row["deadline"],
        attempt=AttemptId(row["attempt_id"]) if row["attempt_id"] else None,
        fallback=_STATES[row["fallback"]] if row["fallback"] else None,
        attempt_reason=_REASONS[row["attempt_reason"]],
        unavailable=row["unavailable"],
        failed_since=row["failed_since"],
        position=row["position"],
        last_run=row["last_run"],
        last_success=row["last_success"],
        swapped=row["swapped"],
        transient_failures=row["transient_failures"],
        sync_asks=row["sync_asks"],
        reminders=row["reminders"],
    )
