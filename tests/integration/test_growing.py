"""Growing while producers and workers go on: more shards, fewer months."""

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.demo.embedded.child import Supervisor
from service.store.migrate import migrate
from service.store.pool import open_pool
from service.store.retention import LOG, MARK, drop_partitions
from tests.checker import check
from tests.faults.fleet import Fleet
from tests.faults.load import Load
from tests.integration.test_engine import by_host, failed, register, running
from tests.loop import eventually

pytestmark = pytest.mark.slow

A_YEAR = timedelta(days=365)


async def regrant(fleet: Fleet, *words: str) -> str:
    """What a word of the command says; it must succeed."""
    command = [sys.executable, "-m", "service.cli", *words]
    done = await asyncio.to_thread(
        subprocess.run, command, env=fleet.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def orchestrated(fleet: Fleet) -> None:
    """Starts a worker in the place of each that ends, as Kubernetes does."""
    while True:
        for process in list(fleet.processes):
            if not process.is_running:
                fleet.processes.remove(process)
                await fleet.start("worker")
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running_task(work) -> AsyncIterator[None]:  # type: ignore[no-untyped-def]
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_shards_are_added_under_load_and_nothing_is_lost_doubled_or_reordered(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    with contextlib.closing(Supervisor()) as supervisor:
        fleet = Fleet(supervisor, dsn=database, bootstrap=kafka_bootstrap, prefix=topic_prefix, shards=2)
        await fleet.migrate()
        for _ in range(2):
            await fleet.start("worker")
        load = Load(kafka_bootstrap, topic_prefix, seed=1, connectors=40)

        async def settled() -> bool:
            return not await load.differences(database)

        async with running_task(orchestrated(fleet)):
            async with load:
                await load.register()
                growing = asyncio.create_task(regrant(fleet, "shards", "4"))
                while not growing.done():
                    await load.round()
                    await asyncio.sleep(0.1)
                assert "4 shards, 2 before" in await growing
                fleet.environment["REGRANT_SHARDS"] = "4"
                await load.round()
                await eventually(settled, "what went to the old partitions is done", patience_s=60)
            async with load:  # a producer that sees the new partitions
                for _ in range(5):
                    await load.round()
                await eventually(settled, "every connector is as its host says", patience_s=60)
            assert "set REGRANT_SHARDS=4" in await regrant(fleet, "shards", "4")  # once more changes nothing
        report = await check(database, kafka_bootstrap, topic_prefix, wait_s=30)
        assert report.holds, report.violations
        connection = await asyncpg.connect(database)
        partitions = await connection.fetch("select distinct partition from input_partition where next_offset > 0")
        assert {row["partition"] for row in partitions} == {0, 1, 2, 3}
        used = Counter(row["shard"] for row in await connection.fetch("select shard from connector"))
        assert set(used) == {0, 1}, "registered connectors keep their shard"
        await connection.close()


async def test_fewer_shards_cant_be_had(database: str, kafka_bootstrap: str, topic_prefix: str) -> None:
    with contextlib.closing(Supervisor()) as supervisor:
        fleet = Fleet(supervisor, dsn=database, bootstrap=kafka_bootstrap, prefix=topic_prefix, shards=2)
        await fleet.migrate()
        with pytest.raises(AssertionError, match="takes no partition away"):
            await regrant(fleet, "shards", "1")


# Retention.


async def old_month(connection: asyncpg.Connection, table: str, start: datetime) -> str:
    name = f"{table}_{start:%Y_%m}"
    end = (start + timedelta(days=32)).replace(day=1)
    await connection.execute(f"create table {name} partition of {table} for values from ('{start}') to ('{end}')")
    return name


OLD = datetime(2025, 1, 1, tzinfo=UTC)
TRANSITION = """
insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, record)
values (0, $1, $2, 1, $1, 'absent', 'healthy', 'register', '{}')
"""


async def months(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("select relname from pg_class where relkind = 'r' and relname ~ '_\\d{4}_\\d{2}$'")
    return {row["relname"] for row in rows}


async def test_months_that_are_old_and_published_are_dropped_whole_and_others_stay(database: str) -> None:
    connection = await asyncpg.connect(database)
    await migrate(connection, shards=1)
    ours = await months(connection)
    published, unpublished = [await old_month(connection, "transition", OLD.replace(month=m)) for m in (1, 2)]
    note = await old_month(connection, "note", OLD)
    lately = datetime.now(UTC) - timedelta(days=200)
    recent = await old_month(connection, "note", datetime(lately.year, lately.month, 1, tzinfo=UTC))
    await connection.execute(TRANSITION, 1, OLD)
    await connection.execute(TRANSITION, 2, OLD.replace(month=2))
    await connection.execute("update shard set next_seq = 3, published_seq = 1")
    assert await drop_partitions(connection, LOG, A_YEAR) == [published, note]
    assert await months(connection) == ours | {unpublished, recent}
    await connection.execute("update shard set published_seq = 2")
    assert await drop_partitions(connection, LOG, A_YEAR) == [unpublished]
    assert await drop_partitions(connection, LOG, A_YEAR) == []
    await connection.close()


async def test_a_month_that_was_detached_by_one_who_was_killed_is_dropped_and_an_operators_own_is_kept(
    database: str,
) -> None:
    connection = await asyncpg.connect(database)
    await migrate(connection, shards=1)
    half = await old_month(connection, "note", OLD)
    kept = await old_month(connection, "note", OLD.replace(month=2))
    await connection.execute(f"comment on table {half} is '{MARK}'")
    for name in (half, kept):
        await connection.execute(f"alter table note detach partition {name}")
    assert await drop_partitions(connection, LOG, A_YEAR) == [half]
    assert kept in await months(connection)
    await connection.close()


async def test_a_month_is_dropped_while_batches_are_stored(database: str) -> None:
    async with running(database) as engine:
        await engine.submit(by_host(register()))
        connection = await asyncpg.connect(database)
        names = [await old_month(connection, "transition", OLD.replace(month=m)) for m in range(1, 9)]

        async def storing() -> None:
            for minute in range(1, 10_000):
                await engine.submit(by_host(failed(minute=minute)))
                await engine.submit(by_host(register(f"c{minute}")))

        async with running_task(storing()):

            async def stored() -> bool:
                return bool(await connection.fetchval("select count(*) > 20 from transition"))

            await eventually(stored, "batches are stored")
            pool = await open_pool(database)
            async with pool.acquire() as other:
                assert await drop_partitions(other, LOG, A_YEAR) == names
            before = await connection.fetchval("select count(*) from transition")

            async def more() -> bool:
                return bool(await connection.fetchval("select count(*) > $1 from transition", before + 20))

            await eventually(more, "batches are stored after it, too")
            await pool.close()
        versions = await connection.fetch(
            "select array_agg(version order by seq) as v from transition group by connector"
        )
        assert all(row["v"] == list(range(1, len(row["v"]) + 1)) for row in versions)
        await connection.close()
