"""A connector as a row: its columns, and the way there and back."""

from typing import Any, Protocol, TypeAlias

import asyncpg

from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Reason
from statemachine.connector import Account, Connector


class Row(Protocol):
    """What a query brought, by its columns' names."""

    def __getitem__(self, column: str, /) -> Any: ...  # Any: each column's own type


Column: TypeAlias = tuple[str, str]
"""Its name and its type."""

# What the outcomes of syncs change: nearly all batches change nothing else.
BY_SYNCS: tuple[Column, ...] = (
    ("state", "connector_state"),
    ("version", "bigint"),
    ("reason", "text"),
    ("since", "timestamptz"),
    ("deadline", "timestamptz"),
    ("failed_since", "timestamptz"),
    ("position", "text"),
    ("last_run", "timestamptz"),
    ("last_success", "timestamptz"),
    ("transient_failures", "int"),
    ("sync_asks", "int"),
    ("reminders", "int"),
)
# What people change: attempts, credentials, names.
BY_PEOPLE: tuple[Column, ...] = (
    ("name", "text"),
    ("account_id", "text"),
    ("account_name", "text"),
    ("generation", "int"),
    ("attempt_id", "uuid"),
    ("fallback", "connector_state"),
    ("attempt_reason", "text"),
    ("last_attempt", "uuid"),
    ("help_asked", "uuid"),
    ("unavailable", "int"),
    ("swapped", "timestamptz"),
    ("last_command", "timestamptz"),
    ("last_command_event", "text"),
    ("expires_at", "timestamptz"),
    ("expires_estimated", "boolean"),
    ("warned", "timestamptz"),
    ("warned_plan", "int"),
)
CHANGING = (*BY_SYNCS, *BY_PEOPLE)
COLUMNS: tuple[Column, ...] = (("tenant_id", "text"), ("provider", "text"), *CHANGING)

Values: TypeAlias = tuple[Any, ...]
"""One value a column, of the column's type."""


def by_syncs(c: Connector) -> Values:
    """The connector's values, in the order of `BY_SYNCS`."""
    return (
        c.state,
        c.version,
        c.reason,
        c.since,
        c.deadline,
        c.failed_since,
        c.position,
        c.last_run,
        c.last_success,
        c.transient_failures,
        c.sync_asks,
        c.reminders,
    )


def by_people(c: Connector) -> Values:
    """The connector's values, in the order of `BY_PEOPLE`."""
    return (
        c.name,
        c.account.id if c.account else None,
        c.account.name if c.account else None,
        c.generation,
        c.attempt,
        c.fallback,
        c.attempt_reason,
        c.last_attempt,
        c.help_asked,
        c.unavailable,
        c.swapped,
        c.last_command,
        c.last_command_event,
        c.expires_at,
        c.expires_estimated,
        c.warned,
        c.warned_plan,
    )


def changing(c: Connector) -> Values:
    """The values that an input may change once the connector is registered, in the order of `CHANGING`."""
    return (*by_syncs(c), *by_people(c))


def values_of(c: Connector) -> Values:
    """The connector's values, in the order of `COLUMNS`."""
    return (c.tenant, c.provider, *changing(c))


_STATES = {state.value: state for state in State}
_REASONS: dict[str | None, Reason | None] = {None: None, **{reason.value: reason for reason in Reason}}


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
        last_attempt=AttemptId(row["last_attempt"]) if row["last_attempt"] else None,
        help_asked=AttemptId(row["help_asked"]) if row["help_asked"] else None,
        unavailable=row["unavailable"],
        failed_since=row["failed_since"],
        position=row["position"],
        last_run=row["last_run"],
        last_success=row["last_success"],
        swapped=row["swapped"],
        last_command=row["last_command"],
        last_command_event=row["last_command_event"],
        transient_failures=row["transient_failures"],
        sync_asks=row["sync_asks"],
        reminders=row["reminders"],
        expires_at=row["expires_at"],
        expires_estimated=row["expires_estimated"],
        warned=row["warned"],
        warned_plan=row["warned_plan"],
    )
