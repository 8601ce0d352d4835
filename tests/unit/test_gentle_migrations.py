"""Migrations after the first release are gentle: the linter finds what would hold writers up or break old code."""

import pytest

from service.store.migrate import FIRST_RELEASE
from service.store.migration import OUTSIDE, Migration, Phase, block_of, migrations, statements
from tests.gentle import faults

BEFORE = [Migration(1, "0001_pre_first", "create table connector (id bigint); create table job (kind text);")]


def made(sql: str, phase: str = "pre") -> Migration:
    return Migration(14, f"0014_{phase}_made", sql)


def test_every_migration_after_the_first_release_is_gentle() -> None:
    every = list(migrations())
    found = [fault for place, m in enumerate(every) if m.number > FIRST_RELEASE for fault in faults(m, every[:place])]
    assert found == []


def test_migrations_have_a_phase_and_numbers_that_nobody_else_has() -> None:
    numbers = [migration.number for migration in migrations()]
    assert numbers == sorted(set(numbers))
    assert {migration.phase for migration in migrations()} <= set(Phase)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("create index i on connector (id)", "isn't built concurrently"),
        ("create index concurrently i on connector (id)", "in a transaction"),
        (f"{OUTSIDE}\ncreate index concurrently i on connector (id)", "is invalid"),
        ("alter table connector alter column id set not null", "scans the table"),
        ("alter table connector add column k uuid not null default gen_random_uuid()", "rewrites the table"),
        ("alter table connector add column a int, add column k text default md5('x')", "rewrites the table"),
        ("alter table connector add column k int generated always as (1) stored", "rewrites the table"),
        ("alter table connector add column k bigint generated always as identity", "rewrites the table"),
        ("alter table connector add column k text not null", "old code doesn't fill k"),
        ("alter table connector add column k text unique", "under the lock"),
        ("alter table connector alter column id type text", "rewrites the table"),
        ("alter table job add constraint c check (kind in ('a'))", "not valid"),
        ("alter table connector add constraint c unique (id)", "using index"),
        ("alter table connector drop column id", "after the roll-out"),
        ("drop table job", "after the roll-out"),
        ("alter table job rename to work", "after the roll-out"),
        ("update connector set id = id", "stay locked"),
        ("delete from connector", "stay locked"),
        ("do $$ begin update connector set id = 1; end $$", "commit every thousand"),
        ("lock table connector", "locks all"),
    ],
)
def test_what_holds_writers_up_or_breaks_old_code_is_found(sql: str, said: str) -> None:
    assert said in "\n".join(faults(made(sql), BEFORE))


@pytest.mark.parametrize(
    ("sql", "phase"),
    [
        (
            "create table newest (id int unique); create index i on newest (id); insert into newest select 1",
            "pre",
        ),
        ("alter table connector add column k text not null default '', add column n int default 0", "pre"),
        ("alter table connector add column at timestamptz not null default now()", "pre"),
        (
            "alter table job drop constraint c; alter table job add constraint c check (kind = 'a') not valid",
            "pre",
        ),
        (f"{OUTSIDE}\ndrop index concurrently if exists i; create index concurrently i on connector (id)", "pre"),
        (f"{OUTSIDE}\nalter table job validate constraint c", "pre"),
        ("alter table connector drop column id", "post"),
        (
            f"{OUTSIDE}\ndo $$ begin loop update connector set id = 1; commit; end loop; end $$",
            "pre",
        ),
        ("alter type connector_trigger add value 'new'", "pre"),
    ],
)
def test_what_is_gentle_is_left_alone(sql: str, phase: str) -> None:
    assert list(faults(made(sql, phase), BEFORE)) == []


def test_not_null_follows_a_check_that_was_validated() -> None:
    checked = Migration(
        13, "0013_pre_checked", "alter table connector add constraint c check (id is not null) not valid"
    )
    sql = f"{OUTSIDE}\nalter table connector validate constraint c; alter table connector alter column id set not null"
    assert list(faults(made(sql, "post"), [*BEFORE, checked])) == []


# Files as statements.


def test_a_script_is_cut_at_its_statements_and_nowhere_else() -> None:
    sql = "-- a; comment\nselect 'a;b', \"c;d\" /* e;f */;\ndo $x$ begin; end $x$;\n-- last\nselect $$;$$"
    assert statements(sql) == ["select 'a;b', \"c;d\"", "do $x$ begin; end $x$", "select $$;$$"]


def test_outside_a_transaction_each_statement_stands_alone_and_months_are_named_one_by_one() -> None:
    sql = f"{OUTSIDE}\ncreate index concurrently {{transition}}_i on {{transition}} (id); select 1;"
    block = block_of(made(sql), {"transition": ["transition_2026_11", "transition_2026_12"]})
    assert not block.is_transaction
    assert block.statements == (
        "set lock_timeout = '0'",
        "create index concurrently transition_2026_11_i on transition_2026_11 (id)",
        "set lock_timeout = '0'",
        "create index concurrently transition_2026_12_i on transition_2026_12 (id)",
        "set lock_timeout = '300ms'",
        "select 1",
        "insert into migration (number, name) values (14, '0014_pre_made')",
    )
