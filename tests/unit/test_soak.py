"""The soak's frame: what it prints, and what it ends with. What it runs are the faults' own scenarios."""

import re

import pytest

from tests import soak
from tests.faults.stage import Violation
from tests.soak import Run


async def holds(run: Run) -> None:
    """All is well."""
    run.say(f"with seed {run.seed} for {run.seconds:g} s")


async def breaks(run: Run) -> None:
    """Something is lost."""
    raise Violation("lost", ["c1: is healthy, must be failed"])


async def ends(run: Run) -> None:
    """A part doesn't start."""
    raise OSError("no such disk")


async def test_the_soak_says_its_seed_how_to_run_it_again_and_that_nothing_was_violated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "SCENARIOS", {"r04": holds})
    assert await soak.soak(2, ["r04"], 7) == 0
    said = capsys.readouterr().out
    assert "python -m tests.soak --minutes 2 --only r04 --seed 7" in said
    assert "with seed 7 for 120 s" in said
    assert said.endswith("violations: 0\n")


async def test_a_violation_or_a_failure_of_one_scenario_counts_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "SCENARIOS", {"r04": breaks, "r05": ends, "r08": holds})
    assert await soak.soak(1, ["r04", "r05", "r08"], 7) == 2
    said = capsys.readouterr().out
    assert re.search(r"r04: VIOLATED: lost.*\n.*c1: is healthy", said)
    assert "no such disk" in said
    assert "with seed 7" in said
    assert said.endswith("violations: 2\n")
