"""P30: what the fleet's answers add up to is what the log holds, whoever counts it, whenever, and however often."""

import asyncio
import random
from collections import Counter as Tally
from datetime import UTC, datetime, timedelta

import pytest

from schemas import fleet as bodies
from schemas.ids import TenantId
from schemas.lifecycle import ActorKind, State, Step
from service.insight import fleet, funnel
from service.insight.counting import Counter
from service.insight.travel import BeforeTheLog
from service.store.pool import Pool
from tests.fleets import TENANTS, Herd, Recount, engine_on, logged, recounted, spread

DAY = timedelta(days=1)


async def funnel_of(pool: Pool, tenant: str | None = None, provider: str | None = None) -> bodies.Funnel:
    now = datetime.now(UTC)
    given = TenantId(tenant) if tenant else None
    return await funnel.funnel(pool, Counter(pool), given, provider, now - DAY, now)  # type: ignore[arg-type]


def is_the_same(told: bodies.Funnel, found: Recount) -> None:
    assert told.counted
    assert told.attempts == len(found.attempts)
    steps = {step.step: step for step in told.steps}
    assert list(steps) == list(Step)
    assert steps[Step.FAILURE_SEEN].reached == found.failures
    reached = found.reached()
    for step in list(Step)[1:]:
        assert steps[step].reached == reached[step], step
    drops = Tally(
        {(drop.provider, step.step.value, drop.reason): drop.count for step in told.steps for drop in step.drops}
    )
    ended = Tally[tuple[str, str, str | None]]()
    for (provider, step, ending, reason), number in found.endings().items():
        if ending in ("stopped", "replaced"):
            ended[provider, step, reason] += number
    assert drops == ended
    for before, after in zip(told.steps[1:], [*told.steps[2:], None], strict=True):
        further = after.reached if after else sum(p.connected for p in told.providers)
        assert before.reached == further + before.stopped + before.replaced + before.under_way, before.step
    assert sum(p.attempts for p in told.providers) == told.attempts


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_p30_the_funnel_counts_each_attempt_of_the_log_once(database: str, seed: int) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(seed))
        await herd.live(500)
        records = await logged(pool)
        found = recounted(records)
        assert {a["ending"] for a in found.attempts} == {"connected", "stopped", "replaced", None}
        is_the_same(await funnel_of(pool), found)
        for tenant in TENANTS:
            is_the_same(await funnel_of(pool, tenant), recounted(r for r in records if r["tenant_id"] == tenant))
        of_xero = recounted(r for r in records if r["provider"] == "xero")
        is_the_same(await funnel_of(pool, provider="xero"), of_xero)


async def test_p30_it_counts_the_same_however_often_and_by_however_many(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(5))
        counters = [Counter(pool) for _ in range(3)]
        for _ in range(10):
            await asyncio.gather(herd.live(60), *(counter.count_up(100) for counter in counters))
        await asyncio.gather(*(counter.count_up() for counter in counters))
        is_the_same(await funnel_of(pool), recounted(await logged(pool)))
        # Made again from nothing it is the same, too.
        before = await pool.fetch("select * from tally_hour order by 1, 2, 3, 4, 5, 6")
        await pool.execute("truncate tally, tally_hour, tally_attempt, tally_error")
        is_the_same(await funnel_of(pool), recounted(await logged(pool)))
        assert await pool.fetch("select * from tally_hour order by 1, 2, 3, 4, 5, 6") == before


async def test_p30_a_replaced_attempt_counts_where_its_person_was(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(9)).live(500)
        told = await funnel_of(pool)
        rows = await pool.fetch(
            "select t.step as counted, a.step as came_to from tally_attempt t join attempt a using (attempt_id)"
            " where t.ending = 'replaced' and a.reason = 'cancelled'"
        )
        assert {row["came_to"] for row in rows} >= {Step.LINK_OFFERED, Step.PROVIDER_PAGE}
        assert all(list(Step)[row["counted"]] == row["came_to"] for row in rows)
        assert {step.step: step.replaced for step in told.steps}[Step.PROVIDER_PAGE] > 0


async def test_what_is_not_counted_yet_is_said(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.insight.counting.CHUNK", 10)
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(6)).live(200)
        assert not await Counter(pool).count_up(20)
        assert await pool.fetchval("select sum(times) from tally_hour") in (20, 30)
        assert await Counter(pool).count_up()
        assert await pool.fetchval("select sum(times) from tally_hour") == await pool.fetchval(
            "select count(*) from transition"
        )


