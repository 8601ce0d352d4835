"""What is made and committed is as its program makes it: never stale, and a stale file is red."""

from pathlib import Path

import pytest

from schemas import documents
from schemas.made import Made, run, stale, write
from service.help import catalogues
from service.oauth import description_schema
from service.settings.__main__ import files as of_the_settings
from service.telemetry.__main__ import files as of_the_telemetry
from statemachine import diagram


@pytest.mark.parametrize(
    ("program", "made"),
    [
        ("schemas.documents", documents.files()),
        ("statemachine.diagram", diagram.files()),
        ("service.help.catalogues", catalogues.files()),
        ("service.oauth.description_schema", description_schema.files()),
        ("service.settings", of_the_settings()),
        ("service.telemetry", of_the_telemetry()),
    ],
)
def test_p29_what_is_committed_is_what_the_code_makes(program: str, made: Made) -> None:
    assert stale(made) == [], f"run python -m {program}"


def test_a_missing_changed_or_left_over_file_is_stale_until_it_is_written(tmp_path: Path) -> None:
    as_it_is, changed, left_over, missing = (tmp_path / name for name in ("as-it-is", "changed", "left-over", "a/new"))
    for path in (as_it_is, changed, left_over):
        path.write_text("old")
    made = {as_it_is: "old", changed: "new", left_over: None, missing: "new"}

    assert stale(made) == [changed, left_over, missing]
    write(made)
    assert stale(made) == []
    assert not left_over.exists()


def test_the_command_says_what_is_stale_and_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {tmp_path / "page.md": "as it should be"}

    assert run("some.program", made, ["--check"]) == 1
    assert "stale: page.md: run python -m some.program" in capsys.readouterr().err
    assert run("some.program", made, []) == 0
    assert run("some.program", made, ["--check"]) == 0


def test_a_document_that_nobody_wants_any_more_is_stale(tmp_path: Path) -> None:
    write(documents.files(tmp_path))
    (tmp_path / "old.schema.json").write_text("{}")

    assert [path.name for path in stale(documents.files(tmp_path))] == ["old.schema.json"]
