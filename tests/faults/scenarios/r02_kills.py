"""Kills the service at every point (R2): each in the shortest scenario that passes it, and looks at what is left.

First every scenario is played undisturbed, to see which points it passes.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from schemas.lifecycle import State
from service.demo.embedded.child import Supervisor
from tests.faults.crashes import BIRTHS, RUNNING, Scenario, connected_books, stopped
from tests.faults.lane import Books, Lane, lane_on
from tests.faults.points import Point, find_points
from tests.faults.stage import holds
from tests.faults.tracer import When
from tests.faults.victims import RECORD, Order, Victim, die_at, template

LINGER_S = 1.5
"""How long a victim that outlives its scenario is waited for: some points are passed a little later."""
WHOLE = slice(None)
TRIES = 3
"""A point that a scenario passes only by luck of timing is tried so often."""
ANOTHER_RULE = "update warning_rule set ahead = '{90 days}'"
"""What a process that starts finds: its settings say another thing, so it plans all warnings anew."""


@dataclass(slots=True)
class Played:
    """A scenario without a death: which points it passed, and how long it took."""

    scenario: Scenario
    passed: set[str]
    seconds: float


@dataclass(slots=True)
class Deaths:
    """What came of killing at points."""

    never: set[str] = field(default_factory=set)
    """Points that no scenario passed."""
    died: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Passed when it was recorded, and not when it mattered."""
    wrong: list[str] = field(default_factory=list)
    """What didn't hold, each with where the process died."""
    codes: int = 0
    interrupted: int = 0


async def play(lane: Lane, books: Books, scenario: Scenario) -> Played:
    """Plays a scenario undisturbed."""
    began = time.monotonic()
    victim = lane.victim
    if scenario in BIRTHS:
        victim = await _reborn(lane, RECORD)
    else:
        await victim.told(RECORD)
    await scenario(lane, books)
    if scenario is stopped:
        await asyncio.shield(victim.ended)
    await asyncio.sleep(LINGER_S)  # what follows by itself belongs to the scenario, too
    return Played(scenario, await victim.report(), time.monotonic() - began)


async def _reborn(lane: Lane, first: Order) -> Victim:
    """Ends the process, and starts the next with something to do at birth."""
    old, lane.first_order = lane.victim, first
    await lane.database.execute(ANOTHER_RULE)
    old.kill()
    await asyncio.shield(old.ended)

    async def next_() -> bool:
        return lane.victim is not old

    await lane.until(next_, "the next process")
    return lane.victim


async def kill_at(lane: Lane, books: Books, scenario: Scenario, point: Point, when: When = "before") -> bool:
    """Kills the process at a point amidst a scenario, and sees the scenario to its good end. Whether it died there."""
    if scenario in BIRTHS:
        victim = await _reborn(lane, die_at(point, when))
    else:
        victim = lane.victim
        await victim.told(die_at(point, when))
    await scenario(lane, books)
    if victim.is_alive:
        await asyncio.wait([victim.ended], timeout=LINGER_S)
    if victim.is_alive:
        await victim.told({"live": True})
    await check(lane, books)
    return victim.reached == point.name


async def check(lane: Lane, books: Books) -> None:
    """What must hold after every death."""
    row = await lane.row(books)
    assert row["state"] == State.HEALTHY, row["state"]
    credential = await lane.credential(books)
    assert credential is not None and credential["generation"] == row["generation"]
    token = await lane.token(books)
    assert token.is_good and token.body["generation"] == row["generation"], token
    known = lane.simulator.world.grants.grant_for_access_token(token.body["access_token"])
    assert known is not None and known[1] and known[0].state == "live", "the provider still takes what is kept"
    often = {code: n for code in lane.codes if (n := lane.simulator.journal.exchanges_of(code)) > 1}
    lane.codes[:] = [code for code in lane.codes if code not in often]  # each is told once
    assert not often, f"codes that were sent more than once: {often}"


def assigned(plays: Sequence[Played]) -> dict[str, list[Scenario]]:
    """Each point's scenarios, the shortest first."""
    chosen: dict[str, list[Scenario]] = {}
    for played in sorted(plays, key=lambda one: one.seconds):
        for name in played.passed:
            chosen.setdefault(name, []).append(played.scenario)
    return chosen


async def kill_at_every_point(
    server: str,
    bootstrap: str,
    *,
    lanes: int = 4,
    whens: Sequence[When] = ("before",),
    seed: int | None = None,
    part: slice = WHOLE,
    at_most_s: float = float("inf"),
    say: Callable[[str], None] = lambda line: None,
) -> Deaths:
    """Kills the service once at every point (and `when`), in lanes side by side; in an order from the seed, if any.

    All scenarios are played, and so all points are known; `part` says which of them it is killed at.
    """
    deaths = Deaths()
    with contextlib.closing(Supervisor()) as supervisor:
        async with AsyncExitStack() as stack:
            born_of = await stack.enter_async_context(template(supervisor))
            running: list[tuple[Lane, Books]] = []
            for _ in range(lanes):
                lane = await stack.enter_async_context(lane_on(server, bootstrap, supervisor, born_of))
                await lane.start()
                await stack.enter_async_context(lane.kept_alive())
                running.append((lane, await connected_books(lane)))

            to_play, plays = deque([*RUNNING, *BIRTHS]), list[Played]()
            await _share(running, to_play, lambda lane, books, scenario: _record(plays, lane, books, scenario))
            chosen = assigned(plays)
            deaths.never = {point.name for point in find_points()} - set(chosen)

            order = [(point, when) for point in find_points()[part] if point.name in chosen for when in whens]
            if seed is not None:
                random.Random(seed).shuffle(order)
            say(f"{len(order)} deaths in {lanes} lanes")
            until, work = time.monotonic() + at_most_s, deque(order)

            async def kill(lane: Lane, books: Books, one: tuple[Point, When]) -> None:
                if time.monotonic() < until:
                    await _kill(deaths, chosen, lane, books, *one)

            await _share(running, work, kill)
            for lane, _ in running:
                await _left(lane)
                deaths.codes += len(lane.codes)
                deaths.interrupted += lane.interrupted
    return deaths


async def _share(running, work, do) -> None:  # type: ignore[no-untyped-def]
    """Each lane takes the next piece of work as soon as it is done with its last."""

    async def one_lane(lane: Lane, books: Books) -> None:
        while work:
            await do(lane, books, work.popleft())

    async with asyncio.TaskGroup() as tasks:
        for lane, books in running:
            tasks.create_task(one_lane(lane, books))


async def _record(plays: list[Played], lane: Lane, books: Books, scenario: Scenario) -> None:
    plays.append(await play(lane, books, scenario))


async def _kill(
    deaths: Deaths, chosen: dict[str, list[Scenario]], lane: Lane, books: Books, point: Point, when: When
) -> None:
    scenarios = chosen[point.name]
    for again in range(TRIES):
        scenario = scenarios[again % len(scenarios)]
        where = f"{when} {point.name}, in {scenario.__name__}"
        try:
            if await kill_at(lane, books, scenario, point, when):
                deaths.died.append(where)
                return
        except AssertionError as error:
            deaths.wrong.append(f"{where}: {error}")
            lane.simulator.faults.lift_all()
            await lane.bring_back(books)
            return
    deaths.missed.append(where)


async def _left(lane: Lane) -> None:
    """At the end: nothing is left undone, and the checker finds every invariant true."""

    async def done() -> bool:
        return bool(await lane.database.fetchval("select count(*) = 0 from job"))

    await lane.until(done, "every job is done")
    await holds(lane.deployment.dsn, lane.deployment.bootstrap, lane.deployment.topic_prefix)
