"""The wrong edits: enough of them, and each still fits the code. `make mutants` shows that the suite notices each."""

import subprocess
from pathlib import Path

import pytest

from tests.mutants.__main__ import Mutant, mutants

ROOT = Path(__file__).parents[2]


def test_there_are_a_dozen_at_least_and_each_says_what_it_is() -> None:
    assert len(mutants()) >= 12
    assert len({mutant.what for mutant in mutants()}) == len(mutants())


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_wrong_edit_still_fits_the_code_and_names_tests_that_are_there(mutant: Mutant) -> None:
    checked = subprocess.run(
        ["git", "apply", "--check", "-"], cwd=ROOT, input=mutant.patch.encode(), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr.decode()
    assert all((ROOT / test).exists() for test in mutant.tests if test.startswith("tests/"))
