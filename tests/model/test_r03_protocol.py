"""R3: the protocol is right by design. Every state of the model is visited, and each guard is shown to be needed."""

import pytest

from tests.model.guards import Guards
from tests.model.protocol import Bounds
from tests.model.run import WORLDS, check, told

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("world", WORLDS)
def test_r03_no_reachable_state_is_bad_and_from_each_a_good_end_can_be_reached(world: str) -> None:
    found = check(WORLDS[world])
    print(f"{world}: {found.states} states, {found.edges} steps, {found.good} good ends")
    assert found.counterexample is None, told(found.counterexample)
    assert found.states > 50_000
    assert found.good > 0


DOOR, RELAY, ALL = WORLDS["the door"], WORLDS["the relay"], WORLDS["all of it, one crash"]

# What goes wrong without each guard: a world that shows it, and the invariant that is broken.
NEEDED = {
    "fence": (DOOR, "I6"),
    "offset_with_effects": (DOOR, "I10"),
    "revision": (DOOR, "I2"),
    "unique_attempts": (DOOR, "I6: the caller"),
    "seq_under_lock": (ALL, "I4"),
    "producer_fence": (RELAY, "I5: the compacted topic"),
    "publish_first": (RELAY, "I4"),
    "contiguous": (ALL, "I"),
    "instant": (DOOR, "I6: the deadline"),
    "separate_readings": (DOOR, "I6"),
    "reread": (Bounds(relays=False, called=True, looks=0), "nothing can become good"),
}


@pytest.mark.parametrize("guard", Guards._fields)
def test_r03_without_any_one_guard_the_checker_finds_a_way_to_a_bad_state(guard: str) -> None:
    bounds, broken = NEEDED[guard]
    found = check(bounds, Guards(**{guard: False}))
    assert found.counterexample is not None, f"{guard} isn't needed: {found.states} states without a fault"
    print(f"without {guard}:\n{told(found.counterexample)}")
    assert broken in found.counterexample.wrong
