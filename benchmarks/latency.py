"""Latency under a paced load: from an input's sending until it is durable, and until a consumer has its transition.

The event's id is the time at which it was sent; it comes back as the cause of the transition, in the log's row and in
the record. Durable is the commit's own timestamp (`track_commit_timestamp`). PostgreSQL takes it just before it
flushes the log, so the p99 of a lone commit's round trip is added to every figure: what is told is rather too much.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from benchmarks.bare import lone
from benchmarks.fleet import Fleets
from benchmarks.measure import PointFailed, Span
from benchmarks.ours import looking, workers
from benchmarks.place import Place, place
from benchmarks.processes import cpu_s, spent
from benchmarks.workload import fits

_TICK_S = 0.002
_COMMITS = 400

_DURABLE = """
select percentile_cont(array[0.5, 0.99]) within group (order by waited) as waited, count(*) as events
from (
    select
        extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000 - (trace ->> 'causationid')::numeric / 1e6 as waited
    from transition where (trace ->> 'causationid')::numeric between $1 and $2
) timed
"""


_STORED = """
select count(*) from transition
where pg_xact_commit_timestamp(xmin) between to_timestamp($1) and to_timestamp($2)
"""


@dataclass(frozen=True, slots=True)
class Latency:
    """At one load: milliseconds, as p50 and p99."""

    share: float
    rate: float
    sent_rate: float
    durable_ms: tuple[float, float]
    seen_ms: tuple[float, float]
    events: int
    cores: dict[str, float]
    """How many cores each part kept busy."""


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def at_load(fleets: Fleets, rate: float, share: float, span: Span, flush_ms: float) -> Latency:
    """The latencies while inputs come at `rate`, the given share of the maximum."""
    async with place(fleets, inputs=400, connectors=1000) as here, looking(here) as eyes, workers(here, 1) as (worker,):
        async with asyncio.timeout(30):
            while await eyes.published() < here.workload.transitions:
                await asyncio.sleep(0.05)
        watcher = await _watcher(here)
        try:
            before = _busy(here, worker.pid, watcher.pid)
            first, last, sent = await pace(here, rate, span.discard_s, span.seconds)
            cores = _cores(before, _busy(here, worker.pid, watcher.pid))
            async with asyncio.timeout(30):
                while await eyes.consumed() < here.workload.inputs:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)  # the watcher has what was published, or its figure says that it hadn't
            watcher.send_signal(signal.SIGTERM)
            out, _ = await asyncio.wait_for(watcher.communicate(), 30)
        finally:
            if watcher.returncode is None:
                watcher.kill()
        waited, events = await durable(here, first, last)
    seen = [(at - sent_at) / 1e6 for sent_at, at in orjson.loads(out) if first <= sent_at <= last]
    if not seen or not events:
        raise PointFailed(f"latency at {share:.0%}: {events} committed, {len(seen)} seen")
    return Latency(
        share,
        round(rate, 1),
        round(sent, 1),
        (round(waited[0] + flush_ms, 2), round(waited[1] + flush_ms, 2)),
        (round(quantile(seen, 0.5), 2), round(quantile(seen, 0.99), 2)),
        events,
        cores,
    )


def _busy(here: Place, worker: int, watcher: int) -> dict[str, float]:
    """CPU seconds so far, by part; `at` is the time."""
    used = spent([worker], here.servers.postgres.pid, here.servers.kafka.pid)
    return {
        "at": used.at,
        "worker": used.clients,
        "PostgreSQL": used.postgres,
        "Kafka": used.kafka,
        "measuring": time.process_time() + cpu_s(watcher),
    }


def _cores(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    took = after.pop("at") - before.pop("at")
    return {part: round((after[part] - before[part]) / took, 2) for part in after}


async def most(fleets: Fleets, rate: float, span: Span) -> float:
    """Inputs a second that become durable while more come than can: `rate` is a little above what is expected.

    This, and not the rate of a backlog, is what loads are shares of: the producer and the consumer that latencies are
    measured with take their share of the cores.
    """
    async with place(fleets, inputs=400, connectors=1000) as here, workers(here, 1):
        watcher = await _watcher(here)
        try:
            first, last, _ = await pace(here, rate, span.discard_s, span.seconds)
        finally:
            watcher.kill()
            await watcher.wait()
        connection = await asyncpg.connect(here.dsn)
        try:
            stored = await connection.fetchval(_STORED, first / 1e9, last / 1e9, timeout=120)
        finally:
            await connection.close()
    return float(stored) / (last - first) * 1e9


async def _watcher(here: Place) -> asyncio.subprocess.Process:
    """A consumer in a process of its own; waits until it listens."""
    told = orjson.dumps([here.servers.bootstrap, here.transitions_topic, here.fleet.shards]).decode()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.watcher", told, stdout=asyncio.subprocess.PIPE, limit=1 << 28
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        await process.stdout.readline()
    return process


async def pace(here: Place, rate: float, discard_s: float, seconds: float) -> tuple[int, int, float]:
    """Sends inputs evenly; returns the first and last instant that counts, and the rate that was kept."""
    producer = AIOKafkaProducer(bootstrap_servers=here.servers.bootstrap, max_batch_size=900_000, linger_ms=0)
    await producer.start()
    try:
        began, sent = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < discard_s + seconds:
            due = int(elapsed * rate)
            batches: dict[int, BatchBuilder] = {}
            for _ in range(due - sent):
                now = time.time_ns()
                record = here.workload.next(datetime.fromtimestamp(now / 1e9, UTC), str(now))
                batch = batches.setdefault(record.partition, producer.create_batch())
                assert fits(batch, record)
            sent = due
            for partition, batch in batches.items():
                batch.close()
                await producer.send_batch(batch, here.inputs_topic, partition=partition)
            await asyncio.sleep(_TICK_S)
        took, ended = time.monotonic() - began, time.time_ns()
        await producer.flush()
    finally:
        await producer.stop()
    return ended - int(seconds * 1e9), ended, sent / took


async def durable(here: Place, first: int, last: int) -> tuple[list[float], int]:
    """From sending to commit: p50 and p99 in milliseconds of what was sent between two instants; how many."""
    connection = await asyncpg.connect(here.dsn)
    try:
        row = await connection.fetchrow(_DURABLE, first, last, timeout=120)
        assert row is not None
        return [float(ms) for ms in row["waited"] or (0, 0)], row["events"]
    finally:
        await connection.close()


async def idle(fleets: Fleets) -> dict[str, Any]:  # Any: what JSON can hold
    """What one transaction costs when nothing else runs: ours for one input, and a commit alone."""
    alone = [1000 * seconds for seconds in await lone(fleets, 2000)]
    fleet = await fleets.of(1000, 4)
    async with fleets.copy(fleet) as dsn:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("create table lone (n int)")
            commits = []
            for number in range(_COMMITS):
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute("insert into lone values ($1)", number)
                began = time.perf_counter()
                await transaction.commit()
                commits.append(1000 * (time.perf_counter() - began))
        finally:
            await connection.close()
    return {
        "lone_ms": {"p50": round(quantile(alone, 0.5), 3), "p99": round(quantile(alone, 0.99), 3)},
        "commit_ms": {"p50": round(quantile(commits, 0.5), 3), "p99": round(quantile(commits, 0.99), 3)},
    }
