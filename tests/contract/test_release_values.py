"""What the last release reads of this version's rows: its processes run beside ours in a roll-out (R12)."""

import json
import subprocess
import sys

import pytest

from schemas.lifecycle import State
from schemas.reasons import Reason
from tests.faults.scenarios.r12_side_by_side import newest_release

KNOWN = """
import json, service, os
assert service.__file__.startswith(os.environ["PYTHONPATH"]), service.__file__
from schemas.lifecycle import State
from schemas.reasons import Reason
print(json.dumps({"states": [*State], "reasons": [*Reason]}))
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    release = newest_release(tmp_path_factory.mktemp("release"))
    command = [sys.executable, "-P", "-c", KNOWN]
    said = subprocess.run(command, env={"PYTHONPATH": str(release)}, capture_output=True, text=True, check=True)
    told: dict[str, list[str]] = json.loads(said.stdout)
    return told


def test_r12_a_connectors_row_holds_no_state_and_no_reason_that_the_last_release_cant_read(
    known: dict[str, list[str]],
) -> None:
    """A new one is known to a version first, and written by the next: docs/upgrade.md."""
    assert set(State) - set(known["states"]) == set()
    assert set(Reason) - set(known["reasons"]) == set()
