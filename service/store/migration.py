"""The migrations as files, and what each one runs: as blocks, which are executed and printed alike.

A file's name says when it runs in a roll-out. `NNNN_pre_*`: before the new code starts, while the old code runs on.
`NNNN_post_*`: once the last old process is gone. A file is one transaction, unless its first line is `OUTSIDE`: then
each of its statements is its own, and the file may be run again from its beginning. There `{transition}` in a statement
stands for each month of that table, one statement a month.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

OUTSIDE = "-- outside a transaction"

LOCK_TIMEOUT = "300ms"
"""How long a statement may wait for its lock: whoever comes meanwhile waits behind it."""

LEDGER = """
create table if not exists migration (
    number int primary key, name text not null, applied_at timestamptz not null default now()
)
""".strip()

_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$|;", re.DOTALL)
_EACH_MONTH = re.compile(r"\{(\w+)\}")


class Phase(StrEnum):
    """When a migration runs in a roll-out."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`."""

    number: int
    name: str
    sql: str

    @property
    def phase(self) -> Phase:
        return Phase(self.name.split("_")[1])

    @property
    def is_outside(self) -> bool:
        """Whether it runs outside a transaction, as what is done `concurrently` must."""
        return self.sql.startswith(OUTSIDE)


@dataclass(frozen=True, slots=True)
class Block:
    """Statements that are run together, in one transaction or, where that can't be, one by one."""

    title: str
    statements: tuple[str, ...]
    is_transaction: bool = True

    def printed(self) -> str:
        """As a script for psql."""
        lines = [statement.strip().removesuffix(";") + ";" for statement in self.statements]
        if self.is_transaction:
            lines = ["begin;", *lines, "commit;"]
        return "\n".join([f"-- {self.title}", *lines])


@cache
def migrations() -> Sequence[Migration]:
    """All migrations that this version brings, in order."""
    found = [f for f in (files("service.store") / "migrations").iterdir() if f.name.endswith(".sql")]
    return sorted(
        (Migration(int(f.name[:4]), f.name.removesuffix(".sql"), f.read_text()) for f in found),
        key=lambda m: m.number,
    )


def newest() -> int:
    """The number of the newest migration that this version knows."""
    return migrations()[-1].number


def block_of(migration: Migration, months: Mapping[str, Sequence[str]]) -> Block:
    """What a migration runs, its row in the ledger included. `months` are the partitions that each table has."""
    noted = f"insert into migration (number, name) values ({migration.number}, '{migration.name}')"  # noqa: S608 - ours
    if not migration.is_outside:
        return Block(migration.name, (f"set local lock_timeout = '{LOCK_TIMEOUT}'", migration.sql, noted))
    lines: list[str] = []
    for statement in statements(migration.sql):
        # Waiting for others' transactions is what `concurrently` is about, and nobody waits behind it.
        patience = "0" if re.search(r"\bconcurrently\b", statement, re.IGNORECASE) else LOCK_TIMEOUT
        for one in _for_each_month(statement, months):
            lines += [f"set lock_timeout = '{patience}'", one]
    return Block(migration.name, (*lines, noted), is_transaction=False)


def _for_each_month(statement: str, months: Mapping[str, Sequence[str]]) -> Iterator[str]:
    named = _EACH_MONTH.search(statement)
    if named is None or named[1] not in months:
        yield statement
        return
    for month in months[named[1]]:
        yield statement.replace(named[0], month)


def statements(sql: str) -> list[str]:
    """The statements of a script, without comments between them. Strings and dollar quotes may hold semicolons."""
    found, begin = [], 0
    for token in _TOKEN.finditer(sql):
        if token[0] == ";":
            found.append(sql[begin : token.start()])
            begin = token.end()
    return [bare for part in [*found, sql[begin:]] if (bare := without_comments(part).strip())]


def without_comments(sql: str) -> str:
    """The same without what nobody executes."""
    return _TOKEN.sub(lambda token: "" if token[0].startswith(("--", "/*")) else token[0], sql)
