"""Where couriers stand: a cursor over the log per endpoint and shard, and the connectors that are behind it.

The tables are named after webhooks, which were the first to be brought.

What a courier writes, it writes under its cursor's row, which it locks first: so only the newest owner writes, and the
part that follows the log and the part that tries again see each other's work.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from schemas.ids import ConnectorId, Shard, TenantId
from service.store.partitions import Position
from service.store.pool import Connection

# A new endpoint begins with what happens from now on, in all shards at once; in a new shard with its first event.
BEGIN = """
insert into webhook_cursor (endpoint, shard, seq)
select $1, shard, case when exists (select from webhook_cursor where endpoint = $1) then 0 else next_seq - 1 end
from shard
on conflict (endpoint, shard) do nothing
"""
# A former owner's writes fail from here on.
CLAIM = "update webhook_cursor set epoch = epoch + 1 where endpoint = $1 and shard = $2 returning epoch, seq"

LOG_ROW = """
select t.seq, t.connector, c.connector_id, c.tenant_id, t.version, t.at, t.record, t.sync_request, t.trace
from transition t join connector c on c.id = t.connector
"""
# The next part of a shard's log. The index that begins with (shard, seq).
NEXT = f"{LOG_ROW} where t.shard = $1 and t.seq > $2 and t.seq <= $3 order by t.seq limit $4"
PARKED = "select connector from webhook_parked where endpoint = $1 and connector = any ($2::bigint[])"
# What a parked connector has behind it, up to the cursor. Index transition_connector.
WAITING = f"""
{LOG_ROW} where t.connector = $3 and t.version >= $4 and t.seq <= (
    select seq from webhook_cursor where endpoint = $1 and shard = $2
) order by t.version limit $5
"""  # noqa: S608 - built from this module's own constants

# Locks the cursor for its owner of this epoch, and moves it. No row for anybody else.
MOVE = """
update webhook_cursor set
    seq = greatest(seq, $4),
    accepted_at = case when $5 then now() else accepted_at end,
    failing_since = case when $5 then null when $6::text is null then failing_since
        else coalesce(failing_since, now()) end,
    failure = coalesce($6, failure)
where endpoint = $1 and shard = $2 and epoch = $3
returning seq
"""
# One that is parked already keeps its place: what is parked here comes behind it.
PARK = """
insert into webhook_parked (endpoint, connector, shard, version, tries, since, due_at, failure)
select $1, p.connector, $2, p.version, p.tries, now(), now() + p.pause, p.failure
from unnest($3::bigint[], $4::bigint[], $5::int[], $6::interval[], $7::text[])
    as p (connector, version, tries, pause, failure)
on conflict (endpoint, connector) do nothing
"""
# With a null instead of a number: the next one, whether its pause is over or not.
DUE = """
select connector, version, tries, since from webhook_parked
where endpoint = $1 and shard = $2 and ($3::int is null or due_at <= now()) order by due_at limit coalesce($3, 1)
"""
WAIT = """
update webhook_parked set
    since = case when version = $3 then since else now() end,
    version = $3, tries = $4, due_at = now() + $5, failure = $6
where endpoint = $1 and connector = $2
"""
# The next version behind the one that is done with, as far as the cursor; else it isn't behind any more.
GO_ON = """
update webhook_parked set version = n.version, tries = 0, since = now(), due_at = now(), failure = null
from (select min(version) as version from transition where connector = $2 and version > $3 and seq <= $4) n
where endpoint = $1 and connector = $2 and n.version is not null
returning connector
"""
UNPARK = "delete from webhook_parked where endpoint = $1 and connector = $2"
# It accepts again: nobody has to wait for the end of a pause.
HURRY = "update webhook_parked set due_at = now() where endpoint = $1 and shard = $2 and due_at > now()"

ACCEPTED_SINCE = "select exists (select from webhook_cursor where endpoint = $1 and accepted_at > $2)"
GIVE_UP = """
insert into webhook_given_up (endpoint, connector, version, since, tries, failure)
select endpoint, connector, version, since, tries + 1, $3 from webhook_parked where endpoint = $1 and connector = $2
on conflict do nothing
"""

# Of each endpoint `e`, over all shards: what its cursors have still to pass, and events that wait for another try.
BEHIND = """(
    select coalesce(sum(greatest(s.next_seq - 1 - c.seq, 0)), 0)::bigint
    from webhook_cursor c join shard s on s.shard = c.shard where c.endpoint = e.endpoint
)"""
NUMBER_PARKED = "(select count(*) from webhook_parked where endpoint = e.endpoint)"
# How each endpoint stands.
STANDINGS = f"""
select e.endpoint, exists (select from webhook_cursor where endpoint = e.endpoint) as has_begun,
    {BEHIND} as behind,
    (select max(accepted_at) from webhook_cursor where endpoint = e.endpoint) as accepted_at,
    (select min(failing_since) from webhook_cursor where endpoint = e.endpoint) as failing_since,
    coalesce(
        (select failure from webhook_cursor where endpoint = e.endpoint and failing_since is not null
            order by failing_since limit 1),
        (select failure from webhook_parked where endpoint = e.endpoint and failure is not null limit 1)
    ) as failure,
    {NUMBER_PARKED} as parked,
    (select min(since) from webhook_parked where endpoint = e.endpoint) as parked_since,
    (select count(*) from webhook_given_up where endpoint = e.endpoint) as given_up
