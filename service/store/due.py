"""What is due: deadlines of connectors, and jobs. All by the database's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from schemas.ids import AttemptId, ConnectorId, Shard
from schemas.lifecycle import State, Step
from service.store.pool import Connection

# Deadlines that have passed: of the caller's own shards at once, of others only when their owner is evidently late.
# Relies on the partial index connector_deadline.
DUE = """
select c.connector_id, c.state, c.deadline, a.step
from connector c left join attempt a on a.attempt_id = c.attempt_id
where c.deadline is not null
  and ((c.shard = any($1::int[]) and c.deadline <= now())
    or (c.shard <> all($1::int[]) and c.deadline <= now() - $2::interval))
order by c.deadline limit $3
"""

# Takes jobs under a lease. A job whose holder died is taken again when its lease ends.
LEASE = """
update job set lease_token = gen_random_uuid(), lease_until = now() + $2::interval, tries = tries + 1
from connector c
where c.id = job.connector and job.id in (
    select id from job where run_at <= now() and (lease_until is null or lease_until < now())
    order by run_at limit $1 for update skip locked
)
returning job.id, job.kind, job.connector, c.connector_id, job.attempt_id, job.tries, job.lease_token, job.trace
"""

FINISH = "delete from job where id = $1 and lease_token = $2"

RENEW = "update job set lease_until = now() + $3::interval where id = $1 and lease_token = $2"

POSTPONE = """
update job set run_at = now() + $3::interval, lease_token = null, lease_until = null
where id = $1 and lease_token = $2
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline that has passed."""

    connector: ConnectorId
    state: State
    deadline: datetime
    step: Step | None
    """How far the live attempt came."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job, held under a lease."""

    id: int
    kind: str
    pk: int
    connector: ConnectorId
    attempt: AttemptId | None
    tries: int
    """This time included."""
    lease: UUID
    trace: str | None


async def due(connection: Connection, own: Sequence[Shard], lateness: timedelta, limit: int) -> list[Due]:
    """Deadlines that have passed; of shards that aren't `own` only when they are late by `lateness`."""
    return [
        Due(
            ConnectorId(row["connector_id"]),
            State(row["state"]),
            row["deadline"],
            Step(row["step"]) if row["step"] else None,
        )
        for row in await connection.fetch(DUE, list(own), lateness, limit)
    ]


async def lease_jobs(connection: Connection, limit: int, lease: timedelta) -> list[Job]:
    """Takes at most `limit` jobs that are due; they are the caller's for the time of the lease."""
    return [
        Job(
            row["id"],
            row["kind"],
            row["connector"],
            ConnectorId(row["connector_id"]),
            AttemptId(row["attempt_id"]) if row["attempt_id"] else None,
            row["tries"],
            row["lease_token"],
            row["trace"],
        )
        for row in await connection.fetch(LEASE, limit, lease)
    ]


async def finish(connection: Connection, job: Job) -> None:
    """Ends a job that has no result to hand in."""
    await connection.execute(FINISH, job.id, job.lease)


async def renew(connection: Connection, job: Job, lease: timedelta) -> None:
    """Holds the lease for longer, if it is still held."""
    await connection.execute(RENEW, job.id, job.lease, lease)


async def postpone(connection: Connection, job: Job, pause: timedelta) -> None:
    """Gives the lease back, to be tried again after a pause."""
    await connection.execute(POSTPONE, job.id, job.lease, pause)
