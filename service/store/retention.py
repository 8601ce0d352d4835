"""Retention: the log, the notes and the audit are kept by month, and a month that is old enough is dropped whole.

No row is deleted one by one. A month goes only when its newest entry is older than is kept, and all of it is published;
what connectors are now stays in their own rows. Detached first, concurrently: no writer waits for it.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from service.store.migration import LOCK_TIMEOUT
from service.store.pool import Connection

LOG = ("transition", "note")
AUDIT = ("audit",)
PARTITIONED = (*LOG, *AUDIT)
_MONTHS_AHEAD = 2
_LOCK = 0x7265_7465_6E74  # "retent"

# The months of a table, whether detached in part by one who was killed, or not.
MONTHS = """
select c.relname as name, i.inhdetachpending as half
from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::text::regclass order by c.relname
"""

# Months that we detached and haven't dropped yet: by their mark, since an operator may detach a month to keep it.
MARK = "regrant drops this month"
DETACHED = f"""
select c.relname as name from pg_class c
where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace and c.relname like $1 || '\\_%'
  and obj_description(c.oid, 'pg_class') = '{MARK}' and not exists (select from pg_inherits i where i.inhrelid = c.oid)
order by c.relname
"""  # noqa: S608 - built from this module's own constants

# Whether a month of the log holds what its shard's relay has not published yet.
UNPUBLISHED = "select exists (select from {name} t join shard s on s.shard = t.shard where t.seq > s.published_seq)"


async def ensure_partitions(connection: Connection) -> None:
    """Makes the monthly partitions that are missing. Raises `LockNotAvailableError` while the table is held."""
    for statement in await partition_statements(connection):
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")  # writers would wait behind us
            await connection.execute(statement)


async def partition_statements(connection: Connection) -> list[str]:
    """What makes the missing partitions of last month, this one and the next ones.

    By the database's clock, which also says into which month a row goes.
    """
    now: datetime = await connection.fetchval("select now()")
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    made = []
    for ahead in range(-1, _MONTHS_AHEAD + 1):
        start, end = _month(first, ahead), _month(first, ahead + 1)
        for table in PARTITIONED:
            name = f"{table}_{start:%Y_%m}"
            if await connection.fetchval("select to_regclass($1)", name) is None:
                made.append(
                    f"create table if not exists {name} partition of {table} for values from ('{start}') to ('{end}')"
                )
    return made


async def months_of(connection: Connection, table: str) -> list[str]:
    """The names of a table's months, in order; none where there is no such table."""
    if await connection.fetchval("select to_regclass($1)", table) is None:
        return []
    return [row["name"] for row in await connection.fetch(MONTHS, table)]


async def drop_partitions(connection: Connection, tables: Sequence[str], keep: timedelta) -> list[str]:
    """Drops the tables' months that ended longer ago than `keep`, and returns their names.

    None while another process does so.
    """
    if not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
        return []
    try:
        before = await connection.fetchval("select now()") - keep
        dropped: list[str] = []
        for table in tables:
            dropped += await _drop(connection, table, before)
        return dropped
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def _drop(connection: Connection, table: str, before: datetime) -> Sequence[str]:
    for month in await connection.fetch(MONTHS, table):
        name = month["name"]
        if month["half"]:
            await connection.execute(f"alter table {table} detach partition {name} finalize")
        elif _end(name) <= before and not (table == "transition" and await _is_unpublished(connection, name)):
            await connection.execute(f"comment on table {name} is '{MARK}'")
            # Outside a transaction: it waits for those that use the month, and nobody waits for it.
            await connection.execute(f"alter table {table} detach partition {name} concurrently")
    dropped = []
    for month in await connection.fetch(DETACHED, table):
        await connection.execute(f"drop table {month['name']}")
        dropped.append(month["name"])
    return dropped


async def _is_unpublished(connection: Connection, name: str) -> bool:
    return bool(await connection.fetchval(UNPUBLISHED.format(name=name)))


def begin_of(name: str) -> datetime:
    """When the month of a partition began. The name is one that `ensure_partitions` gave."""
    match = re.fullmatch(r"[a-z]+_(\d{4})_(\d{2})", name)
    assert match is not None, f"{name} is no month of ours"
    return datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)


def _end(name: str) -> datetime:
    return _month(begin_of(name), 1)


def _month(first: datetime, ahead: int) -> datetime:
    """The first of the month that many months after `first`."""
    months = first.year * 12 + first.month - 1 + ahead
    return first.replace(year=months // 12, month=months % 12 + 1)


PASSES: tuple[type[BaseException], ...] = (asyncpg.LockNotAvailableError, asyncpg.ObjectInUseError)
"""Somebody else detaches, or uses the month for long: the next time will do."""