from unnest($1::text[]) as e (endpoint) order by e.endpoint
"""  # noqa: S608 - built from the store's own constants


class Replaced(Exception):
    """Somebody else delivers this shard's events to this endpoint now."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """A transition, as far as endpoints are told of it."""

    seq: int
    pk: int
    """The connector's, inside."""
    connector: ConnectorId
    tenant: TenantId
    version: int
    at: datetime
    record: str
    sync_request: str | None
    trace: str | None


@dataclass(frozen=True, slots=True)
class Due:
    """A connector whose event is to be tried again."""

    pk: int
    version: int
    tries: int
    """So many failed."""
    since: datetime


@dataclass(frozen=True, slots=True)
class Parking:
    """A connector that falls behind, with the event that it waits with."""

    pk: int
    version: int
    tries: int
    pause: timedelta
    failure: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the endpoint said since the last time that something was stored."""

    accepted: bool
    failure: str | None
    """What went wrong last, if anything did."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint stands."""

    endpoint: str
    has_begun: bool
    """Whether any worker ever had it in its settings."""
    behind: int
    accepted_at: datetime | None
    failing_since: datetime | None
    failure: str | None
    parked: int
    parked_since: datetime | None
    given_up: int


async def claim(connection: Connection, endpoint: str, shard: Shard) -> Position:
    """Makes the caller the one who delivers this shard's events to this endpoint."""
    await connection.execute(BEGIN, endpoint)
    row = await connection.fetchrow(CLAIM, endpoint, shard)
    assert row is not None, "migrate makes every shard"
    return Position(row["epoch"], row["seq"])


async def next_of(connection: Connection, shard: Shard, after: int, until: int, limit: int) -> list[LogRow]:
    """The next transitions of a shard behind a number, and not behind `until`, at most `limit`."""
    return [log_row(row) for row in await connection.fetch(NEXT, shard, after, until, limit)]


async def parked_of(connection: Connection, endpoint: str, connectors: Collection[int]) -> set[int]:
    """Which of these are behind."""
    return {row["connector"] for row in await connection.fetch(PARKED, endpoint, list(connectors))}


async def waiting(connection: Connection, endpoint: str, shard: Shard, due: Due, limit: int) -> list[LogRow]:
    """What a connector that is behind has to be sent, oldest first."""
    rows = await connection.fetch(WAITING, endpoint, shard, due.pk, due.version, limit)
    return [log_row(row) for row in rows]


async def move(connection: Connection, endpoint: str, shard: Shard, epoch: int, seq: int, seen: Seen) -> int:
    """Locks the cursor, moves it (never back) and returns where it is. Raises `Replaced`. Inside a transaction."""
    at: int | None = await connection.fetchval(MOVE, endpoint, shard, epoch, seq, seen.accepted, seen.failure)
    if at is None:
        raise Replaced
    return at


async def park(connection: Connection, endpoint: str, shard: Shard, parkings: Sequence[Parking]) -> None:
    """Notes connectors that fall behind. Under `move`, in its transaction."""
    columns = [[getattr(p, name) for p in parkings] for name in ("pk", "version", "tries", "pause", "failure")]
    await connection.execute(PARK, endpoint, shard, *columns)


async def due(connection: Connection, endpoint: str, shard: Shard, limit: int | None) -> list[Due]:
    """Connectors whose event is to be tried again now; without a limit the next one that will be."""
    rows = await connection.fetch(DUE, endpoint, shard, limit)
    return [Due(row["connector"], row["version"], row["tries"], row["since"]) for row in rows]


async def wait(connection: Connection, endpoint: str, parking: Parking) -> None:
    """Notes that a connector waits on, with that event. Under `move`, in its transaction."""
    p = parking
    await connection.execute(WAIT, endpoint, p.pk, p.version, p.tries, p.pause, p.failure)


async def go_on(connection: Connection, endpoint: str, pk: int, done: int, cursor: int) -> None:
    """A connector is done with an event: the next one, or it isn't behind any more. Under `move`, likewise."""
    if await connection.fetchval(GO_ON, endpoint, pk, done, cursor) is None:
        await connection.execute(UNPARK, endpoint, pk)


async def hurry(connection: Connection, endpoint: str, shard: Shard) -> None:
    """All that wait are due now."""
    await connection.execute(HURRY, endpoint, shard)


async def accepted_since(connection: Connection, endpoint: str, since: datetime) -> bool:
    """Whether the endpoint accepted anything since then, of any shard."""
    return bool(await connection.fetchval(ACCEPTED_SINCE, endpoint, since))


async def give_up(connection: Connection, endpoint: str, pk: int, failure: str) -> None:
    """Notes the event that a connector waits with as one that will not be sent. Under `move`, likewise."""
    await connection.execute(GIVE_UP, endpoint, pk, failure)


async def standings(connection: Connection, endpoints: Collection[str]) -> list[Standing]:
    """How these endpoints stand."""
    return [Standing(**dict(row)) for row in await connection.fetch(STANDINGS, list(endpoints))]


def log_row(row: asyncpg.Record) -> LogRow:
    """From a row that `LOG_ROW` begins."""
    return LogRow(
        row["seq"],
        row["connector"],
        ConnectorId(row["connector_id"]),
        TenantId(row["tenant_id"]),
        row["version"],
        row["at"],
        row["record"],
        row["sync_request"],
        row["trace"],
    )