async def test_further_tries_at_one_trouble_are_counted_as_such(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(7))
        await herd.live(500)
        told = await funnel_of(pool)
        tries = [row["try"] for row in await pool.fetch("select try from tally_attempt")]
        assert told.troubles == tries.count(1) < told.attempts == len(tries) and max(tries) > 2


async def standing(pool: Pool, then: datetime | None = None, tenant: str | None = None) -> bodies.Fleet:
    return await fleet.fleet(pool, Counter(pool), TenantId(tenant) if tenant else None, then)


def stands_as(told: bodies.Fleet, found: Recount) -> None:
    there = [(state, reason, provider) for state, reason, provider in found.states.values() if state != "deleted"]
    assert told.connectors == len(there)
    assert {(s.provider, s.state.value): s.count for s in told.states} == Tally((p, s) for s, _, p in there)
    failed = Tally((p, r) for s, r, p in there if s == "failed")
    assert {(r.provider, r.reason.value): r.count for r in told.reasons} == failed


async def test_p30_the_fleet_as_it_stands_and_as_it_stood_is_what_the_log_says(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(8))
        moments = []
        for _ in range(6):
            await herd.live(150)
            moments.append(await pool.fetchval("select clock_timestamp()"))
            await Counter(pool).count_up(40)  # some of it is counted, some isn't
        records = await logged(pool)
        stands_as(await standing(pool), recounted(records))
        for moment in moments:
            until = [r for r in records if datetime.fromisoformat(r["at"]) <= moment]
            stands_as(await standing(pool, moment), recounted(until))
            for tenant in TENANTS:
                own = recounted(r for r in until if r["tenant_id"] == tenant)
                stands_as(await standing(pool, moment, tenant), own)


async def test_p30_the_fleet_stood_as_it_did_across_hours_and_months(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(9)).live(500)
        await spread(pool, timedelta(days=20))
        records = await logged(pool)
        for days in (19.5, 10, 3.3, 1, 0.02):
            then = datetime.now(UTC) - timedelta(days=days)
            until = [r for r in records if datetime.fromisoformat(r["at"]) <= then]
            told = await standing(pool, then)
            stands_as(told, recounted(until))
            day = [r for r in until if then - DAY <= datetime.fromisoformat(r["at"]) < then]
            assert {(a.from_.value, a.to.value): a.last_day for a in told.arrows} == recounted_arrows(day)
        with pytest.raises(BeforeTheLog, match="The log goes back to"):
            await standing(pool, datetime.now(UTC) - timedelta(days=100))


def recounted_arrows(records: list[dict[str, object]]) -> Tally[tuple[object, object]]:
    return Tally((r["from"], r["to"]) for r in records)


async def test_the_sentence_says_who_must_act(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        assert (await standing(pool)).sentence == "There are no connectors."
        herd = Herd(engine, pool, random.Random(10))
        await herd.step(herd_id(1))
        while (await standing(pool)).acting:
            await herd.step(herd_id(1))
        assert (await standing(pool)).sentence in (
            "Nobody is needed: nothing is wrong with 1 connector.",
            "There are no connectors.",
        )


def herd_id(number: int):  # type: ignore[no-untyped-def]
    return f"c{number:03}"


def test_each_state_is_somebodys() -> None:
    from schemas.reasons import Reason

    told = fleet.sentence(
        {
            ("books", State.HEALTHY, None): 99_788,
            ("books", State.FAILED, Reason.TOKEN_REFUSED): 170,
            ("books", State.AWAITING_AUTH, Reason.TOKEN_REFUSED): 10,
            ("books", State.SYNCING, None): 30,
            ("xero", State.FAILED, Reason.CLIENT_REJECTED): 2,
        }
    )
    assert told == (
        "182 of 100,000 connectors need somebody: 180 an administrator of the customer, 2 you; 30 go on by themselves."
    )
    one = {("books", State.FAILED, Reason.CLIENT_REJECTED): 1}
    assert fleet.sentence(one) == "1 of 1 connector needs somebody: 1 you."
    busy = {("books", State.SYNCING, None): 1}
    assert fleet.sentence(busy) == "Nobody is needed: nothing is wrong with 1 connector; 1 goes on by itself."


async def test_what_an_operator_had_a_hand_in_is_marked(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(11))
        await herd.live(300)
        await Counter(pool).count_up()
        helped = {row["attempt_id"] for row in await pool.fetch("select attempt_id from tally_attempt where helped")}
        opened = {
            r["attempt_id"]
            for r in await logged(pool)
            if r["trigger"] == "start_reauth" and r["actor"]["kind"] == ActorKind.OPERATOR
        }
        assert opened and opened <= {str(one) for one in helped}
