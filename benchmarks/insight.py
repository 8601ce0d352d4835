"""How long the fleet's answers take with 100,000 connectors and a log of a million transitions.

`python -m benchmarks.insight [--connectors N] [--transitions N] [--dsn DSN]`: fills a database by SQL alone, counts its
log, and asks each answer some times, the first one left out. Milliseconds in the service, without the network: that
passed (`ms`), and of CPU, the service's and PostgreSQL's together (`cpu_ms`), which other work on the machine leaves
alone.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from benchmarks.processes import cpu_s
from schemas.acting import WhoActs
from schemas.ids import ConnectorId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.embedded import EmbeddedPostgres, Supervisor
from service.insight import errors, fleet, funnel, listing, times, travel
from service.insight.counting import Counter
from service.insight.listing import Wanted
from service.store import letters, reads
from service.store.migrate import migrate
from service.store.pool import Pool, open_pool

SHARDS = 8
DAYS = 28
ASKED = 15
GOAL_MS = 200

# One connector in twenty goes the whole way again and again.
CONNECTORS = """
insert into connector (
    connector_id, shard, tenant_id, provider, name, state, version, since, account_id, account_name, generation
)
select 'c' || lpad(n::text, 7, '0'), n % $2, 't' || n % 2000,
    (array['quickbooks-online', 'xero', 'hubspot'])[1 + n % 3], 'Books of customer ' || n,
    'healthy', 1, now() - interval '28 days', n::text, 'Customer ' || n, 1
from generate_series(1, $1::int) n
"""
# Steps of one way: from, to, trigger, reason, step, whether the attempt is named, reason afterwards.
WAY = """
create temp table way (place int, from_state text, to_state text, trigger text, reason text, step text, named bool,
    after_reason text);
insert into way values
    (0, 'healthy', 'failed', 'sync_failed', 'token_refused', 'failure_seen', false, 'token_refused'),
    (1, 'failed', 'awaiting_auth', 'start_reauth', null, 'link_offered', true, 'token_refused'),
    (2, 'awaiting_auth', 'verifying', 'grant_received', null, 'returned', true, 'token_refused'),
    (3, 'verifying', 'syncing', 'verified', 'connected', 'credential_saved', true, null),
    (4, 'syncing', 'healthy', 'sync_succeeded', 'connected', 'data_flowing', false, null);
create table facts (n bigint, at timestamptz, connector bigint, version bigint, place int, round bigint);
"""
FACTS = """
insert into facts
select n, now() - interval '28 days' + interval '28 days' * (n::float8 / $1),
    1 + (n % ($2 / 20)), 2 + n / ($2 / 20), (n / ($2 / 20)) % 5, n / ($2 / 20) / 5
from generate_series(0, $1::bigint - 1) n
"""
LOG = """
insert into transition (
    shard, seq, at, connector, version, from_state, to_state, trigger, reason, step, attempt_id, record
)
select c.shard, row_number() over (partition by c.shard order by f.n), f.at, c.id, f.version,
    w.from_state::connector_state, w.to_state::connector_state, w.trigger::connector_trigger, w.reason, w.step,
    case when w.named then md5(c.id || '/' || f.round)::uuid end,
    json_build_object(
        'connector_id', c.connector_id, 'tenant_id', c.tenant_id, 'provider', c.provider, 'version', f.version,
        'at', f.at, 'from', w.from_state, 'to', w.to_state, 'trigger', w.trigger, 'reason', w.reason, 'origin', null,
        'remedy', null, 'step', w.step, 'notice', null,
        'actor', json_build_object('kind', 'sync_engine', 'id', '/drivewell/sync'),
        'attempt_id', case when w.named then md5(c.id || '/' || f.round)::uuid end,
        'expected_account', null, 'seen_account', null,
        'evidence', case when w.place = 0 then json_build_object(
            'at', 'api', 'status', 401, 'code', '3200', 'request_id', '1-6743a1b2-5f2e8f2d0c1a') end,
        'connector', json_build_object(
            'connector_id', c.connector_id, 'tenant_id', c.tenant_id, 'provider', c.provider, 'name', c.name,
            'state', w.to_state, 'version', f.version, 'since', f.at, 'reason', w.after_reason, 'remedy', null,
            'fallback', null, 'account', json_build_object('id', c.account_id, 'name', c.account_name),
            'generation', 1 + f.round, 'attempt_id', null, 'attempt_reason', null, 'deadline', null,
            'failed_since', case when w.place < 4 then now() - interval '30 days' + f.round * interval '1 second' end,
            'last_success', null, 'expires_at', null, 'expires_estimated', false
        )
    )::text
