"""The place of one run: a fresh copy of a fleet, fresh topics, and inputs that wait in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.fleet import Fleet, Fleets
from benchmarks.servers import Servers, execute
from benchmarks.workload import Mix, Workload, preload
from schemas import channels
from service.kafka.topics import TOPICS, ensure_topics

_RUNS = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run takes place, and what is to be done there."""

    servers: Servers
    dsn: str
    prefix: str
    fleet: Fleet
    workload: Workload

    @property
    def inputs_topic(self) -> str:
        return self.prefix + channels.SYNC_EVENTS.topic

    @property
    def transitions_topic(self) -> str:
        return self.prefix + channels.TRANSITIONS.topic

    @property
    def states_topic(self) -> str:
        return self.prefix + channels.STATES.topic


@asynccontextmanager
async def place(
    fleets: Fleets,
    *,
    inputs: int,
    connectors: int,
    shards: int = 4,
    mix: Mix = "transitions",
    hot: bool = False,
    after_checkpoint: bool = False,
) -> AsyncIterator[Place]:
    """Makes one, with `inputs` records waiting, and takes it away afterwards.

    `after_checkpoint`: each page's first change is then logged whole, which hurts designs that write one row at a time.
    """
    global _RUNS
    _RUNS += 1
    servers, prefix = fleets.servers, f"bench{_RUNS}."
    fleet = await fleets.of(connectors, shards)
    async with fleets.copy(fleet) as dsn, _topics(servers.bootstrap, prefix, shards):
        workload = Workload(fleet, mix, hot)
        here = Place(servers, dsn, prefix, fleet, workload)
        await preload(servers.bootstrap, here.inputs_topic, workload.records(inputs))
        touched = "select count(*), max(revision) from connector"
        await execute(dsn, touched, *(["checkpoint"] if after_checkpoint else []))
        yield here


@asynccontextmanager
async def _topics(bootstrap: str, prefix: str, partitions: int) -> AsyncIterator[None]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=30_000)
    await admin.start()
    try:
        findings = await ensure_topics(admin, partitions, 1, True, prefix)
        assert not [finding for finding in findings if finding.is_fault], findings
        yield
        await admin.delete_topics([prefix + topic.name for topic in TOPICS], timeout_ms=10_000)
    finally:
        await admin.close()
