"""Metrics against the database: counters add up to the log, the fleet's figures are what stands there."""

import asyncio
import random
from collections import Counter as Tally
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.insight.counting import Counter
from service.insight.figures import Figures
from service.store.pool import Pool, open_pool
from tests.faults.proxy import before as proxy_before
from tests.fleets import Herd, engine_on, logged, recounted
from tests.loop import eventually
from tests.metrics import grown, here, labelled


@asynccontextmanager
async def reading(pool: Pool, *endpoints: str) -> AsyncIterator[Figures]:
    figures = Figures(pool, endpoints)
    task = asyncio.create_task(figures.run())
    try:
        yield figures
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def told(name: str, **labels: str) -> float:
    return here()[f"regrant_{name}", labelled(**labels)]


async def test_p30_counters_of_transitions_and_attempts_add_up_to_the_log(database: str) -> None:
    started = here()
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(7)).live(400)
        while not await Counter(pool).count_up():
            pass
        records = await logged(pool)
    arrows = Tally(labelled(from_=r["from"], to=r["to"], trigger=r["trigger"], provider=r["provider"]) for r in records)
    assert grown(started, here(), "regrant_transitions_total") == arrows
    ended = [attempt for attempt in recounted(records).attempts if attempt["ending"] is not None]
    steps = Tally(
        labelled(
            step=attempt["step"],
            outcome=attempt["ending"],
            code=(attempt["ending"] != "connected" and attempt["reason"]) or "",
        )
        for attempt in ended
    )
    assert grown(started, here(), "regrant_reauth_step_total") == steps
    connected = Tally(attempt["provider"] for attempt in ended if attempt["ending"] == "connected")
    for part in ("whole", "owner", "regrant", "provider", "host"):
        counted = grown(started, here(), "regrant_reauth_duration_seconds_count")
        mine = {labels: number for labels, number in counted.items() if ("part", part) in labels}
        assert mine == {labelled(provider=p, part=part): number for p, number in connected.items()}
    (inputs,) = grown(started, here(), "regrant_inputs_total").values()
    assert inputs == sum(grown(started, here(), "regrant_batch_inputs_sum").values()) > len(records)


async def test_the_fleet_s_figures_are_what_the_database_holds(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(3)).live(300)
        await pool.execute("update connector set deadline = now() - interval '1 minute' where connector_id = 'c001'")
        await pool.execute("update connector set since = now() - interval '2 hours' where state = 'failed'")
        await pool.execute(
            "insert into dead_letter select 0, 9000 + n, now(), 't', 0, n, null, null, '{}', '{}', 'schema', ''"
            " from generate_series(1, 3) n; insert into dead_letter_fate values (0, 9001, 'drop', now(), 'me', null)"
        )
        await pool.execute("update credential set status = 'candidate' where status = 'current'")
        await pool.execute(
            "insert into credential (connector, generation, attempt_id, status, data_key, account_id, access_sealed,"
            " scope, access_expires_at) select id, 99, gen_random_uuid(), 'current', 0, 'a', '', '',"
            " now() + interval '3 days' from connector where provider = 'xero' order by id limit 2"
        )
        stands = await pool.fetch(
            "select state, provider, count(*) from connector where state <> 'deleted' group by state, provider"
        )
        async with reading(pool) as figures:
            await figures.fresh()
        for row in stands:
            assert told("connectors", state=row["state"], provider=row["provider"]) == row["count"]
        assert told("deadlines_overdue") >= 1
        assert 7200 <= told("state_age_seconds", state="failed") < 7400
        assert told("dead_letters_waiting") == 2
        assert [told("credential_expiry", provider="xero", within=w) for w in ("1d", "7d", "30d")] == [0, 2, 2]
        logged_ = await pool.fetchval("select sum(next_seq - 1) from shard")
        assert told("relay_lag_entries") == logged_ > 0  # nobody publishes here
        assert told("relay_lag_seconds") > 0
        assert told("database_up") == 1 and told("fleet_age_seconds") < 60

        # What has gone is told as none; what is published doesn't wait.
        await pool.execute("update connector set state = 'healthy' where state = 'failed'")
        await pool.execute("update shard set published_seq = next_seq - 1")
        async with reading(pool) as figures:
            await figures.fresh()
        for provider in ("books", "xero"):
            assert told("connectors", state="failed", provider=provider) == 0
        waits = (told("relay_lag_seconds"), told("relay_lag_entries"), told("state_age_seconds", state="failed"))
        assert waits == (0, 0, 0)


