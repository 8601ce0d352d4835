"""The marker hunt (S25): every secret that a test run mints has a marker, and nothing that is kept or said holds it.

A plugin of pytest. It goes through what each test printed and logged, the logs of child processes, the databases before
they are dropped, and the topics before their broker ends; one hit fails the run. What it went through is said at the
end, so that a hunt that looked at nothing is seen.
"""

import asyncio
import base64
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from service.demo.embedded.child import Supervisor
from service.demo.simulator.world import Client
from tests.planted.marking import MARKER, plant

PLANTED = Path(__file__).with_name("planted")
DECOY = "decoy."
"""Topics that begin so hold a marker on purpose, for the hunt's own tests."""


def _forms(secret: str) -> Iterator[bytes]:
    """How a secret may look: as it is, in hexadecimal, and inside base64, at each of its three alignments."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    for before in range(3):
        # The first and last characters of base64 hold bits of what stands beside it.
        yield base64.b64encode(b"\0" * before + raw)[(0, 2, 3)[before] : -4]


FORMS = (*_forms(MARKER), *_forms(Client().client_secret))


def leaks(data: bytes) -> bool:
    """Whether a secret of this run is in it."""
    return any(form in data for form in FORMS)


def around(data: bytes) -> str:
    """What stands around the first hit, with the secret left out."""
    at = min(place for form in FORMS if (place := data.find(form)) >= 0)
    return re.sub(r"[\x00-\x1f]+", " ", data[max(0, at - 80) : at].decode(errors="replace")) + "…"


class Hunt:
    """What was found, and how much was gone through."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.looked: Counter[str] = Counter()

    def look(self, kind: str, where: str, data: bytes) -> None:
        """Looks into one thing."""
        self.looked[kind] += 1
        if leaks(data):
            self.hits.append(f"{kind} {where}: {around(data)}")

    # pytest's hooks.

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a test printed and logged. A failed one shows its variables, and fails the run anyway."""
        is_told_again = hasattr(report, "node")  # by a worker, which has looked into it
        if report.outcome == "passed" and not is_told_again:
            said = "\n".join(text for name, text in report.sections if name.startswith("Captured"))
            self.look("outputs", f"{report.nodeid} ({report.when})", said.encode(errors="replace"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # Any: pytest-xdist has no types
        """What a worker of pytest-xdist has found. One that crashed fails the run anyway."""
        hits, looked = getattr(node, "workeroutput", {}).get("marker hunt", ((), {}))
        self.hits += hits
        self.looked.update(looked)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if (worker := getattr(session.config, "workeroutput", None)) is not None:
            worker["marker hunt"] = self.hits, dict(self.looked)
        if self.hits:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        looked = ", ".join(f"{number} {kind}" for kind, number in sorted(self.looked.items())) or "nothing"
        terminalreporter.write_line(f"marker hunt: went through {looked}; {len(self.hits)} leaks")
        for hit in self.hits[:50]:
            terminalreporter.write_line(f"LEAK {hit}", red=True)


HUNT = pytest.StashKey[Hunt]()
_running: Hunt | None = None
"""The run's own hunt, for what is used without pytest, too."""


def pytest_configure(config: pytest.Config) -> None:
    """Plants the marker here and in every child, and begins the hunt."""
    plant()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PLANTED), os.environ.get("PYTHONPATH")]))
    global _running
    hunt = config.stash[HUNT] = _running = Hunt()
    config.pluginmanager.register(hunt, "marker-hunt")
    _look_into_logs_of_children(hunt)


def _look_into_logs_of_children(hunt: Hunt) -> None:
    """Child processes are a supervisor's, and their logs go with its folder: they are read just before."""
    close: Callable[[Supervisor], None] = Supervisor.close

    def read_then_close(supervisor: Supervisor) -> None:
        for log in sorted(supervisor.folder.rglob("*.log")):
            if log.stem.isdigit():  # a broker's own file of a topic: read as records, while it still ran
                continue
            hunt.look("logs", log.name, log.read_bytes())
        close(supervisor)

    Supervisor.close = read_then_close  # type: ignore[method-assign]  # the one place where all logs end


# Databases.

NOT_SECRET = {("attempt", "nonce")}
"""Columns that hold what is minted like a secret and isn't one: OpenID Connect's nonce goes through the browser's
address bar, and protects only together with the state."""


async def look_into(dsn: str) -> None:
    """Looks into a database that is about to go, where a hunt is on."""
    if _running is not None:
        await look_into_database(_running, dsn)


async def look_into_database(hunt: Hunt, dsn: str) -> None:
    """Every table as a dump would have it; bytes in it are hexadecimal."""
    connection = await asyncpg.connect(dsn)
    try:
        for table in await connection.fetch(_TABLES):
            columns = [c for c in table["columns"] if (table["name"], c) not in NOT_SECRET]
            rows = bytearray()

            async def keep(chunk: bytes, rows: bytearray = rows) -> None:
                rows.extend(chunk)

            await connection.copy_from_table(table["name"], columns=columns, output=keep)
            hunt.look("tables", table["name"], bytes(rows))
        hunt.looked["databases"] += 1
    finally:
        await connection.close()


_TABLES = """
select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attgenerated = ''
group by c.relname
"""


# Topics.

PATIENCE_S = 120.0
AT_ONCE = 200
"""Partitions that are read together: one after the other, the thousands of a whole run took a minute and a half."""


async def look_into_topics(hunt: Hunt, bootstrap: str, chosen: Iterable[str] | None = None) -> None:
    """Every record that is still on a topic: key, value and headers. All topics, dead letters too, unless named."""
    # From the earliest by itself: a seek after an assignment may lose to the position that the assignment asks for.
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        max_poll_records=5000,
        check_crcs=False,
        max_partition_fetch_bytes=8 * 1024 * 1024,  # the largest record that a test leaves fits: else it may not come
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            known = await consumer._client.fetch_all_metadata()
            topics = sorted(chosen or (topic for topic in known.topics() if not topic.startswith(("__", DECOY))))
            hunt.looked["topics"] += len(topics)
            partitions = [TopicPartition(topic, n) for topic in topics for n in known.partitions_for_topic(topic)]
            for first in range(0, len(partitions), AT_ONCE):
                await _look_into_partitions(hunt, consumer, partitions[first : first + AT_ONCE])
    finally:
        await consumer.stop()


async def _look_into_partitions(hunt: Hunt, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
        for partition, records in (await consumer.getmany(timeout_ms=200)).items():
            for record in records:
                parts = [record.key or b"", record.value or b"", *(value or b"" for _, value in record.headers)]
                hunt.look("records", f"{partition.topic}-{partition.partition} at {record.offset}", b"\n".join(parts))
