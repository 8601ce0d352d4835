"""What a connector's story is told from: the newest of its log and of its notes, its attempts, its credential's facts.

Nothing sealed and no hash is read here.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from schemas.ids import AttemptId, ConnectorId
from schemas.lifecycle import Step
from service.store.pool import Connection
from service.store.rows import connector_of
from statemachine.connector import Connector

Json = dict[str, Any]  # Any: what JSON can hold

# By its id alone: for operators, over all tenants. A deleted one is there, too. Unique index of connector_id.
CONNECTOR_OF_ANY_TENANT = "select * from connector where connector_id = $1"

# The database's clock, at the transaction's beginning.
NOW = "select now()"

# The newest transitions, as they were published. Index transition_connector.
TRANSITIONS = """
select record, sync_request, trace from transition where connector = $1 order by version desc limit $2
"""

# The newest notes. Index note_connector.
NOTES = """
select at, outcome, trigger::text, why, reason, attempt_id, actor, evidence, cause
from note where connector = $1 order by at desc limit $2
"""

# The newest attempts; what ended long ago is cleared. Index attempt_connector.
ATTEMPTS = """
select attempt_id, opened_at, expires_at, person_id, person_name, completion, step, exchange_begun_at, ended_at, reason,
    expected_account, seen_account
from attempt where connector = $1 order by opened_at desc limit $2
"""

# Whose attempt it is. Primary key.
CONNECTOR_OF_ATTEMPT = "select connector from attempt where attempt_id = $1"

# How far the person of the live attempt is. Primary key.
STEP = "select a.step from attempt a where a.attempt_id = $1"

# The facts about a connector's credentials: numbers, times and scopes.
CREDENTIALS = """
select generation, status, account_id, scope, rotation, made_at, refreshed_at, access_expires_at,
    refresh_sealed is not null as refreshable, refresh_expires_at, refresh_estimated, hard_expires_at, hard_estimated,
    announced_end, ends_at, ends_estimated, attempt_id
from credential where connector = $1 order by generation desc limit 10
"""


# The trace that a connector's newest row in the log belongs to. Index transition_connector.
TRACEPARENTS = """
select wanted.connector, newest.traceparent from unnest($1::bigint[]) as wanted (connector)
cross join lateral (
    select trace ->> 'traceparent' as traceparent from transition t
    where t.connector = wanted.connector order by t.version desc limit 1
) newest
where newest.traceparent is not null
"""


async def traceparents(connection: Connection, connectors: Collection[int]) -> dict[int, str]:
    """The `traceparent` of the newest row in the log of each of these connectors that has one."""
    rows = await connection.fetch(TRACEPARENTS, list(connectors))
    return {row["connector"]: row["traceparent"] for row in rows}


@dataclass(frozen=True, slots=True)
class Record:
    """A transition as it was published, with the sync that it asked for and what ties it to its request."""

    transition: Json
    sync_request: Json | None
    trace: Json | None


@dataclass(frozen=True, slots=True)
class Log:
    """The newest of what happened, the newest first."""

    transitions: list[Record]
    notes: list[Json]
    more: bool
    """Whether there are older transitions or notes."""


async def connector_of_any_tenant(connection: Connection, id_: ConnectorId) -> tuple[int, Connector] | None:
    """The connector with its internal key; `None` when there never was one of that id."""
    row = await connection.fetchrow(CONNECTOR_OF_ANY_TENANT, id_)
    return (row["id"], connector_of(row)) if row else None


async def now(connection: Connection) -> datetime:
    at: datetime = await connection.fetchval(NOW)
    return at


async def log(connection: Connection, pk: int, limit: int) -> Log:
    """The newest transitions and notes, so many of each at most."""
    transitions = await connection.fetch(TRANSITIONS, pk, limit + 1)
    notes = await connection.fetch(NOTES, pk, limit + 1)
    return Log(
        [_record(row) for row in transitions[:limit]],
        [_note(row) for row in notes[:limit]],
        len(transitions) > limit or len(notes) > limit,
    )


async def log_of_attempt(connection: Connection, attempt: AttemptId, limit: int) -> Log | None:
    """The newest of its connector's log; `None` where the attempt isn't kept any more."""
    pk = await connection.fetchval(CONNECTOR_OF_ATTEMPT, attempt)
    return await log(connection, pk, limit) if pk is not None else None


async def step(connection: Connection, attempt: AttemptId) -> Step | None:
    """The step of an attempt; `None` for one that isn't kept any more."""
    found = await connection.fetchval(STEP, attempt)
    return Step(found) if found else None


async def attempts(connection: Connection, pk: int, limit: int) -> list[Json]:
    """The newest attempts, the newest first."""
    rows = await connection.fetch(ATTEMPTS, pk, limit)
    return [_plain(row) | {name: _json(row[name]) for name in ("expected_account", "seen_account")} for row in rows]


async def credentials(connection: Connection, pk: int) -> list[Json]:
    """What is known of the credentials, the newest first; never a value."""
    return [_plain(row) for row in await connection.fetch(CREDENTIALS, pk)]


def _record(row: asyncpg.Record) -> Record:
    return Record(orjson.loads(row["record"]), _json(row["sync_request"]), _json(row["trace"]))


def _note(row: asyncpg.Record) -> Json:
    return _plain(row) | {"actor": orjson.loads(row["actor"]), "evidence": _json(row["evidence"])}


def _plain(row: asyncpg.Record) -> Json:
    return {name: _told(value) for name, value in row.items()}


def _told(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _json(value: str | None) -> Json | None:
    return orjson.loads(value) if value else None
