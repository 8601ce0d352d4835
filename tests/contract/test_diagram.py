"""The picture and the page of the lifecycle: made from the table, and never stale."""

from dataclasses import replace

import pytest

from schemas.lifecycle import Outcome, State, Trigger
from schemas.made import stale
from schemas.reasons import Reason
from statemachine import diagram
from statemachine.table import TABLE


def test_p29_changing_one_row_of_the_table_makes_them_stale(monkeypatch) -> None:
    changed = next(n for n, row in enumerate(TABLE) if row.trigger is Trigger.VERIFIED and row.to is State.SYNCING)
    monkeypatch.setattr(
        diagram, "TABLE", (*TABLE[:changed], replace(TABLE[changed], to=State.HEALTHY), *TABLE[changed + 1 :])
    )

    assert diagram.PAGE in stale(diagram.files())
    assert "verifying --> healthy: verified" in diagram.mermaid()


def test_every_published_change_of_state_is_an_arrow_of_the_picture() -> None:
    arrows = diagram.mermaid()

    for row in TABLE:
        if row.outcome is Outcome.TRANSITION and row.to is not None:
            to = "[*]" if row.to is State.DELETED else row.to.value
            leading = [line for line in arrows.splitlines() if f"--> {to}:" in line and row.trigger.value in line]
            assert leading, row


def test_nothing_that_is_ignored_or_refused_is_an_arrow() -> None:
    assert "deleted" not in diagram.mermaid()
    assert "absent" not in diagram.mermaid()
    assert Trigger.PROVIDER_UNAVAILABLE.value not in diagram.mermaid()


@pytest.mark.parametrize("word", [*State, *Trigger, *Outcome])
def test_the_page_holds_every_word_of_the_lifecycle_with_its_sentence(word) -> None:
    page = diagram.page()

    assert f"`{word.value}`" in page
    assert word.sentence in page


def test_the_page_holds_every_reason_and_leaves_no_placeholder_open() -> None:
    page = diagram.page()

    assert all(f"`{reason.value}`" in page for reason in Reason)
    assert "{provider}" not in page
    assert "{account}" not in page


def test_the_picture_goes_between_the_readmes_markers_and_nowhere_else() -> None:
    text = f"# regrant\n\n{diagram.BEGIN}\nold\n{diagram.END}\nthe rest\n"

    made = diagram.readme(text)

    assert made.startswith(f"# regrant\n\n{diagram.BEGIN}\n```mermaid\nstateDiagram-v2")
    assert made.endswith(f"```\n{diagram.END}\nthe rest\n")
    assert diagram.readme(made) == made
    assert diagram.readme("# without markers\n") == "# without markers\n"
