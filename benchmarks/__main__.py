"""The benchmarks: `python -m benchmarks [--quick] [--only NAME,..]`. Writes build/bench.json and docs/benchmarks.md.

Every part has a time limit, and one that fails leaves an error in the report and the others alone. Exit code 1 then.
"""

import argparse
import asyncio
import logging
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks import machine, page
from benchmarks.against import peers
from benchmarks.callbacks import callbacks
from benchmarks.fleet import Fleets
from benchmarks.goals import GOALS, verdicts
from benchmarks.latency import at_load, idle, most
from benchmarks.profile import profile
from benchmarks.restart import killed
from benchmarks.scale import backlog, growth, memory
from benchmarks.servers import running_servers
from benchmarks.session import Session, full, quick
from benchmarks.throughput import database, guarantees
from benchmarks.tokens import tokens

ROOT = Path(__file__).parents[1]
LOADS = (0.1, 0.5, 0.8)
_PART_LIMIT_S = 3600
_WITHOUT_RATIO = ("profile", "growth", "tokens")
_SMALLEST_S = 15
"""A part isn't begun in quick mode when less time is left."""


async def latency(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """The idle database, and three loads; G3 is the middle one's."""
    mode = session.mode
    maximum = await most(session.fleets, await session.rate() * 1.2, mode.span)
    session.say(f"with the producer and the consumer on the same cores: {maximum:,.0f}/s at most")
    alone = await idle(session.fleets)
    session.say(f"idle database: {alone}")
    loads = []
    for share in LOADS:
        at = await at_load(session.fleets, maximum * share, share, mode.span, alone["commit_ms"]["p99"])
        session.say(f"at {share:.0%}: durable p50, p99 {at.durable_ms} ms; seen {at.seen_ms} ms")
        loads.append(asdict(at))
        if share == 0.5:
            session.ratios["G3"] = round(at.durable_ms[1] / alone["lone_ms"]["p99"], 2)
    return {"idle": alone, "maximum": maximum, "loads": loads}


async def restart(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    found = await killed(session.fleets, await session.rate())
    session.ratios["G6_restart_s"] = found["restart_s"]
    session.say(f"back {found['restart_s']} s after kill -9; cold start {found['cold_start_s']} s")
    return found


async def where_time_goes(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    found = await profile(session.fleets, await session.rate(), session.mode.short)
    session.say(f"CPU an event: {found['us_an_event']} µs; {found['cores_busy']} of {found['cores']} cores busy")
    return found


async def way_back(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """P2: what a person waits for."""
    found = await callbacks(session.fleets.servers, 100 if session.mode.budget_s is not None else 500)
    session.say(f"callback to sync request at {found['a_second']}/s: {found['ms']} ms")
    return found


async def token_reads(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """P19: fresh tokens from the sealed store."""
    found = await tokens(session.fleets.servers, session.mode.span.seconds)
    inside, over_http = found["service"], found["http"]
    session.say(f"tokens: {inside['a_core']}/s a core, p99 {inside['ms']['p99']} ms; over HTTP {over_http['a_core']}/s")
    return found


PARTS: dict[str, Callable[[Session], Awaitable[dict[str, Any]]]] = {
    "database": database,
    "peers": peers,
    "latency": latency,
    "guarantees": guarantees,
    "memory": memory,
    "backlog": backlog,
    "callbacks": way_back,
    "tokens": token_reads,
    "restart": restart,
    "profile": where_time_goes,
    "growth": growth,
}


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:  # Any: what JSON can hold
    """The report."""
    mode = quick() if arguments.quick else full(arguments.seconds)
    async with running_servers() as servers:
        session = Session(Fleets(servers), mode)
        facts = await machine.facts(servers)
        session.say(f"PostgreSQL {facts['postgres']} and {facts['kafka']} run; mode {mode.name}")
        for name in arguments.only or PARTS:
            await _part(session, name)
        return {
            "ratios": {goal.key: session.ratios.get(goal.key) for goal in GOALS},
            "goals": verdicts(session.ratios),
            "raw": session.raw,
            "machine": facts | {"mode": mode.name, "seconds_a_point": mode.span.seconds, "repeats": mode.repeats},
            "errors": session.errors,
        }


async def _part(session: Session, name: str) -> None:
    if session.left_s() < _SMALLEST_S:
        session.say(f"{name} is left out: the time is over")
        if name not in _WITHOUT_RATIO:
            session.errors[name] = "left out: the time was over"
        return
    session.say(f"— {name}")
    try:
        async with asyncio.timeout(min(_PART_LIMIT_S, session.left_s())):
            session.raw[name] = await PARTS[name](session)
    except Exception as error:  # whatever it is: the other parts are worth having, and the report names it
        session.errors[name] = f"{type(error).__name__}: {error}"
        session.say(f"{name} failed: {session.errors[name]}")
        traceback.print_exc()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything once, within five minutes on two cores")
    parser.add_argument("--seconds", type=float, default=30, help="how long a point is measured (not with --quick)")
    parser.add_argument("--only", type=_names, help=f"parts, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--no-page", action="store_true", help="write build/bench.json alone")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic's leader isn't known at once
    report = uvloop.run(measure(arguments))
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    print(f"build/bench.json: {orjson.dumps(report['ratios']).decode()}")
    if not arguments.no_page:
        page.write(report, ROOT / "docs")
    for name, error in report["errors"].items():
        print(f"error in {name}: {error}", file=sys.stderr)
    return 1 if report["errors"] else 0


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part is called {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
