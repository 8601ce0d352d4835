"""The peers from outside: what each is, its processes, how far it is, and its best concurrency."""

import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.check import check
from benchmarks.measure import Point, Progress, Span, drained
from benchmarks.peers.child import Given
from benchmarks.place import Place
from benchmarks.servers import execute

_STOP_S = 10


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer. `tried` are the concurrencies (and the style) of which the best counts."""

    key: str
    """As in the ratios: `G2_<key>`; without a ratio where it is empty."""
    title: str
    module: str
    tried: tuple[int, ...]
    rate: float
    """A first guess, by which the first run's inputs are counted."""
    guarantees: Mapping[str, str]
    how: str
    style: str = ""
    tables: tuple[str, ...] = field(default=())


async def run(place: Place, peer: Peer, concurrency: int, span: Span, *, processes: int = 1) -> Point:
    """One point of a peer: events a second until its records are on the output topic."""
    await _prepare(place, peer)
    given = Given(
        dsn=place.dsn,
        bootstrap=place.servers.bootstrap,
        inputs_topic=place.inputs_topic,
        transitions_topic=place.transitions_topic,
        states_topic=place.states_topic,
        group=f"{place.prefix}peer",
        concurrency=concurrency,
        style=peer.style,
    )
    supervisor = place.servers.supervisor
    log = supervisor.folder / f"peer-{place.prefix}log"
    command = [sys.executable, "-m", f"benchmarks.peers.{peer.module}", given.written()]
    async with _published(place) as progress:
        children = [supervisor.start(command, log=log) for _ in range(processes)]
        try:
            point = await drained(place, children, progress, place.workload.transitions, span, peer.title)
        finally:
            for child in children:
                await supervisor.end(child, signal.SIGTERM, _STOP_S)
    point.settings = {"concurrency": concurrency, "processes": processes, "connectors": place.fleet.connectors}
    if peer.style:
        point.settings["style"] = peer.style
    await check(place, point)
    return point


async def _prepare(place: Place, peer: Peer) -> None:
    await execute(place.dsn, *peer.tables)
    if peer.module == "pgqueuer_handler":
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        connection = await asyncpg.connect(place.dsn)
        try:
            await Queries(AsyncpgDriver(connection)).install()
        finally:
            await connection.close()


@asynccontextmanager
async def _published(place: Place) -> AsyncIterator[Progress]:
    """Counts the records on the transitions topic, by the end of each partition: no peer's producer leaves markers."""
    consumer = AIOKafkaConsumer(bootstrap_servers=place.servers.bootstrap)
    await consumer.start()
    partitions = [TopicPartition(place.transitions_topic, number) for number in range(place.fleet.shards)]

    async def progress() -> int:
        return sum((await consumer.end_offsets(partitions)).values())

    try:
        consumer.assign(partitions)
        yield progress
    finally:
        await consumer.stop()
