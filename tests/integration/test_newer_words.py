"""R12: a process goes on beside a newer version's, whose words it doesn't know."""

import asyncio

import asyncpg
import pytest

from service.insight import counting
from service.insight.counting import Counter
from service.store.migrate import migrate
from service.store.pool import open_pool

TRANSITION = """
insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, record)
values (0, 1, now(), 1, 1, 'absent', 'healthy', 'of_a_newer_version', '{}')
"""


async def test_r12_a_trigger_of_a_newer_version_is_left_for_it_to_count(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(database)
    await migrate(connection, shards=1)
    await connection.execute("alter type connector_trigger add value 'of_a_newer_version'")
    await connection.execute(TRANSITION)
    await connection.execute("update shard set next_seq = 2")
    await connection.close()
    waits: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(counting, "PAUSE_S", 0.01)
    monkeypatch.setattr(counting.log, "warning", lambda _, error: waits.put_nowait(error))
    pool = await open_pool(database, size=2)
    running = asyncio.create_task(Counter(pool).run())
    for _ in range(2):  # it looks again, too
        assert await asyncio.wait_for(waits.get(), 20) == "UnknownWord"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await pool.close()
