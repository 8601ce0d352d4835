"""R1: the real handlers under a thousand schedules of crashes, repeats, zombies and lost answers, in virtual time."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from service.store.batch import Changed
from service.store.partitions import OffsetMove, Position
from tests.simulation.many import many
from tests.simulation.store import MemoryStore
from tests.simulation.world import simulate

SEEDS = 1000


@pytest.mark.slow
def test_r01_a_thousand_schedules_of_faults_violate_nothing() -> None:
    failed = {seed: faults for seed, faults, _ in many(range(SEEDS), os.cpu_count() or 1) if faults}
    told = [f"{faults[0]}\n  replay: python -m tests.simulation --seed {s} --trace" for s, faults in failed.items()]
    assert not failed, "\n".join(told)


@pytest.mark.slow
def test_r01_a_seed_is_one_run_however_strings_are_hashed() -> None:
    runs = {_trace_of(7, hash_seed) for hash_seed in ("0", "1")}
    assert len(runs) == 1
    assert "\n".join(simulate(7).trace.lines).strip() in runs.pop()


def _trace_of(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--trace"]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
    )
    return done.stdout


FAULTS = (
    " dies",
    " goes on",
    " has left",
    "session is over",
    "rebalance",
    "database is away",
    "broker is away",
    ": unheard",
    ": FenceLost",
    ": Conflict",
    "relay_fenced",
    "job_lease_lost",
    "  copy ",
)
"""And what is rare: a grant that is copied for another connector."""


@pytest.mark.slow
def test_r01_faults_of_every_kind_are_among_the_schedules() -> None:
    missing = set(FAULTS)
    for seed in range(1000):
        lines = "\n".join(simulate(seed).trace.lines)
        missing -= {fault for fault in missing if fault in lines}
        if not missing:
            return
    assert not missing


# The simulation can fail: a store without one of its guards is found out. A relay without the producers' fence needs
# one connector at the right moment, too rare for random schedules: tests/integration/test_relay.py makes it.


class WithoutFence(MemoryStore):
    def _move_offsets(self, moves: Sequence[OffsetMove]) -> None:
        for move in moves:
            self.tables.partitions[move.topic, move.partition] = Position(move.epoch, move.next_)


class WithoutRevisions(MemoryStore):
    def _update(self, old: Sequence[Changed]) -> None:
        rows = self.tables.connectors
        super()._update([Changed(c.pk, rows[c.after.id].revision, c.shard, c.before, c.after) for c in old])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "invariant"),
    [
        ({"store": WithoutFence}, "I6"),
        ({"store": WithoutRevisions}, "lost"),
    ],
    ids=["fence", "revisions"],
)
def test_r01_a_world_without_one_of_the_guards_is_found_out(parts: dict[str, type], invariant: str) -> None:
    for seed in range(400):
        if any(invariant in fault for fault in simulate(seed, **parts).faults):
            return
    pytest.fail("nothing was found in 400 schedules")
