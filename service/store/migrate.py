"""Migrating: each migration once, in order, under an advisory lock, without a lock that a writer would notice.

Nobody waits in the lock's queue: a statement that doesn't get its lock at once gives up, and is tried again.
"""

import asyncio
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from service.store.migration import LEDGER, LOCK_TIMEOUT, Block, Migration, Phase, block_of, migrations
from service.store.pool import APPLICATION, Connection
from service.store.retention import PARTITIONED, months_of, partition_statements
from service.store.shards import count

log = structlog.get_logger()

_LOCK = 0x7265_6772_616E_74  # "regrant"

LOOK_EVERY_S = 0.5
PATIENCE_S = 600.0
"""How long a block is tried again that gets no lock."""
FIRST_RELEASE = 13
"""The newest migration of 0.1.0, whose processes don't name theirs."""

APPLIED = "select number, applied_at from migration"

# What each process that is connected here runs on, as `open_pool` names it.
PROCESSES = """
select application_name as name, count(*) as connections from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like $1 || '%'
group by 1 order by 1
"""


class CannotMigrate(Exception):
    """The schema isn't brought to this version now; the message says what is to be done first."""


class ShardsDiffer(CannotMigrate):
    """The database has another number of shards than the settings say; changing it is a command that drains first."""

    def __init__(self, existing: int, wanted: int) -> None:
        super().__init__(
            f"the database has {existing} shards, the settings say {wanted}: set REGRANT_SHARDS={existing}"
        )


@dataclass(frozen=True, slots=True)
class Step:
    """A migration, and when it was applied here."""

    migration: Migration
    applied: datetime | None


async def migrate(
    connection: Connection, *, shards: int, post: bool = False, known: Sequence[Migration] | None = None
) -> list[str]:
    """Brings the schema to this version, and returns the names of what was applied.

    Safe to run from many processes at once. `shards` is kept from the first time on: another number later is refused.
    With `post` it does what waits for the last process of an older version to be gone. `known`: all migrations, where
    not this version's. Raises `CannotMigrate`.
    """
    await _alone(connection)
    try:
        blocks = await plan(connection, shards=shards, post=post, known=known)
        for block in blocks:
            await _run(connection, block)
        return [block.title for block in blocks if re.match(r"\d{4}_", block.title)]
    finally:
        if not connection.is_closed():  # with it the lock is gone, too
            await connection.execute("reset lock_timeout")
            await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def plan(
    connection: Connection, *, shards: int, post: bool = False, known: Sequence[Migration] | None = None
) -> list[Block]:
    """What is to be run now, in order; empty where all is done. Raises `CannotMigrate` where something comes first."""
    left = [step.migration for step in await steps(connection, known) if step.applied is None]
    is_fresh = await connection.fetchval("select to_regclass('migration')") is None
    if not is_fresh:
        left = await _for_post(connection, left) if post else _for_pre(left)
    months = {} if is_fresh else {table: await months_of(connection, table) for table in PARTITIONED}
    blocks = [Block("the ledger", (LEDGER,))] if is_fresh else []
    blocks += [block_of(migration, months) for migration in left]
    return blocks if post else blocks + await _furnish(connection, shards)


async def steps(connection: Connection, known: Sequence[Migration] | None = None) -> list[Step]:
    """All migrations of this version, with when each was applied."""
    known = migrations() if known is None else known
    if await connection.fetchval("select to_regclass('migration')") is None:
        return [Step(migration, None) for migration in known]
    applied = {row["number"]: row["applied_at"] for row in await connection.fetch(APPLIED)}
    return [Step(migration, applied.get(migration.number)) for migration in known]


async def pending(connection: Connection) -> list[str]:
    """The names of the migrations without which this version doesn't run."""
    left = [step.migration for step in await steps(connection) if step.applied is None]
    return [migration.name for migration in left if migration.phase is Phase.PRE]


