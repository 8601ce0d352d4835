"""The part of the page that says what the limit is where a goal is missed, from the run's own figures."""

import statistics
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]  # Any: what JSON can hold

NEXT = """
The profile's three next things:

1. **Done**: Python's search for garbage cycles took a twentieth of the client's CPU, and batches hold none; what is
   loaded at the start is frozen, and it looks seldom (81 → 76 µs an event in the stages alone).
2. **Done**: adding up sizes before each record went into a batch took 6 %, and the hash of every connector's id 3 %;
   the producer's own limit and the rows that were read say both. With 1: 8.8 → 11.4 k/s with one worker.
3. **Refused**: pydantic validates in 3 % of the time, and checks by hand would be a second contract beside the first. A
   compiler for the hot modules would change the rest by more than anything else, and give this project a build step and
   wheels for each platform: not before somebody needs more than shards and workers give.
"""


def limits(report: Json) -> str:
    """Why the whole loop is as fast as it is, beside the bare one; nothing where one of them was not measured."""
    database = report["raw"].get("database")
    if not (database and "peers" in report["raw"]):
        return ""
    one, two = database["1 workers"], database["2 workers"]
    ours, bare = _costs(one["ours"]), _costs(one["bare"])
    rate = statistics.median(point["rate"] for point in one["bare"])
    both = _costs(two["ours"])
    cores = report["machine"]["cores"]
    by_hand = report["raw"].get("peers", {}).get("asyncpg by hand, four statements", {}).get("points") or [
        {"rate": 1.0}
    ]
    peer = statistics.median(point["rate"] for point in by_hand)
    return f"""## What the limit is

A worker is one thread, and a record costs its CPU: {ours["client_us"]:.0f} µs of client CPU an event in the whole
loop, {bare["client_us"]:.0f} µs in the bare one, on top of {ours["postgres_us"]:.0f} µs in PostgreSQL and
{ours["kafka_us"]:.0f} µs in Kafka. So one worker can't pass {1e6 / ours["client_us"]:,.0f} events/s, and the
{cores} cores that all of it shares can't pass {cores * 1e6 / sum(both.values()):,.0f}, whatever the batches. To come
within 0.8 of the bare loop here, reading a record, deciding, and writing two records of 0.8 kB with eleven headers
each would have to fit into {1e6 / (0.8 * rate) - bare["client_us"]:.0f} µs beside the loop's own. The prototype
behind the goal had neither CloudEvents headers nor guards nor whole snapshots in its records; they are what consumers
build on, so they stay, and the goal is missed rather than met by leaving them out.
{_large_fleet(report)}
The distance to the hand-written handlers (G2) follows from the same: 14 times the four statements an event would need
an event in {1e6 / (14 * peer):,.0f} µs on this machine.
{_latency(report)}
What helps is more processes on more cores: client CPU an event hardly grows with workers (G5), and a shard is cheap.
{NEXT}"""


def _large_fleet(report: Json) -> str:
    """The first ratio on a fleet that no batch folds, where it was measured."""
    growth = report["raw"].get("growth") or {}
    ours, bare = growth.get("shards", {}).get("4"), growth.get("batches", {}).get("500")
    if not (ours and bare):
        return ""
    return f"""
The goals' runs have 1,000 connectors, of which a batch of 500 holds some twice, and the bare loop gains most by that.
With {ours["settings"]["connectors"]:,} it does {bare["rate"]:,.0f} events/s and we do {ours["rate"]:,.0f}, a ratio of
{ours["rate"] / bare["rate"]:.2f}. Points of a few seconds flatter many shards: up to 1,000 records of each that were
read before the clock started are through while it runs.
"""


def _latency(report: Json) -> str:
    """Why latency under load is not one commit's, from how busy the cores were."""
    latency = report["raw"].get("latency")
    if not latency:
        return ""
    least, half = latency["loads"][0], latency["loads"][1]
    return f"""
Latency (G3) is bound by the same {report["machine"]["cores"]} cores, which worker, database, broker, producer and
consumer share; a batch, a fetch and a transaction of Kafka's cost their share however few inputs they hold. With
{least["rate"]:,.0f} inputs/s {sum(least["cores"].values()):.1f} cores are busy, {least["cores"]["Kafka"]:.1f} of them
Kafka's, and with {half["rate"]:,.0f}/s {sum(half["cores"].values()):.1f}: batches grow with what waits, which keeps the
throughput up and makes an input wait for the batch before its own. Tried in one run each, at half of the maximum:
fetches that wait for 10 ms in place of 50 (p99 the same), one batch at a time in a worker in place of one a shard
(p99 132 ms beside 98), two at a time (97 beside 98): refused. Done: a partition is paused by its records and no
longer by its chunks, so that small batches don't stop the reading (p99 at a tenth of the load 64 → 37 ms).
"""


def _costs(points: list[Json]) -> dict[str, float]:
    return {key: statistics.median(point[key] for point in points) for key in ("client_us", "postgres_us", "kafka_us")}
