"""P30: the sums of the tally are what it adds up to, whoever counted, and whatever it didn't know of them."""

import asyncio
import random
from collections import Counter as Tally
from typing import Any

from service.insight import fleet
from service.insight.counting import Counter
from service.store import sums, tally
from service.store.fleet import states
from service.store.pool import Pool
from tests.fleets import Herd, engine_on

STANDING = "select provider, state, reason, number from tally_standing where number <> 0 and state <> 'deleted'"
TOOK = "select * from tally_took order by 1, 2, 3, 4"
OF_ALL = "select hour, provider, place, status, code, reason, times, first_at, last_at from tally_error_of_all"
ERRORS = """
select hour, provider, place, status, code, reason, sum(times)::bigint, min(first_at), max(last_at) from tally_error
group by 1, 2, 3, 4, 5, 6
"""


async def told_by(pool: Pool, sql: str) -> Tally[tuple[Any, ...]]:
    return Tally(tuple(row) for row in await pool.fetch(sql))


async def connectors(pool: Pool) -> Tally[tuple[Any, ...]]:
    """As their rows say."""
    return await standing(pool, counted=False)


async def standing(pool: Pool, *, counted: bool = True) -> Tally[tuple[Any, ...]]:
    async with pool.acquire() as connection:
        rows = await states(connection, None, counted)
    return Tally((row["provider"], row["state"], row["reason"] or "", row["number"]) for row in rows)


async def are_right(pool: Pool) -> None:
    """All is counted, and the sums say what the tally and the connectors say."""
    async with pool.acquire() as connection:
        assert await sums.are_made(connection)
    assert await told_by(pool, STANDING) == await connectors(pool)
    assert await told_by(pool, OF_ALL) == await told_by(pool, ERRORS)
    kept = await pool.fetch(TOOK)
    assert sum(row["times"] for row in kept) == 5 * await pool.fetchval(
        "select count(*) from tally_attempt where ending = 'connected'"
    )
    async with pool.acquire() as connection, connection.transaction():
        await tally.lock(connection)
        await sums.make(connection)
    assert await pool.fetch(TOOK) == kept


async def test_p30_the_sums_are_kept_as_the_log_is_counted_by_however_many(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(41))
        counters = [Counter(pool) for _ in range(3)]
        await counters[0].count_up()  # from here on they are only added to
        for _ in range(6):
            await asyncio.gather(herd.live(60), *(counter.count_up(100) for counter in counters))
        await asyncio.gather(*(counter.count_up() for counter in counters))
        await pool.execute("update note set at = at - interval '3 hours'")
        await asyncio.gather(*(counter.count_notes() for counter in counters))
        assert (await told_by(pool, TOOK)).total() > 10 and (await told_by(pool, OF_ALL)).total() > 3
        await are_right(pool)


async def test_p30_what_is_not_counted_yet_stands_in_the_answer_all_the_same(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(42))
        await herd.live(200)
        await Counter(pool).count_up()
        await herd.live(200)
        async with pool.acquire() as connection:
            assert await sums.are_made(connection)
        assert await standing(pool) == await connectors(pool)
        assert await told_by(pool, STANDING) != await connectors(pool)


async def test_p30_sums_that_a_former_version_did_not_know_are_made_again(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(43))
        await herd.live(200)
        await Counter(pool).count_up()
        await herd.live(100)
        # As the version before counted: it moved on, and added to no sum.
        await pool.execute("update tally set seq = s.next_seq - 1 from shard s where s.shard = tally.shard")
        async with pool.acquire() as connection:
            assert not await sums.are_made(connection)
        assert await standing(pool) == await connectors(pool)
        await Counter(pool).count_up()
        await are_right(pool)


async def test_p30_a_tally_that_was_emptied_has_its_sums_made_again(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(44)).live(300)
        await Counter(pool).count_up()
        await pool.execute("truncate tally, tally_hour, tally_attempt, tally_error")
        assert (await fleet.fleet(pool, Counter(pool), None, None)).counted
        await are_right(pool)


async def test_p30_a_reason_that_the_log_no_longer_tells_is_not_guessed(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(45))
        await herd.live(200)
        await Counter(pool).count_up()
        # The months before are dropped: a failed connector's reason stands in no record any more.
        await pool.execute("delete from transition")
        await herd.live(200)
        await Counter(pool).count_up()
        await are_right(pool)
