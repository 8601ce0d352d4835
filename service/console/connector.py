"""A connector's page: why it is in its state and what proves it, the path that it walked, and what can be done."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

import orjson
from aiohttp import web

from schemas.lifecycle import State
from service.console import drawing, travel
from service.console.picture import Pair
from service.console.visit import Json, Visit
from service.console.words import instant

MOST_STEPS = 9
"""How much of the path is drawn: more numbers on one picture say less."""


async def connector(visit: Visit) -> web.StreamResponse:
    if (elsewhere := travel.by_slider(visit)) is not None:
        return elsewhere
    moment, query = travel.moment(visit), visit.request.query
    one, tenant = names(visit)
    then = {"as_of": moment.as_of}
    facts = await visit.ask("get_connector", one, tenant=tenant, query=then)
    why = await visit.ask("get_why", one, tenant=tenant) if moment.then is None else None
    asked = {"cursor": query.get("cursor"), "limit": "100"}
    history, more = await visit.ask_page("get_history", one, tenant=tenant, query=asked)
    entries = [entry for entry in history["entries"] if _before(entry["at"], moment)]
    return visit.page(
        "connector.html",
        facts["name"],
        "connectors",
        moment=moment,
        c=facts,
        why=why,
        entries=entries,
        more=more,
        attempts=attempts(entries),
        picture=drawing.of_path(path(entries), facts["state"], _list_of(tenant)),
        providers=await visit.provider_names(),
        base=base(tenant, one["connector_id"]),
    )


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


def attempts(entries: Sequence[Json]) -> list[Json]:
    """The attempts within these entries, newest first: when each began, how far it came, and how it ended."""
    found: dict[str, Json] = {}
    for entry in reversed(entries):
        if (id_ := entry["attempt_id"]) is None:
            continue
        one = found.setdefault(id_, {"id": id_, "began": entry["at"], "step": None, "reason": None, "ended": None})
        one["step"] = entry["step"] or one["step"]
        if entry["to"] and entry["from"] in (State.AWAITING_AUTH, State.VERIFYING):
            one["reason"] = entry["reason"] or one["reason"]
            one["ended"] = entry["at"] if entry["to"] not in (State.AWAITING_AUTH, State.VERIFYING) else None
        one["actor"] = one.get("actor") or entry["actor"]
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


def _before(at: str, moment: travel.Moment) -> bool:
    when = instant(at)
    return moment.then is None or (when is not None and when <= moment.then)


def _list_of(tenant: str) -> str:
    return f"/console/connectors?{urlencode({'tenant': tenant})}"
