"""Connectors of all tenants in lists, now and as they stood; what took how long, and which errors came."""

import random
from collections import Counter as Tally
from datetime import UTC, datetime, timedelta
from statistics import mean, median
from typing import Any

import pytest

from schemas.acting import WhoActs, who_acts
from schemas.ids import ConnectorId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Origin, Reason
from service.insight import errors, listing, times, travel
from service.insight.counting import Counter
from service.insight.listing import Wanted
from service.insight.travel import BeforeTheLog
from service.store import listing as store
from service.store.pool import Pool
from statemachine.connector import Connector
from tests.fleets import TENANTS, Herd, engine_on, logged, recounted, spread

DAY = timedelta(days=1)
WANTED = [
    Wanted(None),
    Wanted(TenantId("acme")),
    Wanted(None, state=State.HEALTHY),
    Wanted(None, state=State.FAILED),
    Wanted(TenantId("bikes"), state=State.FAILED),
    Wanted(None, reason=Reason.TOKEN_REFUSED),
    Wanted(None, origin=Origin.HOST),
    Wanted(None, acts=WhoActs.OWNER),
    Wanted(None, acts=WhoActs.OPERATOR),
    Wanted(None, acts=WhoActs.REGRANT),
    Wanted(None, acts=WhoActs.NOBODY),
    Wanted(None, state=State.FAILED, acts=WhoActs.OPERATOR),
    Wanted(None, provider="xero"),  # type: ignore[arg-type]
    Wanted(None, text="OOKS 1"),
    Wanted(None, moved_from=[State.HEALTHY], moved_to=State.FAILED),
    Wanted(None, moved_from=[State.AWAITING_AUTH, State.VERIFYING]),
    Wanted(TenantId("cars"), moved_to=State.SYNCING),
    Wanted(None, state=State.HEALTHY, moved_from=[State.SYNCING], moved_to=State.HEALTHY),
]


def fits(wanted: Wanted, c: dict[str, Any]) -> bool:
    """Whether a connector's snapshot is one that is wanted, said plainly."""
    reason, state = Reason(c["reason"]) if c["reason"] else None, State(c["state"])
    return (
        state is not State.DELETED
        and wanted.tenant in (None, c["tenant_id"])
        and wanted.state in (None, state)
        and wanted.provider in (None, c["provider"])
        and wanted.reason in (None, reason)
        and (wanted.origin is None or (reason is not None and reason.origin is wanted.origin))
        and (wanted.acts is None or who_acts(state, reason if state is State.FAILED else None) is wanted.acts)
        and (wanted.text is None or wanted.text.lower() in f"{c['connector_id']} {c['name']}".lower())
    )


def went(wanted: Wanted, told: list[dict[str, Any]]) -> set[str]:
    """Which connectors took the arrow, in a log of less than a day."""
    return {
        r["connector_id"]
        for r in told
        if (wanted.moved_from is None or r["from"] in wanted.moved_from) and wanted.moved_to in (None, r["to"])
    }


