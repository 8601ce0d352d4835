"""Many seeds, in as many processes as there are cores."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.world import simulate


def many(seeds: Sequence[int], jobs: int) -> Iterator[tuple[int, list[str], int]]:
    """For each seed: what was violated, and how many steps it took."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_one, seeds, chunksize=10)


def _one(seed: int) -> tuple[int, list[str], int]:
    world = simulate(seed)
    return seed, world.faults, len(world.trace.lines)
