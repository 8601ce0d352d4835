"""The known ends of credentials, and the warnings of them that are due. All by the database's clock.

The plan itself is kept by a trigger of the table `credential`: whoever writes an end plans its warnings by that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.ids import ConnectorId, Generation, ProviderId
from schemas.lifecycle import State
from service.store.pool import Connection

# Takes what is to be looked at; it is looked at again after the pause, unless somebody is done with it before. `due` is
# the newest warning that fits: planned when it was still ahead, and not overtaken by the end itself.
# Index credential_warn.
TAKE = """
update credential k set warn_at = now() + $2::interval
from connector c
where c.id = k.connector and k.id in (
    select id from credential where warn_at <= now() order by warn_at limit $1 for update skip locked
)
returning k.id, c.connector_id, c.state, c.warned, c.warned_plan, c.expires_at, k.generation, k.plan, k.ends_at,
    k.ends_estimated, now() as at,
    (
        select max(due) from regrant_warnings(k.ends_at) due
        where due > k.planned_at and due <= now() and k.ends_at > now()
    ) as due
"""

# On to the next warning, unless the end has moved since.
DONE = """
update credential k set warn_at = (select min(due) from regrant_warnings(k.ends_at) due where due > told.at)
from unnest($1::bigint[], $2::int[], $3::timestamptz[]) as told (id, plan, at)
where k.id = told.id and k.plan = told.plan and k.status = 'current'
"""

SET_RULE = "update warning_rule set ahead = $1 where ahead is distinct from $1 returning true"
# After a change of the rule, some rows at a time. What has passed by then is not warned of again.
PLAN_AGAIN = """
update credential set warn_at = (select min(due) from regrant_warnings(ends_at) due where due > now())
where status = 'current' and id > $1 and id <= $2
"""
LAST = "select coalesce(max(id), 0) from credential"

# A day on which a provider ends all grants, where the description says so, or no longer does.
ANNOUNCE = """
update credential k set announced_end = $2
from connector c
where c.id = k.connector and c.provider = $1 and k.status = 'current' and k.announced_end is distinct from $2
"""

ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Ending:
    """A credential whose end is to be looked at."""

    id: int
    connector: ConnectorId
    state: State
    generation: Generation
    ends_at: datetime | None
    """`None`: no end is known any more."""
    estimated: bool
    due: datetime | None
    """The newest warning that should have been given by now."""
    warned: datetime | None
    """When the last warning that was given had been due."""
    warned_of: datetime | None
    """The end that it told of."""
    warned_plan: int
    plan: int
    """The number of this end among the credential's."""
    at: datetime
    """The instant of this look."""


async def take(connection: Connection, limit: int, pause: timedelta) -> list[Ending]:
    """Takes at most `limit` ends that are to be looked at; nobody else gets them during the pause."""
    return [
        Ending(
            row["id"],
            ConnectorId(row["connector_id"]),
            State(row["state"]),
            Generation(row["generation"]),
            row["ends_at"],
            row["ends_estimated"],
            row["due"],
            row["warned"],
            row["expires_at"],
            row["warned_plan"],
            row["plan"],
            row["at"],
        )
        for row in await connection.fetch(TAKE, limit, pause)
    ]


async def done(connection: Connection, endings: Sequence[Ending]) -> None:
    """What was due is told: on to the next warnings."""
    told = zip(*((one.id, one.plan, one.at) for one in endings), strict=True)
    await connection.execute(DONE, *told)


async def set_rule(connection: Connection, ahead: Sequence[timedelta]) -> None:
    """Plans by these times from now on; a change of them is carried over to every credential."""
    if not await connection.fetchval(SET_RULE, list(ahead)):
        return
    last: int = await connection.fetchval(LAST)
    for first in range(0, last, ROWS):
        await connection.execute(PLAN_AGAIN, first, first + ROWS)


async def announce(connection: Connection, provider: ProviderId, end: datetime | None) -> None:
    """Notes a provider's announced end of all grants on its credentials."""
    await connection.execute(ANNOUNCE, provider, end)
