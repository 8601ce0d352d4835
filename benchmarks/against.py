"""G2: ours against each peer at its best concurrency, interleaved."""

import statistics
from dataclasses import replace
from typing import Any

from benchmarks import peer
from benchmarks.measure import OverTooSoon, Point, PointFailed, Span
from benchmarks.peer import Peer
from benchmarks.place import place
from benchmarks.roster import OURS, PEERS
from benchmarks.session import Session, median
from service.demo.embedded.child import tail

_SMALLEST_S = 30
"""A peer isn't begun in quick mode when less time is left."""


async def peers(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """Ours, a peer, ours, the next peer, …, ours; one process against one, and then two against two.

    In quick mode ours is measured at the beginning and at the end only.
    """
    best = await _best(session)
    mine = [await session.ours(session.mode.span)]
    points: dict[str, list[Point]] = {one.title: [] for one in best}
    beside: dict[str, list[int]] = {one.title: [] for one in best}
    for _ in range(session.mode.repeats):
        for one in best:
            if session.left_s() < _SMALLEST_S:
                session.errors[one.title] = "left out: the time was over"
                continue
            point = await _point(session, one, session.mode.span)
            if point is not None and point.checked:
                points[one.title].append(point)
                beside[one.title].append(len(mine) - 1)
            if session.mode.repeats > 1 or one is best[-1]:
                mine.append(await session.ours(session.mode.span))
    ratios = {
        title: [
            statistics.mean(m.rate for m in mine[at : at + 2]) / point.rate
            for at, point in zip(beside[title], of, strict=True)
        ]
        for title, of in points.items()
    }
    raw: dict[str, Any] = {"ours": {"points": [p.as_json() for p in mine], "guarantees": OURS}}
    for one in best:
        found = ratios[one.title]
        raw[one.title] = {
            "how": one.how,
            "guarantees": dict(one.guarantees),
            "ratios": [round(ratio, 2) for ratio in found],
            "points": [p.as_json() for p in points[one.title]],
            "two_processes": await _two(session, one),
        }
        if one.key:
            session.ratios[f"G2_{one.key}"] = median(found) if found else None
    return raw


async def _best(session: Session) -> list[Peer]:
    """The peers, each with the one concurrency that was best (in quick mode: the one that usually is)."""
    best = []
    for one in PEERS:
        if session.mode.repeats == 1:
            best.append(replace(one, tried=one.tried[-1:]))
            continue
        tried = {}
        for concurrency in one.tried:
            point = await _point(session, replace(one, tried=(concurrency,)), session.mode.short)
            if point is not None and point.checked:
                tried[concurrency] = point.rate
        if tried:
            winner = max(tried, key=lambda concurrency: tried[concurrency])
            best.append(replace(one, tried=(winner,), rate=tried[winner]))
    return best


async def _two(session: Session, one: Peer) -> dict[str, Any] | None:  # Any: what JSON can hold
    """The same with two processes: to be held against our two workers."""
    if session.mode.repeats == 1:
        return None
    point = await _point(session, replace(one, rate=one.rate * 1.5), session.mode.short, processes=2)
    return point.as_json() if point is not None else None


async def _point(session: Session, one: Peer, span: Span, processes: int = 1) -> Point | None:
    """One point of a peer with its (only) concurrency; `None`, and an error in the report, when it failed."""
    point = None
    for is_last in (False, False, True):
        async with place(session.fleets, inputs=span.inputs(one.rate), connectors=1000) as here:
            try:
                point = await peer.run(here, one, one.tried[0], span, processes=processes)
            except OverTooSoon:
                one = replace(one, rate=one.rate * 4)
                continue
            except (PointFailed, TimeoutError) as failed:
                said = tail(here.servers.supervisor.folder / f"peer-{here.prefix}log", 5)
                session.errors[one.title] = f"{failed or type(failed).__name__}: {said}"
                session.say(f"{one.title}: failed: {failed}")
                return None
        if is_last or point.is_long_enough(span):
            break
        one = replace(one, rate=point.rate)
    if point is None:
        session.errors[one.title] = "its inputs were always through before anything could be measured"
        return None
    session.told(point, f"{one.tried[0]} at once, {processes} process{'es' if processes > 1 else ''}")
    return point
