"""What is asked of a large log is answered by its indexes and the tally, and never by reading all of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from benchmarks.insight import filled
from service.insight.counting import Counter
from service.store import errors, fleet, funnel, letters, listing, sums, tally
from service.store.fleet import DAY, Stretch
from service.store.pool import Pool, open_pool

CONNECTORS, TRANSITIONS = 2000, 40_000
NOW = datetime.now(UTC)
MONTH = Stretch(NOW - timedelta(days=30), NOW)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database) as pool:
        await filled(pool, CONNECTORS, TRANSITIONS)
        counter = Counter(pool)
        while not (await counter.count_up() and await counter.count_notes()):
            pass
        await pool.execute("vacuum analyze tally_hour, tally_attempt, tally_error, tally, tally_took, tally_standing")
        yield pool


async def plan(connection: asyncpg.Connection, sql: str, *values: Any) -> str:
    return str(await (await connection.prepare(sql)).explain(*values))


async def test_no_answer_reads_all_of_a_large_log(pool: Pool) -> None:
    letter = "insert into dead_letter select 0, n, now(), 't', 0, n, null, null, '{}', '{}', 'schema', '' from"
    await pool.execute(f"{letter} generate_series(1, 20000) n")
    await pool.execute("analyze dead_letter")
    then = NOW - timedelta(hours=1, minutes=30)
    hour = then.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    wanted: list[tuple[str, tuple[Any, ...], list[str]]] = [
        (fleet.MOVES_SINCE, (then, hour), ["transition_", "_at_idx"]),
        (fleet.ARROWS, Stretch(NOW - timedelta(days=1), NOW).cut(), ["_at_idx"]),
        (fleet.FAILURES, MONTH.cut(), ["_at_idx"]),
        (errors.ERRORS, (*MONTH.cut(), MONTH.since, MONTH.until, "t7", None), ["_at_idx"]),
        (errors.ERRORS_OF_ALL, (*MONTH.cut(), MONTH.since, MONTH.until, None, None), ["_at_idx"]),
        (fleet.STATES_OF_TENANT_THEN, ("t7", then), ["connector_tenant", "_connector_version_idx"]),
        (fleet.ARROWS_OF_TENANT, ("t7", MONTH.since, MONTH.until), ["connector_tenant"]),
        (listing.MOVED, ("", None, None, None, None, None, 101, None, ["healthy"], "failed"), ["_at_idx"]),
        (
            listing.MOVED_OF_TENANT,
            ("", None, None, None, None, None, 101, None, ["healthy"], "failed", "t7"),
            ["connector_tenant", "_connector_version_idx"],
        ),
        (listing.MOVED_IDS, ("", 1000, then, ["healthy"], "failed"), ["_at_idx"]),
        (listing.STOOD, ([1, 2, 3], then, None), ["_connector_version_idx"]),
        (listing.ONE_STOOD, ("c0000007", "t7", then), ["_connector_version_idx"]),
        (tally.CHUNK, (0, 100, 5000, 500), ["_pkey"]),
        (tally.REASONS, ([1, 2], [2, 3]), ["_connector_version_idx"]),
        (tally.NEWEST, ([1, 2],), ["tally_attempt_pkey"]),
        (funnel.REACHED_OF_TENANT, (MONTH.since, MONTH.until, None, "t7"), ["tally_attempt_tenant"]),
        (funnel.REACHED, (NOW - timedelta(hours=1), NOW, None), ["tally_attempt_opened"]),
        (funnel.TIMES, (*MONTH.cut(DAY)[2:], None, *MONTH.cut(DAY)[:2]), ["tally_attempt_connected", "tally_took"]),
        (funnel.TIMES_OF_TENANT, (*MONTH.cut()[2:], None, "t7"), ["tally_attempt_tenant"]),
        (sums.STANDING, (), ["tally_standing", "transition_", "_pkey"]),
        (sums.ADD_TOOK, ([1, 2], [3, 4]), ["tally_attempt_pkey"]),
        (letters.LETTERS, (NOW, 0, 0, None, None, 101), ["dead_letter_at"]),
    ]
    async with pool.acquire() as connection:
        for sql, values, indexes in wanted:
            used = await plan(connection, sql, *values)
            assert all(index in used for index in indexes), (sql, used)
            for table in ("transition_", "tally_attempt", "connector "):
                assert f"Seq Scan on {table}" not in _without_empty(used), (sql, used)


def _without_empty(used: str) -> str:
    """The plan without what is read of months that hold next to nothing."""
    return "\n".join(line for line in used.splitlines() if "rows=1 " not in line)


async def test_the_filled_log_is_one_that_the_tally_can_count(pool: Pool) -> None:
    assert await pool.fetchval("select sum(times) from tally_hour") == await pool.fetchval(
        "select count(*) from transition"
    )
    assert await pool.fetchval("select sum(times) from tally_error") > 50_000
