"""Where the time goes: CPU of the client by function, CPU of PostgreSQL and Kafka, and what backends wait for."""

import asyncio
import signal
from collections import Counter
from contextlib import suppress
from typing import Any

import asyncpg
import orjson
import psutil

from benchmarks.fleet import Fleets
from benchmarks.measure import Span, drained
from benchmarks.ours import looking, start_worker
from benchmarks.place import place

_LOOK_S = 0.02
_WAITS = """
select coalesce(wait_event_type || ': ' || wait_event, 'on CPU') as what, count(*) as backends
from pg_stat_activity where application_name like 'regrant%' and state = 'active' group by 1
"""
_SHOWN = 15


async def profile(fleets: Fleets, rate: float, span: Span) -> dict[str, Any]:  # Any: what JSON can hold
    """One point of one worker that samples itself, which costs it some per cent."""
    async with place(fleets, inputs=span.inputs(rate), connectors=1000) as here, looking(here) as eyes:
        supervisor = here.servers.supervisor
        samples = supervisor.folder / f"{here.prefix}samples.json"
        child = start_worker(here, ("-m", "benchmarks.sampler"), {"BENCH_SAMPLES": str(samples)})
        waits: Counter[str] = Counter()
        looker = asyncio.create_task(_look(here.dsn, waits))
        try:
            point = await drained(here, [child], eyes.published, here.workload.transitions, span, "regrant, sampled")
        finally:
            looker.cancel()
            with suppress(asyncio.CancelledError):
                await looker
            await supervisor.end(child, signal.SIGTERM, 30)
        counts = orjson.loads(samples.read_bytes())
    busy = point.rate * (point.client_us + point.postgres_us + point.kafka_us) / 1e6
    all_ = sum(count for _, count in counts["libraries"])
    return {
        "rate": point.rate,
        "cores_busy": round(busy, 2),
        "cores": psutil.cpu_count(),
        "us_an_event": {"client": point.client_us, "postgres": point.postgres_us, "kafka": point.kafka_us},
        "client_by_library": _shares(counts["libraries"], all_),
        "client_by_function": _shares(counts["functions"], all_),
        "backends_at": _shares(waits.most_common(), sum(waits.values())),
    }


def _shares(counted: list[tuple[str, int]], all_: int) -> dict[str, float]:
    return {name: round(count / all_, 3) for name, count in counted[:_SHOWN]}


async def _look(dsn: str, waits: Counter[str]) -> None:
    """What the workers' backends are at, fifty times a second."""
    connection = await asyncpg.connect(dsn)
    try:
        looking = await connection.prepare(_WAITS)
        while True:
            for row in await looking.fetch():
                waits[row["what"]] += row["backends"]
            await asyncio.sleep(_LOOK_S)
    finally:
        await connection.close()
