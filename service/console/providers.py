"""Providers: what is known of each, how its connectors stand, and what it answered that was no success."""

import asyncio
from collections import Counter

from aiohttp import web

from service.console.snapshots import latest
from service.console.visit import Json, Told, Visit


async def providers(visit: Visit) -> web.StreamResponse:
    known, fleet = await asyncio.gather(visit.ask("list_providers"), latest(visit))
    counts: dict[str, Counter[str]] = {one["id"]: Counter() for one in known["providers"]}
    for one in fleet["states"]:
        counts.setdefault(one["provider"], Counter())[one["state"]] += one["count"]
    rows = [{"id": one["id"], "name": one["name"], "counts": counts[one["id"]]} for one in known["providers"]]
    rows.sort(key=lambda row: -sum(row["counts"].values()))
    return visit.page("providers.html", "Providers", "providers", rows=rows)


async def provider(visit: Visit) -> web.StreamResponse:
    id_ = visit.request.match_info["provider"]
    known = {one["id"]: one for one in (await visit.ask("list_providers"))["providers"]}
    if id_ not in known:
        raise web.HTTPNotFound
    fleet, errors, funnel = await asyncio.gather(
        latest(visit), _if_there(visit, "get_errors", id_), _if_there(visit, "get_funnel", id_)
    )
    states = Counter({one["state"]: one["count"] for one in fleet["states"] if one["provider"] == id_})
    return visit.page(
        "provider.html",
        known[id_]["name"],
        "providers",
        provider=known[id_],
        providers={one["id"]: one["name"] for one in known.values()},
        states=states,
        reasons=[one for one in fleet["reasons"] if one["provider"] == id_],
        errors=errors,
        funnel=funnel,
    )


async def _if_there(visit: Visit, operation: str, provider: str) -> Json | None:
    """A part of the page that it can be without."""
    try:
        return await visit.ask(operation, query={"provider": provider})
    except Told:
        return None
