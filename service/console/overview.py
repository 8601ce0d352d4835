"""The overview: one sentence, the live picture, who must act, and where attempts stop."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlencode

from aiohttp import web

from schemas.lifecycle import State
from service.console import drawing, travel
from service.console.drawing import Drawing
from service.console.snapshots import latest
from service.console.visit import Json, Told, Visit
from service.picture.lifecycle import Pair

MOST_ACTS = 6
SOON_DAYS = 7
MOST_COUNTED = 100
"""Dead letters beyond that are many, and how many is no longer the question."""


async def overview(visit: Visit) -> web.StreamResponse:
    if (elsewhere := travel.by_slider(visit)) is not None:
        return elsewhere
    moment = travel.moment(visit)
    is_now = moment.then is None
    fleet, providers, funnel, letters, ending = await asyncio.gather(
        latest(visit) if is_now else visit.ask("get_fleet", query={"as_of": moment.as_of}),
        visit.provider_names(),
        _if_there(visit, "get_funnel", is_now),
        _if_there(
            visit, "list_letters", is_now and visit.viewer.whole_fleet, status="waiting", limit=str(MOST_COUNTED)
        ),
        _if_there(visit, "list_expiring", is_now, within=str(SOON_DAYS)),
    )
    return visit.page(
        "overview.html",
        "Overview",
        "overview",
        moment=moment,
        fleet=fleet,
        picture=picture(fleet, moment.query),
        acts=acts(fleet, moment.query),
        providers=providers,
        funnel=funnel,
        letters=letters["letters"] if letters else [],
        ending=ending["connectors"] if ending else [],
        counted=MOST_COUNTED,
        soon=SOON_DAYS,
    )


def picture(fleet: Json, query: Mapping[str, str]) -> Drawing:
    """The lifecycle with the fleet's numbers."""
    counts: Counter[str] = Counter()
    for one in fleet["states"]:
        counts[one["state"]] += one["count"]
    gone: dict[Pair, float] = {
        (State(one["from"]), State(one["to"])): one["last_hour"] for one in fleet["arrows"] if one["from"] != one["to"]
    }
    return drawing.of_fleet(counts, gone, fleet["as_of"], query)


def acts(fleet: Json, query: Mapping[str, str]) -> list[Json]:
    """What waits for somebody, most first; our own faults before all: nobody else mends them."""
    waiting = sorted(fleet["reasons"], key=lambda one: (one["who_acts"] != "operator", -one["count"]))
    told = []
    for one in waiting[:MOST_ACTS]:
        asked = {"state": State.FAILED.value, "provider": one["provider"], "reason": one["reason"]}
        told.append({**one, "href": f"/console/connectors?{urlencode({**asked, **query})}"})
    return told


async def _if_there(visit: Visit, operation: str, is_wanted: bool, **query: str) -> Json | None:
    """A part of the page that it can be without: a problem there is no reason to show none of it."""
    if not is_wanted:
        return None
    try:
        return await visit.ask(operation, query=query)
    except Told:
        return None
