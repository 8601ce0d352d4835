"""Reads the database into the ledger, and checks what the database alone can tell: I1, I2, I3, I6, I7, I8, I9.

One moment of it: a read-only snapshot. The log is streamed through a cursor, connector by connector.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg

from tests.checker.ledger import BY_NOTE, Connector, Ledger, Letter, Shard, cause_of, content_of
from tests.checker.lifecycle import ATTEMPTING, HEALTHY, SYNCING, TIMED
from tests.checker.log import Reader
from tests.checker.report import Report

Connection = asyncpg.Connection
_PREFETCH = 2000
_HOLES_CAP = 50

CONNECTORS = """
select id, connector_id, shard, state::text, version, generation, account_id, attempt_id, deadline, last_run, swapped,
    state::text = any($1::text[]) and (deadline is null or deadline < now() - $2::interval) as late
from connector
"""

# Relies on the index (connector, version) of each partition: sorting a million records would fill the disk.
LOG = """
select shard, seq, at, connector, version, from_state::text, to_state::text, trigger::text, record::text,
    sync_request::text, trace->>'causationid' as cause
from transition order by connector, version
"""

HOLES = """
select shard, seq, before from (
    select shard, seq, lag(seq) over (partition by shard order by seq) as before
    from (select shard, seq from transition union all select shard, seq from dead_letter) entry
) numbered
where seq <> before + 1 or (before is null and seq <> 1)
order by shard, seq limit $1
"""
LAST = """
select shard, max(seq) as seq
from (select shard, seq from transition union all select shard, seq from dead_letter) entry group by shard
"""

NOTES = "select connector, cause from note where cause is not null"

LETTERS = """
select shard, seq, at, topic, partition, record_offset, record_key, record_value, header_names, header_values, code
from dead_letter
"""

LIVE_ATTEMPTS = "select connector, attempt_id from attempt where ended_at is null"

CREDENTIALS = """
select connector, coalesce(array_agg(generation) filter (where status = 'current'), '{}') as current
from credential group by connector
"""


async def read_database(
    connection: Connection, report: Report, lateness: timedelta, *, truncated: bool = False
) -> Ledger:
    """Everything that the database says. `truncated`: old parts of the log were dropped, so it may begin late."""
    ledger = Ledger()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("set local enable_sort = off")
        for row in await connection.fetch("select shard, published_seq, next_seq from shard"):
            ledger.shards[row["shard"]] = Shard(row["published_seq"], row["next_seq"])
        for row in await connection.fetch("select topic, partition, next_offset from input_partition"):
            ledger.offsets[row["topic"], row["partition"]] = row["next_offset"]
        await _connectors(connection, ledger, report, lateness)
        await _log(connection, ledger, report, truncated)
        await _numbers(connection, ledger, report, truncated)
        await _notes(connection, ledger, report)
        await _letters(connection, ledger, report)
        await _attempts(connection, ledger, report)
        await _credentials(connection, ledger, report)
    return ledger


async def _rows(connection: Connection, query: str, *arguments: object) -> AsyncIterator[asyncpg.Record]:
    async for row in connection.cursor(query, *arguments, prefetch=_PREFETCH):
        yield row


async def _connectors(connection: Connection, ledger: Ledger, report: Report, lateness: timedelta) -> None:
    async for row in _rows(connection, CONNECTORS, list(TIMED), lateness):
        one = Connector(
            pk=row["id"],
            id=row["connector_id"],
            shard=row["shard"],
            state=row["state"],
            version=row["version"],
            generation=row["generation"],
            account=row["account_id"],
            attempt=row["attempt_id"],
            last_run=row["last_run"],
            swapped=row["swapped"],
        )
        ledger.by_pk[one.pk] = ledger.by_id[one.id] = one
        if row["late"]:
            where = f"{one.id} in {one.state}"
            report.violated("I9", where, f"no deadline older than {lateness}", row["deadline"] or "none at all")
    report.counts["connectors"] = len(ledger.by_pk)


async def _log(connection: Connection, ledger: Ledger, report: Report, truncated: bool) -> None:
    reader = Reader(ledger, report, truncated)
    async for row in _rows(connection, LOG):
        reader.take(row)
    reader.end()


async def _numbers(connection: Connection, ledger: Ledger, report: Report, truncated: bool) -> None:
    """I3: the log's numbers are allotted inside the transaction that writes them, so none is missing or twice there."""
    for row in await connection.fetch(HOLES, _HOLES_CAP):
        if truncated and row["seq"] != row["before"]:
            continue  # dead letters outlive the log's dropped parts
        expected = (row["before"] or 0) + 1
        report.violated("I3", f"shard {row['shard']}", f"seq {expected} next in the log", row["seq"])
    last = {row["shard"]: row["seq"] for row in await connection.fetch(LAST)}
    for number, shard in ledger.shards.items():
        if last.get(number, 0) != shard.next_seq - 1 and not (truncated and number not in last):
            report.violated("I3", f"shard {number}", f"next_seq {last.get(number, 0) + 1}", shard.next_seq)


async def _notes(connection: Connection, ledger: Ledger, report: Report) -> None:
    async for row in _rows(connection, NOTES):
        connector = ledger.by_pk.get(row["connector"])
        if connector is not None:
            cause = cause_of(connector.id, row["cause"])
            ledger.causes[cause] = ledger.causes.get(cause, 0) | BY_NOTE
        report.counts["notes"] += 1


async def _letters(connection: Connection, ledger: Ledger, report: Report) -> None:
    async for row in _rows(connection, LETTERS):
        headers = [(n.decode(), v) for n, v in zip(row["header_names"], row["header_values"], strict=True)]
        content = content_of(row["record_key"], row["record_value"], headers)
        place = (row["topic"], row["partition"], row["record_offset"])
        ledger.letters[place] = Letter(row["shard"], row["seq"], row["at"], row["code"], content)
    report.counts["dead letters"] = len(ledger.letters)


async def _attempts(connection: Connection, ledger: Ledger, report: Report) -> None:
    """I7: an attempt is live exactly where its connector says so."""
    live: dict[int, list[object]] = {}
    for row in await connection.fetch(LIVE_ATTEMPTS):
        live.setdefault(row["connector"], []).append(row["attempt_id"])
    for connector in ledger.by_pk.values():
        attempts = live.pop(connector.pk, [])
        expected = [connector.attempt] if connector.state in ATTEMPTING else []
        if attempts != expected or (connector.attempt is not None and not expected):
            where = f"{connector.id} in {connector.state}"
            named = f"live attempts {_told(expected)}, named by the connector"
            report.violated("I7", where, named, f"{_told(attempts)}, the connector names {connector.attempt}")
    for pk, attempts in live.items():
        report.violated("I7", f"connector row {pk}", "no attempt without a connector", _told(attempts))


def _told(attempts: list[object]) -> str:
    return ", ".join(map(str, attempts)) or "none"


async def _credentials(connection: Connection, ledger: Ledger, report: Report) -> None:
    """I8: the current credential is the one whose generation the connector names."""
    async for row in _rows(connection, CREDENTIALS):
        connector = ledger.by_pk.get(row["connector"])
        if connector is None:
            continue  # a candidate of a connector whose row nobody could delete: told by I2
        needed = connector.state in (HEALTHY, SYNCING) and connector.generation > 0
        current = list(row["current"])
        if current not in ([connector.generation], []) or (needed and not current):
            expected = f"one current credential, of generation {connector.generation}"
            report.violated("I8", connector.id, expected, f"generations {current}")
