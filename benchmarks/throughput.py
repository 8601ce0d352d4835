"""G1, G5 and G7: ours against the bare loop on the same database, with 1 and 2 workers; what guarantees cost."""

from typing import Any

from benchmarks import bare
from benchmarks.measure import Point
from benchmarks.session import Session, interleaved, median


async def database(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """Bare, ours, bare, ours, …, with as many processes as workers; client CPU comes from the same points."""
    raw: dict[str, Any] = {}
    client: dict[int, list[float]] = {}
    for workers in (1, 2):
        ceilings = [await _bare(session, processes=workers)]
        mine = []
        for _ in range(session.mode.repeats):
            mine.append(await session.ours(session.mode.span, workers=workers))
            ceilings.append(await _bare(session, processes=workers))
        ratios = interleaved([point.rate for point in ceilings], [point.rate for point in mine])
        session.ratios[f"G1_{workers}"] = median(ratios)
        client[workers] = [point.client_us for point in mine]
        raw[f"{workers} workers"] = {"ratios": ratios, "bare": _json(ceilings), "ours": _json(mine)}
    session.ratios["G5"] = median([two / one for one, two in zip(client[1], client[2], strict=True)])
    return raw


async def guarantees(session: Session) -> dict[str, Any]:  # Any: what JSON can hold
    """The bare loop without, with, without, …"""
    without = [await _bare(session, guarded=False)]
    with_ = []
    for _ in range(session.mode.repeats):
        with_.append(await _bare(session))
        without.append(await _bare(session, guarded=False))
    ratios = interleaved([point.rate for point in without], [point.rate for point in with_])
    session.ratios["G7"] = median(ratios)
    return {"ratios": ratios, "with": _json(with_), "without": _json(without)}


async def _bare(session: Session, **what: Any) -> Point:  # Any: arguments of the bare loop
    point = await bare.run(session.fleets, session.mode.bare, **what)
    session.told(point)
    return point


def _json(points: list[Point]) -> list[dict[str, Any]]:  # Any: what JSON can hold
    return [point.as_json() for point in points]
