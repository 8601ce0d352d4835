"""Restarts: how long nothing is stored after kill -9 of the only worker, and from a cold start to the first commit."""

import asyncio
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.fleet import Fleets
from benchmarks.ours import Eyes, looking, start_worker
from benchmarks.place import place

_POLL_S = 0.01
_LIMIT_S = 60
_LAST_COMMITS_S = 0.5
"""Until then PostgreSQL may still end what the dead worker had sent; no new worker is that fast."""
SESSION_TIMEOUT_S = 6.0
"""Of the worker's group (`service/kafka/clients.py`): the broker waits for the dead that long."""


async def killed(fleets: Fleets, rate: float) -> dict[str, Any]:  # Any: what JSON can hold
    """kill -9 under load, and another worker started at once."""
    inputs = max(60_000, int(rate * 8))
    async with place(fleets, inputs=inputs, connectors=1000) as here, looking(here) as eyes:
        supervisor = here.servers.supervisor
        began = time.monotonic()
        first = start_worker(here)
        cold = await _grown(eyes, 0) - began
        await _grown(eyes, inputs // 10)
        supervisor.kill(first)
        killed_at = time.monotonic()
        second = start_worker(here)
        try:
            await asyncio.sleep(_LAST_COMMITS_S)
            at = await eyes.consumed()
            silent = await _grown(eyes, at) - killed_at
        finally:
            await supervisor.end(second, signal.SIGTERM, 30)
    imported = statistics.median([_import_s() for _ in range(3)])
    return {
        "restart_s": round(silent, 2),
        "session_timeout_s": SESSION_TIMEOUT_S,
        "cold_start_s": round(cold, 2),
        "import_s": round(imported, 2),
        "cold_start_over_import": round(cold / imported, 2),
        "left_when_killed": here.workload.inputs - at,
    }


async def _grown(eyes: Eyes, beyond: int) -> float:
    """The instant at which more than that was consumed."""
    async with asyncio.timeout(_LIMIT_S):
        while await eyes.consumed() <= beyond:
            await asyncio.sleep(_POLL_S)
    return time.monotonic()


def _import_s() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import service.cli, service.app"], check=True, timeout=60)
    return time.perf_counter() - began