async def test_what_an_endpoint_of_webhooks_hasn_t_accepted_is_told_with_its_age(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(5)).live(50)
        logged_ = await pool.fetchval("select sum(next_seq - 1) from shard")
        begun = "insert into webhook_cursor (endpoint, shard, seq) select $1, shard, $2 * (next_seq - 1) from shard"
        await pool.execute(begun, "unread", 0)
        await pool.execute(begun, "up to date", 1)
        await pool.execute(begun, "behind with one", 1)
        await pool.execute(
            "insert into webhook_parked select 'behind with one', id, shard, 1, 3, now() - interval '3 hours', now()"
            " from connector where connector_id = 'c001'"
        )
        async with reading(pool, "unread", "up to date", "behind with one", "never begun") as figures:
            await figures.fresh()
        oldest = await pool.fetchval("select extract(epoch from now() - min(at))::float8 from transition")
        assert 0 < told("webhook_lag_seconds", endpoint="unread") <= oldest
        assert told("webhook_lag_entries", endpoint="unread") == logged_
        assert told("webhook_connectors_waiting", endpoint="unread") == 0
        assert 10800 <= told("webhook_lag_seconds", endpoint="behind with one") < 10900
        assert told("webhook_lag_entries", endpoint="behind with one") == 0
        assert told("webhook_connectors_waiting", endpoint="behind with one") == 1
        for name in ("lag_seconds", "lag_entries", "connectors_waiting"):
            assert told(f"webhook_{name}", endpoint="up to date") == 0
            assert told(f"webhook_{name}", endpoint="never begun") == 0


async def test_many_scrapes_are_one_reading_of_the_database(database: str) -> None:
    async with engine_on(database) as (_, pool), reading(pool) as figures:
        await figures.fresh()
        await pool.execute(
            "insert into job (kind, connector, run_at) select 'shred', 0, now() from generate_series(1, 5)"
        )
        for _ in range(20):
            await figures.fresh()
        assert told("jobs_waiting") == 0


async def test_a_database_that_is_away_leaves_the_last_figures_and_their_age(database: str) -> None:
    async with engine_on(database) as (_, direct), proxy_before(database) as proxy:
        await direct.execute("insert into job (kind, connector, run_at) values ('shred', 0, now())")
        async with await open_pool(proxy.dsn(database), size=1) as pool, reading(pool) as figures:
            await figures.fresh()
            assert (told("database_up"), told("jobs_waiting")) == (1, 1)
            await proxy.refuse()
            proxy.cut()
            figures._due = 0.0  # fifteen seconds later
            await eventually(lambda: scraped(figures, database_up=0), "the database is told to be away")
            assert told("jobs_waiting") == 1 and told("fleet_age_seconds") > 0
            await proxy.accept()
            await eventually(lambda: scraped(figures, database_up=1), "it is back")


async def scraped(figures: Figures, *, database_up: int) -> bool:
    await figures.fresh()
    return told("database_up") == database_up


async def test_a_reading_that_hangs_holds_no_scrape_up(database: str) -> None:
    async with engine_on(database) as (_, pool), reading(pool) as figures, pool.acquire() as other, other.transaction():
        await other.execute("lock table job in access exclusive mode")
        async with asyncio.timeout(8):  # the statement's own limit is ten seconds
            await figures.fresh()
