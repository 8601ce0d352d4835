"""S40: the audit is kept by month, for as long as the settings say, and is read by its index."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson
import pytest

from service.app import keep_partitions
from service.settings.model import Retention
from service.store import migrate as migrations
from service.store.pool import open_pool
from service.store.retention import AUDIT, LOG, ensure_partitions
from tests.loop import eventually
from tests.moved_clock import MovedClock

ROW = "insert into audit (at, what, connector_id, actor) values ($1, 'token_read', 'books', 'test')"


@pytest.fixture
async def connection(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database)
    yield connection
    await connection.close()


async def months(connection: asyncpg.Connection, table: str) -> list[str]:
    rows = await connection.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::text::regclass", table
    )
    return sorted(row["name"] for row in rows)


async def test_s40_months_of_the_audit_go_by_a_setting_of_its_own(
    empty_database: str, connection: asyncpg.Connection
) -> None:
    await migrations.migrate(connection, shards=1)
    kept = {table: await months(connection, table) for table in (*LOG, *AUDIT)}
    for table in ("note", "audit"):
        await connection.execute(
            f"create table {table}_2024_12 partition of {table} for values from ('2024-12-01Z') to ('2025-01-01Z')"
        )
    await connection.execute(ROW, datetime(2024, 12, 31, 23, 59, tzinfo=UTC))
    pool = await open_pool(empty_database)

    async def dropped() -> bool:
        return await months(connection, "audit") == kept["audit"]

    keeping = asyncio.create_task(keep_partitions(pool, Retention(audit=timedelta(days=365))))
    await eventually(dropped, "the audit's old month is dropped")
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await pool.close()

    assert await months(connection, "note") == ["note_2024_12", *kept["note"]], "the history is kept for ever"


async def test_the_months_that_are_made_are_those_of_the_databases_clock(empty_database: str) -> None:
    clock = await MovedClock.install(empty_database, datetime(2031, 12, 31, 23, 59, tzinfo=UTC))
    connection = await asyncpg.connect(empty_database)
    await migrations.migrate(connection, shards=1)
    there = ["2031_11", "2031_12", "2032_01", "2032_02"]
    for table in (*LOG, *AUDIT):
        assert await months(connection, table) == [f"{table}_{month}" for month in there]

    await clock.to(datetime(2032, 1, 1, tzinfo=UTC))
    await ensure_partitions(connection)

    assert await months(connection, "audit") == [f"audit_{month}" for month in (*there, "2032_03")]
    await connection.execute(ROW, datetime(2032, 3, 31, 23, 59, tzinfo=UTC))
    await connection.close()
    await clock.close()


async def test_s40_what_was_in_the_audit_before_it_was_kept_by_month_is_still_there(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations.migrations()
    before = [m for m in every if m.name != "0007_pre_audit_partitions"]
    monkeypatch.setattr(migrations, "migrations", lambda: before)
    monkeypatch.setattr(migrations, "partition_statements", _none)
    await migrations.migrate(connection, shards=1)
    instants = [datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), datetime.now(UTC)]
    for at in instants:
        await connection.execute(ROW, at)
    monkeypatch.undo()

    assert await migrations.migrate(connection, shards=1) == ["0007_pre_audit_partitions"]

    rows = await connection.fetch("select at, tableoid::regclass::text as month from audit order by at")
    assert [row["at"] for row in rows] == instants
    assert [row["month"] for row in rows[:2]] == ["audit_2026_01", "audit_2026_02"]


async def _none(connection: asyncpg.Connection) -> list[str]:
    """The months of a table that has none yet."""
    return []


async def test_s40_an_operator_reads_a_connectors_audit_by_its_index(connection: asyncpg.Connection) -> None:
    await migrations.migrate(connection, shards=1)
    await connection.execute(
        "insert into audit (what, connector_id, actor) select 'token_read', 'c' || n % 1000, 'test'"
        " from generate_series(1, 50000) n"
    )
    await connection.execute("analyze audit")
    asked = "explain (format json) select * from audit where connector_id = 'c7' and at > now() - interval '30 days'"
    nodes = _nodes(orjson.loads(await connection.fetchval(asked))[0]["Plan"])
    month = await connection.fetchval("select tableoid::regclass::text from audit limit 1")
    (look,) = [node["Node Type"] for node in nodes if node.get("Relation Name") == month]
    assert look in ("Index Scan", "Bitmap Heap Scan"), look


def _nodes(plan: dict) -> list[dict]:  # type: ignore[type-arg]
    return [plan, *(node for inner in plan.get("Plans", ()) for node in _nodes(inner))]
