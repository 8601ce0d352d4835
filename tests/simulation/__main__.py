"""`python -m tests.simulation --seeds 10000` runs so many schedules; `--seed N --trace` shows one."""

import argparse
import os
import sys
import time

from tests.simulation.many import many
from tests.simulation.world import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--trace", action="store_true", help="and print what happened")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args()
    if given.seed is not None:
        return _one(given.seed, given.trace)
    return _many(range(given.first, given.first + given.seeds), given.jobs)


def _one(seed: int, trace: bool) -> int:
    world = simulate(seed)
    if trace:
        print("\n".join(world.trace.lines))
    for fault in world.faults:
        print(f"VIOLATION {fault}")
    print(f"seed {seed}: {len(world.trace.lines)} steps, {len(world.faults)} violations")
    return 1 if world.faults else 0


def _many(seeds: range, jobs: int) -> int:
    began, failed, steps = time.monotonic(), 0, 0
    for seed, faults, count in many(seeds, jobs):
        steps += count
        if faults:
            failed += 1
            print(f"seed {seed}: {faults[0]}\n  replay: python -m tests.simulation --seed {seed} --trace")
    spent = time.monotonic() - began
    print(f"{len(seeds)} schedules, {steps} steps, {failed} with violations, {spent:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
