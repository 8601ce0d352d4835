"""G4, G6 and how cost grows: fleets, batches, shards, a hot key, a backlog, a real fleet's inputs, bytes on disk."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from benchmarks import bare, ours
from benchmarks.place import place
from benchmarks.session import Session

_BATCHES = (50, 100, 200, 500, 1000, 2000)
_SHARDS = (1, 2, 4, 8, 16, 64)
_STORED = 100_000
_MANY = 100_000
"""Connectors where batches and shards are compared: with few, a larger batch or more shards let a batch hold more
inputs of the same connectors, which costs less."""


async def memory(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """The worker's memory under load, with the large fleet and with the small one."""
    mode = session.mode
    small = await session.ours(mode.span, note="1,000 connectors")
    large = await session.ours(mode.span, connectors=mode.large_fleet, note=f"{mode.large_fleet:,} connectors")
    session.ratios["G4"] = round(large.rss_mb / small.rss_mb, 3)
    return {"small": small.as_json(), "large": large.as_json()}


async def backlog(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """A backlog is drained to its end; a steady rate is measured before and after."""
    mode = session.mode
    before = await session.ours(mode.span)
    span = type(mode.span)(600, mode.span.discard_s)
    drain = await session.ours(span, inputs=mode.backlog, note=f"a backlog of {mode.backlog:,}")
    after = await session.ours(mode.span)
    session.ratios["G6_drain"] = round(2 * drain.rate / (before.rate + after.rate), 3)
    return {"steady": [before.as_json(), after.as_json()], "drain": drain.as_json(), "backlog": mode.backlog}


async def growth(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """Points without a ratio; in quick mode fewer, and only while there is time."""
    quick, short = session.mode.repeats == 1, session.mode.short
    many = min(_MANY, session.mode.large_fleet)
    raw: dict[str, Any] = {"batches": {}, "shards": {}, "connectors": {}, "left_out": []}

    async def add(group: str, name: str, measure: Callable[[], Awaitable[Any]]) -> None:
        if session.left_s() < 25:
            raw["left_out"].append(f"{group} {name}")
            return
        point = (await measure()).as_json()
        if name:
            raw[group][name] = point
        else:
            raw[group] = point

    async def batch(size: int) -> Any:
        span = min(short, session.mode.bare, key=lambda span: span.seconds)
        point = await bare.run(session.fleets, span, batch=size, connectors=many)
        session.told(point, f"batches of {size}")
        return point

    async def fleet(connectors: int) -> Any:
        return await session.ours(short, connectors=connectors, note=f"{connectors:,} connectors")

    await add("fleet mix", "", lambda: session.ours(short, mix="fleet", note="95 % successes of healthy connectors"))
    await add("hot key", "", lambda: session.ours(short, hot=True, note="half of all inputs on one connector"))
    for size in (50, 2000) if quick else _BATCHES:
        await add("batches", str(size), lambda size=size: batch(size))
    for shards in (1, 16) if quick else _SHARDS:
        await add(
            "shards", str(shards), lambda n=shards: session.ours(short, shards=n, connectors=many, note=f"{n} shards")
        )
    for connectors in () if quick else (1000, 100_000, 1_000_000):
        await add("connectors", str(connectors), lambda n=connectors: fleet(n))
    if not quick:
        checkpoint = "straight after a checkpoint"
        await add(checkpoint, "", lambda: session.ours(short, after_checkpoint=True, note=checkpoint))
    if session.left_s() > 20:
        raw["on disk"] = await _on_disk(session)
    return raw


async def _on_disk(session: Session) -> dict[str, int]:
    """What rows of the log take, indexes included, for a million of them."""
    stored = _STORED // 5 if session.mode.repeats == 1 else _STORED
    async with (
        place(session.fleets, inputs=stored, connectors=1000) as here,
        ours.looking(here) as eyes,
        ours.workers(here, 1),
    ):
        await ours.until_published(eyes, stored, limit_s=120)
        connection = await asyncpg.connect(here.dsn)
        try:
            row = await connection.fetchrow(
                "select sum(pg_table_size(inhrelid))::bigint as heap, sum(pg_indexes_size(inhrelid))::bigint as indexes"
                ", (select count(*) from transition) as rows from pg_inherits where inhparent = 'transition'::regclass"
            )
        finally:
            await connection.close()
    assert row is not None
    million = 1_000_000 / row["rows"]
    found = {"heap_mb": round(row["heap"] * million / 2**20), "indexes_mb": round(row["indexes"] * million / 2**20)}
    session.say(f"a million transitions on disk: {found['heap_mb']} MB and {found['indexes_mb']} MB of indexes")
    return found