from facts f join connector c on c.id = f.connector join way w on w.place = f.place
order by f.n
"""
# Connectors as their log left them.
SETTLE = """
update connector c set state = t.to_state, version = t.version, since = t.at,
    reason = t.record::json -> 'connector' ->> 'reason'
from (select distinct on (connector) * from transition order by connector, version desc) t
where t.connector = c.id and t.version > c.version
"""
NUMBERS = """
update shard s set next_seq = coalesce((select max(seq) + 1 from transition t where t.shard = s.shard), 1)
"""
NOTES = """
insert into note (at, connector, outcome, trigger, reason, actor, evidence)
select now() - interval '28 days' + interval '28 days' * (n::float8 / 50000), 1 + n % $1, 'observation', 'sync_failed',
    'rate_limited', '{}', '{"at": "api", "status": 429, "code": null, "request_id": "1-2"}'
from generate_series(0, 49999) n
"""

# The pool's own, on this machine.
BACKENDS = "select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"

Ask = Callable[[], Awaitable[object]]


async def filled(pool: Pool, connectors: int, transitions: int) -> None:
    """A migrated database with so many connectors and, about, so many transitions."""
    async with pool.acquire() as connection:
        await migrate(connection, shards=SHARDS)
        now = datetime.now(UTC)
        for months in (1, 2):  # the log of four weeks may begin before last month
            first = (now - timedelta(days=31 * months)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            following = (first + timedelta(days=32)).replace(day=1)
            for table in ("transition", "note"):
                await connection.execute(
                    f"create table if not exists {table}_{first:%Y_%m} partition of {table}"
                    f" for values from ('{first}') to ('{following}')"
                )
        await connection.execute("set statement_timeout = 0")
        await connection.execute(CONNECTORS, connectors, SHARDS, timeout=600)
        await connection.execute(WAY)
        await connection.execute(FACTS, transitions, connectors, timeout=600)
        for statement in ("analyze connector, facts", LOG, SETTLE, NUMBERS):
            await connection.execute(statement, timeout=1200)
        await connection.execute(NOTES, connectors, timeout=600)
        await connection.execute("drop table facts")
        await connection.execute("vacuum analyze transition, connector, note", timeout=600)


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds of an answer: each time's, and of CPU on average."""

    ms: list[float]
    cpu_ms: float


async def answers(pool: Pool, counter: Counter, connectors: int) -> dict[str, Took]:
    """How long each answer took."""
    now = datetime.now(UTC)
    month, some = now - timedelta(days=30), TenantId("t7")
    asked: dict[str, Ask] = {
        "the fleet": lambda: fleet.fleet(pool, counter, None, None),
        "the fleet, of a tenant": lambda: fleet.fleet(pool, counter, some, None),
        "the fleet as of an hour ago": lambda: fleet.fleet(pool, counter, None, now - timedelta(hours=1)),
        "the fleet as of 20 days ago": lambda: fleet.fleet(pool, counter, None, now - timedelta(days=20)),
        "the fleet as of 20 days ago, of a tenant": lambda: fleet.fleet(pool, counter, some, now - timedelta(days=20)),
        "the funnel of 30 days": lambda: funnel.funnel(pool, counter, None, None, month, now),
        "the funnel of 30 days, of a tenant": lambda: funnel.funnel(pool, counter, some, None, month, now),
        "times of 30 days": lambda: times.times(pool, counter, None, None, month, now),
        "errors of a day": lambda: errors.errors(pool, counter, None, None, now - timedelta(days=1), now),
        "errors of 30 days": lambda: errors.errors(pool, counter, None, None, month, now),
        "a list of the failed": lambda: _page(pool, Wanted(None, state=State.FAILED)),
        "a list of the healthy": lambda: _page(pool, Wanted(None, state=State.HEALTHY)),
        "a list by a reason that nobody has": lambda: _page(pool, Wanted(None, reason=Reason.VAULT_INTEGRITY)),
        "a list of who needs the owner": lambda: _page(pool, Wanted(None, acts=WhoActs.OWNER)),
        "a list by a text, found at the end": lambda: _page(pool, Wanted(None, text=f"customer {connectors}")),
        "a list of who took an arrow": lambda: _page(
            pool, Wanted(None, moved_from=[State.HEALTHY], moved_to=State.FAILED)
        ),
        "a list as of 10 days ago": lambda: listing.page_then(
            pool, Wanted(None, state=State.FAILED), now - timedelta(days=10), "", 100
        ),
        "a connector as of 10 days ago": lambda: _stood(pool, now - timedelta(days=10)),
        "what ends soon": lambda: _ends(pool),
        "dead letters": lambda: _letters(pool, now),
    }
    return {name: await _took(pool, ask) for name, ask in asked.items()}


