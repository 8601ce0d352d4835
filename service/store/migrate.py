"""Migrations: numbered SQL files, each applied once, in order, under an advisory lock.

A file's name says when it runs in a roll-out: `NNNN_pre_*` before the new code starts (the old code runs on what it
leaves), `NNNN_post_*` after the old code has gone.
"""

from dataclasses import dataclass
from importlib.resources import files

from service.store.pool import Connection
from service.store.retention import ensure_partitions
from service.store.shards import add, count

_LOCK = 0x7265_6772_616E_74  # "regrant"

_LEDGER = """
create table if not exists migration (
    number int primary key, name text not null, applied_at timestamptz not null default now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All migrations that this version brings, in order."""
    found = [f for f in (files("service.store") / "migrations").iterdir() if f.name.endswith(".sql")]
    return sorted(
        (Migration(int(f.name[:4]), f.name.removesuffix(".sql"), f.read_text()) for f in found),
        key=lambda m: m.number,
    )


async def migrate(connection: Connection, *, shards: int) -> list[str]:
    """Brings the schema to this version, and returns the names of what was applied.

    Safe to run from many processes at once. `shards` is kept from the first time on: another number later is refused.
    """
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(_LEDGER)
        done = {row["number"] for row in await connection.fetch("select number from migration")}
        applied = []
        for migration in migrations():
            if migration.number not in done:
                await _apply(connection, migration)
                applied.append(migration.name)
        await _ensure_shards(connection, shards)
        await ensure_partitions(connection)
        return applied
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def pending(connection: Connection) -> list[str]:
    """The names of the migrations that still have to be applied."""
    if await connection.fetchval("select to_regclass('migration')") is None:
        return [m.name for m in migrations()]
    done = {row["number"] for row in await connection.fetch("select number from migration")}
    return [m.name for m in migrations() if m.number not in done]


async def _apply(connection: Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "insert into migration (number, name) values ($1, $2)", migration.number, migration.name
        )


async def _ensure_shards(connection: Connection, shards: int) -> None:
    existing = await count(connection)
    if existing == 0:
        await add(connection, shards)
    elif existing != shards:
        raise ShardsDiffer(existing, shards)


class ShardsDiffer(Exception):
    """The database has another number of shards than the settings say; changing it is a command that drains first."""

    def __init__(self, existing: int, wanted: int) -> None:
        super().__init__(
            f"the database has {existing} shards, the settings say {wanted}: set REGRANT_SHARDS={existing}"
        )