def newest(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each connector's snapshot after the last of these records, in the order of ids."""
    last: dict[str, dict[str, Any]] = {}
    for r in sorted(records, key=lambda r: r["version"]):
        last[r["connector_id"]] = r["connector"]
    return [last[id_] for id_ in sorted(last)]


async def walked(pool: Pool, wanted: Wanted, then: datetime | None, limit: int = 4) -> list[Connector]:
    """All pages, one after the other."""
    found: list[Connector] = []
    after: str | None = ""
    while after is not None:
        if then is None:
            async with pool.acquire() as connection:
                page = await listing.page(connection, wanted, after, limit)
        else:
            page = await listing.page_then(pool, wanted, then, after, limit)
        assert len(page.connectors) <= limit
        found, after = found + page.connectors, page.next
    return found


async def test_every_filter_finds_what_is_so_and_what_was_so(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.insight.listing.LOOKED_AT", 7)
    monkeypatch.setattr("service.insight.listing.LOOKED_AT_NOW", 9)
    async with engine_on(database) as (engine, pool):
        herd = Herd(engine, pool, random.Random(21))
        await herd.live(300)
        then = await pool.fetchval("select clock_timestamp()")
        await herd.live(200)
        records = await logged(pool)
        before = [r for r in records if datetime.fromisoformat(r["at"]) <= then]
        for wanted in WANTED:
            for moment, told in ((None, records), (then, before)):
                moved = went(wanted, told)
                expected = [c["connector_id"] for c in newest(told) if fits(wanted, c) and c["connector_id"] in moved]
                assert [c.id for c in await walked(pool, wanted, moment)] == expected, (wanted, moment)


async def test_whose_id_is_looked_for_comes_first_and_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.insight.listing.LOOKED_AT_NOW", 5)
    async with engine_on(database) as (_, pool):
        await pool.execute(
            "insert into connector (connector_id, shard, tenant_id, provider, name, state, version, since)"
            " select 'c' || n, 0, 't', 'p', 'Books of c77', 'healthy', 1, now() from generate_series(10, 99) n"
        )
        async with pool.acquire() as connection:
            first = await listing.page(connection, Wanted(None, text="c77"), "", 100)
        assert [one.id for one in first.connectors] == ["c77"] and first.next
        ids = [one.id for one in await walked(pool, Wanted(None, text="c77"), None)]
        assert ids == ["c77", *(f"c{n}" for n in range(10, 100) if n != 77)]
        assert await walked(pool, Wanted(None, text="c77", state=State.FAILED), None) == []


async def test_a_connector_is_shown_as_it_stood_at_each_instant_of_its_log(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(22)).live(150, connectors=10)
        async with pool.acquire() as connection:
            for r in await logged(pool):
                id_, tenant = ConnectorId(r["connector_id"]), TenantId(r["tenant_id"])
                at = datetime.fromisoformat(r["at"])
                stood = await travel.stood(connection, id_, tenant, at)
                if r["to"] == "deleted":
                    assert stood is None
                    continue
                assert stood is not None and stood.version >= r["version"]  # two may be of one instant
                assert await travel.stood(connection, id_, TenantId("nobody"), at) is None
                if r["version"] == 1:
                    assert await travel.stood(connection, id_, tenant, at - timedelta(seconds=5)) is None
            with pytest.raises(BeforeTheLog):
                await travel.stood(connection, id_, tenant, datetime.now(UTC) - 100 * DAY)


async def test_p30_times_are_those_between_the_logs_instants(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(23)).live(500)
        records = await logged(pool)
        now = datetime.now(UTC)
        told = await times.times(pool, Counter(pool), None, None, now - DAY, now)
        spans = timed(records)
        assert told.providers[0].provider is None
        for shown in told.providers:
            mine = [s for s in spans if shown.provider in (None, s["provider"])]
            assert shown.connected == len(mine) > 0
            for part in ("whole", "owner", "host"):
                took = [s[part] for s in mine]
                span = getattr(shown, part)
                assert span.mean_s == pytest.approx(mean(took), abs=0.002), part
                assert span.median_s == pytest.approx(median(took), rel=0.045, abs=0.002), part
            checked = shown.regrant.mean_s + shown.provider_took.mean_s
            assert checked == pytest.approx(mean(s["checked"] for s in mine), abs=0.003)
            assert shown.share_without_support is not None and 0 < shown.share_without_support <= 1
            assert shown.without_support == sum(s["alone"] for s in mine)


async def test_p30_times_of_whole_days_are_the_same_as_of_their_attempts(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(26)).live(500)
        await spread(pool, timedelta(days=20))
        assert await Counter(pool).count_up()
        spans = timed(await logged(pool))
        assert len({s["ended"].date() for s in spans}) > 5
        now = datetime.now(UTC)
        days = [19.5, 10, 3.3, 1, 0.02]
        for since, until in [(now - DAY * d, now - DAY * less) for d in days for less in (0, 0.5, 2.9) if less < d]:
            for tenant in (None, TenantId(TENANTS[0])):
                told = await times.times(pool, Counter(pool), tenant, None, since, until)
                mine = [s for s in spans if since <= s["ended"] < until and tenant in (None, s["tenant"])]
                assert [p.connected for p in told.providers[:1]] == [len(mine)] * bool(mine)
                for part in ("whole", "owner", "host") if mine else ():
                    span, took = getattr(told.providers[0], part), [s[part] for s in mine]
                    assert span.mean_s == pytest.approx(mean(took), abs=0.002), part
                    assert span.median_s == pytest.approx(median(took), rel=0.045, abs=0.002), part
                assert all(p.without_support == sum(s["alone"] for s in mine) for p in told.providers[:1])


def timed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How long each attempt took that ended with data flowing, counted from the records alone."""
    spans: list[dict[str, Any]] = []
    stories: dict[str, list[dict[str, Any]]] = {}
    for r in sorted(records, key=lambda r: r["version"]):
        stories.setdefault(r["connector_id"], []).append(r)
    for story in stories.values():
        began = opened = back = saved = None
        trouble, tries, helped = None, 0, False
        for r in story:
            at, c = datetime.fromisoformat(r["at"]), r["connector"]
            if r["trigger"] == "start_reauth":
                since = datetime.fromisoformat(c["failed_since"]) if c["failed_since"] else None
                this = since or ("generation", c["generation"])
                tries, helped = (tries + 1, helped) if this == trouble else (1, False)
                trouble, began, opened, back, saved = this, since or at, at, None, None
            helped = helped or (opened is not None and r["actor"]["kind"] == "operator")
            if r["from"] == "awaiting_auth" and r["to"] == "verifying":
                back = at
            if r["from"] == "verifying" and r["to"] == "syncing":
                saved = at
            if r["from"] == "syncing" and r["to"] == "healthy" and saved and back and began:
                spans.append(
                    {
                        "provider": r["provider"],
                        "tenant": r["tenant_id"],
                        "ended": at,
                        "whole": max((at - began).total_seconds(), 0),
                        "owner": max((back - began).total_seconds(), 0),
                        "checked": (saved - back).total_seconds(),
                        "host": (at - saved).total_seconds(),
                        "alone": tries <= 2 and not helped,
                    }
                )
            if r["to"] in ("healthy", "failed", "disconnected", "deleted"):
                opened = saved = None
    return spans


async def test_p30_errors_are_those_of_the_log_and_of_what_passed_by_itself(database: str) -> None:
    async with engine_on(database) as (engine, pool):
        await Herd(engine, pool, random.Random(24)).live(400)
        await pool.execute(
            "update note set at = at - interval '3 hours' where connector = any("
            "select connector from note where evidence is not null order by at limit 3)"
        )
        found = recounted(await logged(pool)).errors
        for row in await pool.fetch(
            "select c.provider, n.evidence, n.reason from note n join connector c on c.id = n.connector"
            " where n.evidence is not null"
        ):
            import orjson

            e = orjson.loads(row["evidence"])
            found[row["provider"], e["at"], e["status"], e["code"], row["reason"]] += 1
        now = datetime.now(UTC)
        for provider in (None, "xero"):
            told = await errors.errors(pool, Counter(pool), None, provider, now - DAY, now)  # type: ignore[arg-type]
            shown = Tally({(e.provider, e.at, e.status, e.code, e.reason): e.count for e in told.errors})
            assert shown == {key: n for key, n in found.items() if provider in (None, key[0])}
            assert await pool.fetchval("select sum(times) from tally_error where hour < now() - interval '2 hours'") > 0
            assert all(e.request_id == "tid-1" and e.first_at <= e.last_at for e in told.errors)
            assert [e.count for e in told.errors] == sorted((e.count for e in told.errors), reverse=True)


async def test_lists_of_few_among_many_use_their_indexes(database: str) -> None:
    async with engine_on(database) as (_, pool):
        await pool.execute(
            "insert into connector (connector_id, shard, tenant_id, provider, name, state, version, since)"
            " select 'c' || n, 0, 't' || n % 40, 'xero', '',"
            " (case when n % 500 = 0 then 'failed' else 'healthy' end)::connector_state, 1, now()"
            " from generate_series(1, 50000) n"
        )
        await pool.execute("analyze connector")
        async with pool.acquire() as connection:
            few = await connection.prepare(store.NOT_HEALTHY)
            used = str(await few.explain("", ["failed"], None, None, None, None, 101))
            assert "connector_not_healthy" in used, used
            one = await connection.prepare(store.OF_TENANT)
            used = str(await one.explain("", None, None, None, None, None, 101, "t1"))
            assert "connector_tenant" in used and "Seq Scan" not in used, used