async def _took(pool: Pool, ask: Ask) -> Took:
    await ask()
    pids = [row["pid"] for row in await pool.fetch(BACKENDS)]
    ms, used = [], time.process_time() + sum(map(cpu_s, pids))
    for _ in range(ASKED):
        began = time.perf_counter()
        await ask()
        ms.append((time.perf_counter() - began) * 1000)
    used = time.process_time() + sum(map(cpu_s, pids)) - used
    return Took(ms, used * 1000 / ASKED)


async def _page(pool: Pool, wanted: Wanted) -> object:
    async with pool.acquire() as connection:
        return await listing.page(connection, wanted, "", 100)


async def _stood(pool: Pool, then: datetime) -> object:
    async with pool.acquire() as connection:
        return await travel.stood(connection, ConnectorId("c0000007"), TenantId("t7"), then)


async def _ends(pool: Pool) -> object:
    async with pool.acquire() as connection:
        return await reads.endings(connection, timedelta(days=30), 1001)


async def _letters(pool: Pool, now: datetime) -> object:
    async with pool.acquire() as connection:
        return await letters.letters(connection, (now, 0, 0), None, None, 100)


async def measured(dsn: str, connectors: int, transitions: int) -> dict[str, Any]:
    """Fills, counts and asks."""
    pool = await open_pool(dsn)
    try:
        began = time.perf_counter()
        await filled(pool, connectors, transitions)
        filled_s, began = time.perf_counter() - began, time.perf_counter()
        counter = Counter(pool)
        while not (await counter.count_up() and await counter.count_notes()):
            pass
        counted_s = time.perf_counter() - began
        await pool.execute("vacuum analyze")
        logged: int = await pool.fetchval("select count(*) from transition")
        took = await answers(pool, counter, connectors)
    finally:
        await pool.close()
    return {
        "connectors": connectors,
        "transitions": logged,
        "filled_s": round(filled_s, 1),
        "counted_a_second": round(logged / counted_s),
        "ms": {
            name: {
                "median": round(statistics.median(one.ms), 1),
                "max": round(max(one.ms), 1),
                "cpu_ms": round(one.cpu_ms, 1),
            }
            for name, one in took.items()
        },
        "over_the_goal": [name for name, one in took.items() if statistics.median(one.ms) > GOAL_MS],
        "over_the_goal_by_cpu": [name for name, one in took.items() if one.cpu_ms > GOAL_MS],
    }


@contextmanager
def _server(given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
        return
    with contextlib.closing(Supervisor()) as supervisor:
        server = EmbeddedPostgres(supervisor, settings={"fsync": "off", "shared_buffers": "512MB"})
        asyncio.run(server.start())
        yield server.dsn


async def _database(admin_dsn: str, name: str) -> str:
    connection = await asyncpg.connect(admin_dsn)
    try:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.execute(f"create database {name}")
    finally:
        await connection.close()
    return admin_dsn.rsplit("/", 1)[0] + f"/{name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connectors", type=int, default=100_000)
    parser.add_argument("--transitions", type=int, default=1_000_000)
    parser.add_argument("--dsn", help="a PostgreSQL of yours, for a database of its own")
    given = parser.parse_args()
    with _server(given.dsn) as admin:
        dsn = asyncio.run(_database(admin, "regrant_insight"))
        print(json.dumps(asyncio.run(measured(dsn, given.connectors, given.transitions)), indent=2))


if __name__ == "__main__":
    main()
