"""A million connectors over 64 shards: `python -m benchmarks.million`, which writes its table into docs/scale.md.

Real Kafka and PostgreSQL, workers and an api process as an operator runs them. First what waits is drained, as fast as
it goes; then inputs come evenly, as from connectors that sync every quarter of an hour, while people read and rename
over HTTP. At the end every connector, the log and both topics must hold exactly what the inputs lead to.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import asyncpg
import orjson
import psutil
import uvloop

from benchmarks import machine, ours
from benchmarks.check import check
from benchmarks.fleet import Fleets, connector_id
from benchmarks.latency import durable, pace, quantile
from benchmarks.measure import Span, drained
from benchmarks.million_page import written
from benchmarks.place import Place, place
from benchmarks.processes import rss_mb, spent
from benchmarks.servers import running_servers
from service.demo.client import AUDIENCE, ISSUER, Regrant
from service.demo.embedded.child import free_port

ROOT = Path(__file__).parents[1]
QUARTER_S = 900
"""How often each connector syncs, for the rate of the steady part."""
TENANT = 7
"""Whose connectors people look at and rename: every five-hundredth."""
TENANTS = 500
LATEST_S = 600

Json: TypeAlias = dict[str, Any]  # Any: what JSON can hold
Ask: TypeAlias = Callable[[], Awaitable[object]]

_SIZES = """
select pg_table_size('connector') as connectors, pg_indexes_size('connector') as connector_indexes,
    (select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'transition'::regclass)::bigint
        as log,
    (select count(*) from transition) as transitions, pg_database_size(current_database()) as database
