"""The fleet's figures for monitoring: what costs next to nothing, and apart from it what reads many rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.ids import ProviderId
from schemas.lifecycle import State
from service.store.couriers import BEHIND, NUMBER_PARKED
from service.store.pool import Connection

# What something is the matter with, few of many. Partial index connector_not_healthy.
UNWELL = """
select state, provider, count(*) as number, extract(epoch from now() - min(since))::float8 as age
from connector where state not in ('healthy', 'deleted') group by state, provider
"""

# Deadlines: index connector_deadline, shard by shard. The relay: the first entry behind each watermark, by the primary
# keys of the log and of the dead letters. Letters and jobs are counted up to a bound.
WAITING = """
select (
    select count(*) from shard s
    join connector c on c.shard = s.shard and c.deadline < now() - interval '5 seconds'
) as overdue, (
    select coalesce(max(extract(epoch from now() - first.at)), 0)::float8 from shard s
    cross join lateral (
        select at from transition t where t.shard = s.shard and t.seq = s.published_seq + 1
        union all
        select at from dead_letter d where d.shard = s.shard and d.seq = s.published_seq + 1
    ) first
    where s.next_seq - 1 > s.published_seq
) as relay_lag, (
    select coalesce(sum(next_seq - 1 - published_seq), 0)::bigint from shard
) as relay_behind, (
    select count(*) from (
        select from dead_letter d left join dead_letter_fate f using (shard, seq) where f.shard is null limit 10000
    ) letter
) as letters, (
    select count(*) from (
        select from job where run_at <= now() and (lease_until is null or lease_until < now()) limit 10000
    ) job
) as jobs
"""

# Each endpoint: what waits with a connector that is behind, and the first entry behind each cursor, by the log's index
# that begins with (shard, seq).
WEBHOOKS = f"""
select e.endpoint, coalesce(extract(epoch from now() - least(
    (select min(since) from webhook_parked where endpoint = e.endpoint),
    (select min(first.at) from webhook_cursor c join shard s on s.shard = c.shard
        cross join lateral (
            select at from transition t where t.shard = c.shard and t.seq > c.seq order by t.seq limit 1
        ) first
        where c.endpoint = e.endpoint and s.next_seq - 1 > c.seq)
)), 0)::float8 as lag_s, {BEHIND} as entries, {NUMBER_PARKED} as waiting
from unnest($1::text[]) as e (endpoint)
"""  # noqa: S608 - built from the store's own constants

# Reads every healthy connector: a second for some millions.
HEALTHY = "select provider, count(*) as number from connector where state = 'healthy' group by provider"

# Known ends that are near. Index credential_ends.
ENDING = """
select c.provider, count(*) filter (where k.ends_at < now() + interval '1 day') as "1d",
    count(*) filter (where k.ends_at < now() + interval '7 days') as "7d", count(*) as "30d"
from credential k join connector c on c.id = k.connector
where k.ends_at > now() and k.ends_at < now() + interval '30 days' group by c.provider
"""

LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Unwell:
    """Connectors of a provider in a state that isn't healthy."""

    state: State
    provider: ProviderId
    number: int
    oldest_s: float
    """How long the one has been there that has been there for longest."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for this service, and not for a person."""

    overdue: int
    relay_lag_s: float
    relay_behind: int
    letters: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Untold:
    """What an endpoint of webhooks hasn't accepted."""

    endpoint: str
    lag_s: float
    entries: int
    waiting: int


async def unwell(connection: Connection) -> list[Unwell]:
    """The connectors that aren't healthy, by state and provider."""
    rows = await connection.fetch(UNWELL, timeout=LIMIT_S)
    return [Unwell(State(row["state"]), ProviderId(row["provider"]), row["number"], row["age"]) for row in rows]


async def waiting(connection: Connection) -> Waiting:
    """What is late or left behind."""
    row = await connection.fetchrow(WAITING, timeout=LIMIT_S)
    assert row is not None
    return Waiting(*row)


async def webhooks(connection: Connection, endpoints: Sequence[str]) -> list[Untold]:
    """What waits for each of these endpoints."""
    return [Untold(**dict(row)) for row in await connection.fetch(WEBHOOKS, list(endpoints), timeout=LIMIT_S)]


async def healthy(connection: Connection) -> dict[ProviderId, int]:
    """How many connectors of each provider are healthy."""
    return {ProviderId(row["provider"]): row["number"] for row in await connection.fetch(HEALTHY, timeout=LIMIT_S)}


async def ending(connection: Connection) -> dict[ProviderId, dict[str, int]]:
    """How many credentials of each provider end within a day, a week and a month."""
    rows = await connection.fetch(ENDING, timeout=LIMIT_S)
    return {ProviderId(row["provider"]): {within: row[within] for within in ("1d", "7d", "30d")} for row in rows}
