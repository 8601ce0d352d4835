"""What a migration may not do to tables that are in use: a small linter, by the words of its statements.

Every table of an earlier migration may have a million rows. What rewrites or scans one under a lock is found here, and
what old code couldn't run on is found where it comes before the roll-out.
"""

import re
from collections.abc import Iterator, Sequence

from service.store.migration import Migration, Phase, statements

_I = re.IGNORECASE
_MADE = re.compile(r"create (?:unlogged )?table (?:if not exists )?(\w+)", _I)
_MADE_COLUMN = r"alter table (?:only )?{table}\b[^;]*?\badd column (?:if not exists )?{column}\b"
_ALTERED = re.compile(r"alter table (?:if exists )?(?:only )?(\w+)\s", _I)
_INDEX = re.compile(r"create (?:unique )?index (concurrently )?(?:if not exists )?([\w{}]+) on (only )?([\w{}]+)", _I)
_CHANGED = re.compile(r"^(?:with .*? )?(?:update (?:only )?|delete from |insert into )(\w+)", _I | re.DOTALL)
_ADDED = re.compile(r"add column (?:if not exists )?(\w+) ((?:[^,()']|'[^']*'|\([^()]*(?:\([^()]*\)[^()]*)*\))*)", _I)
_PLAIN = re.compile(r"(?:'[^']*'(?:::[\w\[\]]+)?|-?\d+(?:\.\d+)?|(?:true|false|null|current_timestamp)\b|now\(\))", _I)
_LOCKS = re.compile(r"^(lock|truncate|cluster|vacuum full|reindex (?!.*concurrently)|refresh materialized)", _I)
_CONTRACTS = re.compile(r"\b(drop column|drop table|drop type|rename (?:to|column)|set not null)\b", _I)


def faults(migration: Migration, before: Sequence[Migration]) -> Iterator[str]:
    """What is wrong with a migration, after those `before` it; nothing where it is gentle."""
    there = {table.lower() for earlier in before for table in _MADE.findall(earlier.sql)}
    parts = [re.sub(r"\s+", " ", statement) for statement in statements(migration.sql)]
    for place, part in enumerate(parts):
        for fault in (
            *_of_an_index(part, there, parts[:place], migration),
            *_of_a_table(part, there, [*before, migration], migration),
            *_of_rows(part, there),
        ):
            yield f"{migration.name}: {fault}: {part[:90]}"


def _of_an_index(part: str, there: set[str], former: Sequence[str], migration: Migration) -> Iterator[str]:
    found = _INDEX.match(part)
    if found is None:
        return
    concurrently, name, only, table = found.groups()
    if concurrently and not migration.is_outside:
        yield "concurrently, in a transaction (its first line must be `-- outside a transaction`)"
    if concurrently and f"drop index concurrently if exists {name}" not in [one.lower() for one in former]:
        yield f"without `drop index concurrently if exists {name}` before it: what an interrupted one left is invalid"
    if not concurrently and not only and table.lower() in there:
        yield f"an index of {table} that isn't built concurrently holds its writers up"


def _of_a_table(part: str, there: set[str], known: Sequence[Migration], migration: Migration) -> Iterator[str]:
    found = _ALTERED.match(part)
    if migration.phase is Phase.PRE and (gone := _CONTRACTS.search(part)) and _is_of(part, there):
        yield f"`{gone[1].lower()}` is for after the roll-out: old code still runs"
    if found is None or found[1].lower() not in there:
        return
    if re.search(r"alter (?:column )?\w+ (?:set data )?type ", part, _I):
        yield "another type rewrites the table: a new column, filled bit by bit, doesn't"
    for column, rest in _ADDED.findall(part):
        default = re.search(r"default (.*)", rest, _I)
        if default and not _PLAIN.match(default[1].strip()):
            yield f"a default of {column} that isn't constant rewrites the table"
        if re.search(r"generated .* (?:stored|as identity)", rest, _I):
            yield f"a generated column {column} rewrites the table"
        if re.search(r"\b(?:unique|primary key)\b", rest, _I):
            yield f"an index of {column} is built under the lock"
        if re.search(r"\bnot null\b", rest, _I) and not default:
            yield f"old code doesn't fill {column}, which may not be null"
    if re.search(r"add (?:constraint \w+ )?(?:check|foreign key)", part, _I) and not re.search("not valid", part, _I):
        yield "a constraint is added `not valid`, and validated by a statement of its own"
    if re.search(r"add (?:constraint \w+ )?(?:unique|primary key) \(", part, _I):
        yield "it builds an index under the lock: build it concurrently, then add it `using index`"
    for column in re.findall(r"(\w+) set not null", part, _I):
        validated = rf"check \( ?{column} is not null ?\)"
        if not any(re.search(validated, re.sub(r"\s+", " ", m.sql), _I) for m in known):
            yield f"it scans the table: validate `check ({column} is not null)` first"


def _is_of(part: str, there: set[str]) -> bool:
    names = {word.lower() for word in re.findall(r"(?:table|type) (?:if exists )?(?:only )?(\w+)", part, _I)}
    return bool(names & there) or part.lower().startswith(("drop type", "alter type"))


def _of_rows(part: str, there: set[str]) -> Iterator[str]:
    if _LOCKS.match(part):
        yield "it locks all of a table"
    found = _CHANGED.match(part)
    if found is not None and found[1].lower() in there and not part.lower().startswith("insert into"):
        yield f"rows of {found[1]} stay locked until all are done: a `do` block that commits every thousand doesn't"
    if part.lower().startswith("do ") and re.search(r"\b(update|delete from)\b", part, _I) and "commit" not in part:
        yield "its rows stay locked until all are done: commit every thousand"