"""
_SHARDS = "select min(next_seq) - 1 as fewest, max(next_seq) - 1 as most from shard"


@dataclass(slots=True)
class Visitors:
    """People and backends that use the API while syncs go on; each answer's milliseconds, by what was asked."""

    regrant: Regrant
    here: Place
    ms: dict[str, list[float]] = field(default_factory=dict)
    renamed: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(5))

    async def visit(self) -> None:
        """Until cancelled: a round a second."""
        everybody = self.regrant.for_whole_fleet()
        while True:
            mine = f"/v1/connectors/{self._one()}"
            for what, ask in (
                ("GET /v1/fleet", lambda: everybody.get("/v1/fleet")),
                ("GET /v1/fleet/connectors, failed", lambda: everybody.get("/v1/fleet/connectors?state=failed")),
                ("GET a connector", lambda path=mine: self.regrant.get(path)),
                ("GET its history", lambda path=mine: self.regrant.get(f"{path}/history")),
                ("PATCH its name", self._rename),
            ):
                await self._timed(what, ask)
            await asyncio.sleep(1)

    def _one(self) -> str:
        return connector_id(TENANT + TENANTS * self._chance.randrange(self.here.fleet.connectors // TENANTS))

    async def _timed(self, what: str, ask: Ask) -> None:
        began = time.perf_counter()
        await ask()
        self.ms.setdefault(what, []).append((time.perf_counter() - began) * 1000)

    async def _rename(self) -> None:
        """A command: a transition of its own, which the check expects."""
        id_ = self._one()
        answer = await asyncio.shield(
            self.regrant.call("PATCH", f"/v1/connectors/{id_}", {"name": f"Books, renamed {self.renamed}"})
        )
        assert answer.is_good, answer
        workload = self.here.workload
        workload.versions[id_] = workload.versions.get(id_, 1) + 1
        workload.transitions += 1
        self.renamed += 1


@asynccontextmanager
async def _api(here: Place) -> AsyncIterator[tuple[str, int]]:
    """An api process; its address and process id."""
    supervisor, port = here.servers.supervisor, free_port()
    env = ours.environment(here, supervisor.folder) | {
        "REGRANT_HTTP__PORT": str(port),
        "REGRANT_JWT__ISSUER": ISSUER,
        "REGRANT_JWT__AUDIENCE": AUDIENCE,
    }
    log = supervisor.folder / "api.log"
    child = supervisor.start([sys.executable, "-m", "service.cli", "serve", "--role", "api"], log=log, env=env)
    try:
        yield f"http://127.0.0.1:{port}", child.pid
    finally:
        await supervisor.end(child, signal.SIGTERM, 30)


async def _ready(url: str, session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(LATEST_S):
        while True:
            try:
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # it isn't listening yet
            await asyncio.sleep(0.2)


def _said(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {what}", flush=True)


async def measured(given: argparse.Namespace) -> Json:
    """The run's report."""
    rate = given.rate or given.connectors / QUARTER_S
    async with running_servers() as servers:
        facts = await machine.facts(servers)
        began, fleets = time.monotonic(), Fleets(servers)
        fleet = await fleets.of(given.connectors, given.shards)
        filled_s = time.monotonic() - began
        _said(f"{given.connectors:,} connectors over {given.shards} shards, filled in {filled_s:.0f} s")
        async with place(
            fleets, inputs=given.waiting, connectors=given.connectors, shards=given.shards, mix="fleet"
        ) as here:
            _said(f"{given.waiting:,} inputs wait")
            async with ours.looking(here) as eyes, ours.workers(here, given.workers) as children:
                point = await drained(here, children, eyes.consumed, given.waiting, Span(120, 1), "backlog")
                _said(f"drained: {point.rate:,.0f}/s")
                steady = await _steady(here, eyes, [child.pid for child in children], rate, given.seconds)
                _said(f"steady: {steady}")
            point.drained_s = point.drained_s or 0.0  # all inputs were waited for above
            await check(here, point)
            _said(f"checked: {point.checked} {point.faults}")
            sizes = await _sizes(here)
    spread = Counter(fleet.shard_of).values()
    return {
        "connectors": given.connectors,
        "shards": given.shards,
        "workers": given.workers,
        "filled_s": round(filled_s),
        "connectors_a_shard": [min(spread), max(spread)],
        "waiting": given.waiting,
        "drain": point.as_json(),
        "steady": steady,
        "sizes": sizes,
        "machine": facts | {"load_when_over": round(psutil.getloadavg()[0], 2)},
    }


async def _steady(here: Place, eyes: ours.Eyes, workers: list[int], rate: float, seconds: float) -> Json:
    """Inputs at a pace, and people; then until all of it is through."""
    async with _api(here) as (url, api), aiohttp.ClientSession() as session:
        await _ready(url, session)
        regrant = Regrant(session, url, f"tenant-{TENANT:04d}", here.servers.supervisor.folder / "jwt.key")
        first_fleet_s = await _counted(regrant.for_whole_fleet())
        pids = here.servers.postgres.pid, here.servers.kafka.pid
        before, was, had = spent([*workers, api], *pids), here.workload.inputs, await eyes.consumed()
        visitors = Visitors(regrant, here)
        visiting = asyncio.create_task(visitors.visit())
        first, last, sent = await pace(here, rate, 5, seconds)
        used, inputs = spent([*workers, api], *pids).since(before), here.workload.inputs - was
        handled = await eyes.consumed()
        lag, handled = here.workload.inputs - handled, handled - had
        visiting.cancel()
        ended = await asyncio.gather(visiting, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]
        async with asyncio.timeout(LATEST_S):
            while await eyes.consumed() < here.workload.inputs:
                await asyncio.sleep(0.1)
        await ours.until_published(eyes, here.workload.transitions, LATEST_S)
        waited, events = await durable(here, first, last)
        return {
            "rate": round(sent, 1),
            "seconds": round(used.at),
            "inputs": inputs,
            "transitions_timed": events,
            "durable_ms": [round(ms) for ms in waited],
            "lag_at_end": lag,
            "cores": {
                "service": round(used.clients / used.at, 2),
                "postgres": round(used.postgres / used.at, 2),
                "kafka": round(used.kafka / used.at, 2),
            },
            "us_an_input": {
                "service": round(used.clients / max(handled, 1) * 1e6),
                "postgres": round(used.postgres / max(handled, 1) * 1e6),
                "kafka": round(used.kafka / max(handled, 1) * 1e6),
            },
            "rss_mb": {"workers": round(rss_mb(workers)), "api": round(rss_mb([api]))},
            "first_fleet_ms": round(first_fleet_s * 1000),
            "renamed": visitors.renamed,
            "http_ms": {
                what: {"asked": len(ms), "p50": round(quantile(ms, 0.5)), "p95": round(quantile(ms, 0.95))}
                for what, ms in visitors.ms.items()
            },
        }


async def _counted(regrant: Regrant) -> float:
    """Seconds until the fleet's answer holds everything that was logged before anybody asked."""
    began = time.perf_counter()
    async with asyncio.timeout(LATEST_S):
        while True:
            with contextlib.suppress(TimeoutError):  # the call's own limit: it is counted all the same
                if (await regrant.call("GET", "/v1/fleet")).body.get("counted"):
                    break
            await asyncio.sleep(0.1)
    return time.perf_counter() - began


async def _sizes(here: Place) -> Json:
    connection = await asyncpg.connect(here.dsn)
    try:
        sizes, shards = await connection.fetchrow(_SIZES), await connection.fetchrow(_SHARDS)
    finally:
        await connection.close()
    assert sizes is not None and shards is not None
    return dict(sizes) | {"transitions_a_shard": [shards["fewest"], shards["most"]]}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--connectors", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--waiting", type=int, default=300_000, help="inputs that are drained first (%(default)d)")
    parser.add_argument("--seconds", type=float, default=180, help="of the steady part (%(default)g)")
    parser.add_argument(
        "--rate", type=float, help="inputs a second; by itself one a connector every quarter of an hour"
    )
    parser.add_argument("--no-page", action="store_true", help="write build/million.json alone")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic's leader isn't known at once
    report = uvloop.run(measured(given))
    target = ROOT / "build" / "million.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if not given.no_page:
        page = ROOT / "docs" / "scale.md"
        page.write_text(written(page.read_text(), report))
    return 0 if report["drain"]["checked"] else 1


if __name__ == "__main__":
    sys.exit(main())
