"""Ours: `regrant serve --role worker`, as an operator runs it, as child processes."""

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from benchmarks.check import check
from benchmarks.measure import Point, Span, drained
from benchmarks.place import Place
from service.demo.embedded.child import Supervisor, free_port
from service.vault.keys import generate_key_file

_STOP_S = 30
_LOOK = """
select coalesce((select sum(next_offset) from input_partition where topic = $1), 0)::bigint as consumed,
    (select sum(published_seq) from shard)::bigint as published
"""


class Eyes:
    """How far the workers are, by one connection that is kept."""

    def __init__(self, place: Place, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._place, self._connection = place, connection

    async def consumed(self) -> int:
        """Inputs whose transaction committed."""
        return int((await self._connection.fetchrow(_LOOK, self._place.inputs_topic))["consumed"])  # type: ignore[index]

    async def published(self) -> int:
        """Transitions that the broker has acknowledged, by the relays' watermarks."""
        return int((await self._connection.fetchrow(_LOOK, self._place.inputs_topic))["published"])  # type: ignore[index]


@asynccontextmanager
async def looking(place: Place) -> AsyncIterator[Eyes]:
    connection = await asyncpg.connect(place.dsn, timeout=10)
    try:
        yield Eyes(place, connection)
    finally:
        await connection.close(timeout=5)


def environment(place: Place, folder: Path) -> dict[str, str]:
    """The settings of a worker, without the port."""
    jwt_key = folder / "jwt.key"
    if not jwt_key.exists():
        jwt_key.touch(mode=0o600)
        jwt_key.write_text(secrets.token_urlsafe(48))
        generate_key_file(folder / "keys")
    return {
        "REGRANT_DEVELOPMENT": "true",
        "REGRANT_DATABASE__DSN": place.dsn,
        "REGRANT_KAFKA__BOOTSTRAP": place.servers.bootstrap,
        "REGRANT_KAFKA__TOPIC_PREFIX": place.prefix,
        "REGRANT_SHARDS": str(place.fleet.shards),
        "REGRANT_HTTP__PUBLIC_URL": "http://127.0.0.1:8080",
        "REGRANT_KEYS__FOLDER": str(folder / "keys"),
        "REGRANT_JWT__ISSUER": "https://host.example",
        "REGRANT_JWT__AUDIENCE": "regrant",
        "REGRANT_JWT__HS256_KEY_FILE": str(jwt_key),
        "REGRANT_WEB__HOST_NAME": "Benchmark",
        "REGRANT_LOG__LEVEL": "warning",
    }


def start_worker(
    place: Place, program: Sequence[str] = ("-m", "service.cli"), more: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Starts one worker process."""
    supervisor = place.servers.supervisor
    env = environment(place, supervisor.folder) | {"REGRANT_HTTP__PORT": str(free_port()), **(more or {})}
    log = supervisor.folder / f"worker-{place.prefix}log"
    return supervisor.start([sys.executable, *program, "serve", "--role", "worker"], log=log, env=env)


@asynccontextmanager
async def workers(place: Place, count: int) -> AsyncIterator[list["subprocess.Popen[bytes]"]]:
    """Runs that many workers, and stops them as an operator does."""
    supervisor: Supervisor = place.servers.supervisor
    async with AsyncExitStack() as stack:
        started = []
        for _ in range(count):
            child = start_worker(place)
            stack.push_async_callback(supervisor.end, child, signal.SIGTERM, _STOP_S)
            started.append(child)
        yield started


async def run(place: Place, span: Span, *, count: int = 1, checked: bool = True) -> Point:
    """One point of ours: inputs a second until durable and published (observations: until durable)."""
    is_fleet = place.workload.mix == "fleet"
    total = place.workload.inputs if is_fleet else place.workload.transitions
    name = f"regrant, {count} worker{'s' if count > 1 else ''}"
    async with looking(place) as eyes, workers(place, count) as children:
        point = await drained(place, children, eyes.consumed if is_fleet else eyes.published, total, span, name)
        if is_fleet:
            await until_published(eyes, place.workload.transitions)
    point.settings = {"workers": count, "connectors": place.fleet.connectors, "shards": place.fleet.shards}
    if checked:
        await check(place, point)
    return point


async def until_published(eyes: Eyes, total: int, limit_s: float = 20) -> None:
    """Waits until the relays are through."""
    async with asyncio.timeout(limit_s):
        while await eyes.published() < total:
            await asyncio.sleep(0.05)