def script(blocks: Sequence[Block]) -> str:
    """The blocks for psql: the same statements, in the same transactions, under the same lock."""
    lock = f"""
do $$ begin
    if not pg_try_advisory_lock({_LOCK}) then raise exception 'a migration runs already'; end if;
end $$;
"""
    head = ["\\set ON_ERROR_STOP on", f"-- one at a time{lock.rstrip()}"]
    tail = ["reset lock_timeout;", f"select pg_advisory_unlock({_LOCK});"]
    return "\n\n".join([*head, *(block.printed() for block in blocks), "\n".join(tail)])


def _for_pre(left: Sequence[Migration]) -> list[Migration]:
    """Those before the roll-out. One of an earlier version's that came after it goes first."""
    wanted = [migration for migration in left if migration.phase is Phase.PRE]
    late = [m.name for m in left if m.phase is Phase.POST and wanted and m.number < wanted[-1].number]
    if late:
        raise CannotMigrate(
            f"{', '.join(late)} of an earlier version comes first: run `regrant migrate --post`, "
            "once no process of an older version runs"
        )
    return wanted


async def _for_post(connection: Connection, left: Sequence[Migration]) -> list[Migration]:
    """Those after the roll-out, while no process of an older version is connected."""
    wanted = [migration for migration in left if migration.phase is Phase.POST]
    before = [m.name for m in left if m.phase is Phase.PRE and wanted and m.number < wanted[-1].number]
    if before:
        raise CannotMigrate(f"{', '.join(before)} comes first: run `regrant migrate`")
    if wanted and (older := await older_processes(connection, wanted[-1].number)):
        raise CannotMigrate(
            f"{older} connections of an older version are open: end its processes before `regrant migrate --post`"
        )
    return wanted


async def older_processes(connection: Connection, number: int) -> int:
    """How many connections there are of processes that don't know this migration yet."""
    rows = await connection.fetch(PROCESSES, APPLICATION)
    return sum(row["connections"] for row in rows if _schema_of(row["name"]) < number)


def _schema_of(name: str) -> int:
    match = re.fullmatch(rf"{APPLICATION} schema (\d+)", name)
    return int(match[1]) if match else FIRST_RELEASE


async def _furnish(connection: Connection, shards: int) -> list[Block]:
    """The shards, and the months that come next: what an empty schema lacks."""
    has_shards = await connection.fetchval("select to_regclass('shard')") is not None
    existing = await count(connection) if has_shards else 0
    if existing not in (0, shards):
        raise ShardsDiffer(existing, shards)
    blocks = []
    if existing == 0:
        add = f"insert into shard (shard) select generate_series(0, {shards - 1})"
        blocks.append(Block("the shards", (add,)))
    if missing := await partition_statements(connection):
        blocks.append(Block("the next months", (f"set local lock_timeout = '{LOCK_TIMEOUT}'", *missing)))
    return blocks


async def _alone(connection: Connection) -> None:
    """Takes the lock without waiting in it: what is built concurrently waits for all open statements, that one too."""
    while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - see above
        await asyncio.sleep(LOOK_EVERY_S)


async def _run(connection: Connection, block: Block) -> None:
    if block.is_transaction:
        await _until_done(connection, block.title, block.statements)
        return
    for statement in block.statements:
        await _until_done(connection, block.title, (statement,))


async def _until_done(connection: Connection, title: str, statements: Sequence[str]) -> None:
    """Runs statements as one transaction, however often it takes to get their locks."""
    pause, ends = 0.2, time.monotonic() + PATIENCE_S
    while True:
        try:
            if len(statements) == 1:
                await connection.execute(statements[0])
                return
            async with connection.transaction():
                for statement in statements:
                    await connection.execute(statement)
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if time.monotonic() > ends:
                raise CannotMigrate(f"{title} gets no lock: a long transaction holds it (pg_stat_activity)") from error
            log.info("migration_waits", migration=title, error=type(error).__name__)
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, 5)
