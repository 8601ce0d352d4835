"""The whole check: waits where that is wanted, reads the database, then the topics."""

import asyncio
import time
from datetime import timedelta

import asyncpg
from aiokafka.errors import KafkaError

from tests.checker.database import read_database
from tests.checker.inputs import check_inputs
from tests.checker.published import check_published
from tests.checker.report import Report
from tests.checker.topics import INPUTS, TopicMissing, Topics, opened

LATENESS = timedelta(seconds=60)
_TICK_S = 0.2


class Unreachable(Exception):
    """The database or Kafka doesn't answer, or isn't what it should be."""


async def check(
    dsn: str,
    bootstrap: str,
    prefix: str = "",
    *,
    wait_s: float = 0,
    lateness: timedelta = LATENESS,
    truncated: bool = False,
) -> Report:
    """Checks I1 to I11 of the deployment whose topics begin with `prefix`, which should be quiet.

    `wait_s`: how long it may take until everything is consumed and published; longer is a violation. `truncated`: old
    parts of the log were dropped, so it may begin late. Raises `Unreachable`.
    """
    report = Report()
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            async with opened(bootstrap, prefix) as topics:
                await _wait(connection, topics, report, wait_s)
                ledger = await read_database(connection, report, lateness, truncated=truncated)
                await check_inputs(topics, ledger, report, must_be_consumed=wait_s > 0)
                await check_published(topics, ledger, report)
        finally:
            await connection.close(timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    except TopicMissing as missing:
        raise Unreachable(f"Kafka has no topic {missing}") from missing
    return report


async def _wait(connection: asyncpg.Connection, topics: Topics, report: Report, seconds: float) -> None:
    """Until all is consumed and published. I4: what the log holds is published in time; inputs are counted later."""
    if not seconds:
        return
    until = time.monotonic() + seconds
    while True:
        behind = await connection.fetch(
            "select shard, next_seq - 1 as logged, published_seq from shard where published_seq < next_seq - 1"
        )
        if not behind and await _consumed(connection, topics):
            return
        if time.monotonic() > until:
            break
        await asyncio.sleep(_TICK_S)
    for row in behind:
        expected = f"the log published up to {row['logged']} within {seconds:g} s"
        report.violated("I4", f"shard {row['shard']}", expected, row["published_seq"])


async def _consumed(connection: asyncpg.Connection, topics: Topics) -> bool:
    rows = await connection.fetch("select topic, partition, next_offset from input_partition")
    offsets = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    for topic in INPUTS:
        for part in await topics.parts(topic):
            if offsets.get((part.topic, part.partition), 0) < part.end:
                return False
    return True
