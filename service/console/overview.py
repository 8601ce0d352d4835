"""The overview: one sentence, the live picture, who must act, and where attempts stop."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlencode

from aiohttp import web

from schemas.lifecycle import State
from service.console import drawing, travel
from service.console.drawing import Drawing
from service.console.picture import Pair
from service.console.visit import Json, Told, Visit

MOST_ACTS = 6


async def overview(visit: Visit) -> web.StreamResponse:
    if (elsewhere := travel.by_slider(visit)) is not None:
        return elsewhere
    moment = travel.moment(visit)
    fleet, providers, funnel = await asyncio.gather(
        visit.ask("get_fleet", query={"as_of": moment.as_of}),
        visit.provider_names(),
        _funnel(visit, moment),
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


async def _funnel(visit: Visit, moment: travel.Moment) -> Json | None:
    """The last month's; the page stands without it, so a problem here is no reason to show none of it."""
    if moment.then is not None:
        return None
    try:
        return await visit.ask("get_funnel")
    except Told:
        return None
