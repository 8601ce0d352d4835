"""A connector's page: why it is in its state and what proves it, the path that it walked, and what can be done."""

import asyncio
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import orjson
from aiohttp import web

from schemas.lifecycle import State
from service.console import drawing, travel
from service.console.visit import Json, Visit
from service.picture.lifecycle import Pair

_ATTEMPTING = (State.AWAITING_AUTH, State.VERIFYING)
MOST_STEPS = 9
"""How much of the path is drawn: more numbers on one picture say less."""


async def connector(visit: Visit) -> web.StreamResponse:
    if (elsewhere := travel.by_slider(visit)) is not None:
        return elsewhere
    moment, query = travel.moment(visit), visit.request.query
    one, tenant = names(visit)
    asked = {"cursor": query.get("cursor"), "limit": "50", "as_of": moment.as_of}
    facts, (history, more), why, providers = await asyncio.gather(
        visit.ask("get_connector", one, tenant=tenant, query={"as_of": moment.as_of}),
        visit.ask_page("get_history", one, tenant=tenant, query=asked),
        _why(visit, one, tenant) if moment.then is None else _nothing(),
        visit.provider_names(),
    )
    entries = history["entries"]
    return visit.page(
        "connector.html",
        facts["name"],
        "connectors",
        moment=moment,
        c=facts,
        why=why,
        entries=entries,
        more=more,
        attempts=attempts(entries, facts["attempt_id"]),
        picture=drawing.of_path(path(entries), facts["state"], _list_of(tenant)),
        providers=providers,
        base=base(tenant, one["connector_id"]),
    )


async def _why(visit: Visit, one: dict[str, str], tenant: str) -> Json | None:
    return await visit.ask("get_why", one, tenant=tenant)


async def _nothing() -> None:
    return None


async def bundle(visit: Visit) -> web.StreamResponse:
    """The support bundle as a file."""
    one, tenant = names(visit)
    told = await visit.ask("get_bundle", one, tenant=tenant)
    named = f'attachment; filename="regrant-{one["connector_id"]}.json"'  # an id holds nothing that ends the quotes
    body = orjson.dumps(told, option=orjson.OPT_INDENT_2)
    return web.Response(body=body, content_type="application/json", headers={"Content-Disposition": named})


def path(entries: Sequence[Json]) -> list[Pair]:
    """The states that it went through last, oldest first, from entries that come newest first."""
    walked = [
        (State(entry["from"]), State(entry["to"])) for entry in entries if entry["to"] and entry["from"] != entry["to"]
    ]
    return walked[:MOST_STEPS][::-1]


def attempts(entries: Sequence[Json], live: str | None) -> list[Json]:
    """The attempts within these entries, newest first: when each began, how far it came, and how it ended.

    `live` is the one that is open; an older one that no entry ends was replaced by the next.
    """
    found: dict[str, Json] = {}
    for entry in reversed(entries):
        if (id_ := entry["attempt_id"]) is None:
            continue
        one = found.setdefault(id_, {"id": id_, "began": entry["at"], "step": None, "reason": None, "is_live": False})
        one["step"] = entry["step"] or one["step"]
        if entry["from"] in _ATTEMPTING and entry["to"] and entry["to"] not in _ATTEMPTING:
            one["reason"] = entry["reason"]
    if live in found:
        found[live]["is_live"] = True
    return list(found.values())[::-1]


def base(tenant: str, connector: str) -> str:
    """The address of a connector's page."""
    return f"/console/connectors/{quote(tenant, safe='')}/{quote(connector, safe='')}"


def names(visit: Visit) -> tuple[dict[str, str], str]:
    """The connector in the address, as the API takes it, and its tenant."""
    named = visit.request.match_info
    if not visit.viewer.whole_fleet and named["tenant"] != visit.viewer.tenant:
        raise web.HTTPNotFound
    return {"connector_id": named["connector"]}, named["tenant"]


def _list_of(tenant: str) -> str:
    return f"/console/connectors?{urlencode({'tenant': tenant})}"
