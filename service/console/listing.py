"""Connectors as a list: narrowed by state, provider, reason, who must act, tenant or a word; now, or as of a moment."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from schemas.lifecycle import State
from schemas.reasons import CATALOGUE
from service.console import travel
from service.console.visit import Visit
from service.picture.lifecycle import NAMES

PAGE = 50
FILTERS = ("q", "state", "provider", "reason", "who_acts", "tenant", "moved_from", "moved_to")
_NO_LIST = (State.ABSENT, State.DELETED)


async def connectors(visit: Visit) -> web.StreamResponse:
    if (elsewhere := travel.by_slider(visit)) is not None:
        return elsewhere
    moment, query = travel.moment(visit), visit.request.query
    chosen = {name: query[name].strip() for name in FILTERS if query.get(name, "").strip()}
    asked = {**chosen, "as_of": moment.as_of, "cursor": query.get("cursor"), "limit": str(PAGE)}
    (listed, more), providers = await asyncio.gather(
        visit.ask_page("list_fleet_connectors", query=asked), visit.provider_names()
    )
    return visit.page(
        "connectors.html",
        "Connectors",
        "connectors",
        moment=moment,
        kept=chosen,
        connectors=listed["connectors"],
        more=more,
        chosen=chosen,
        went=went(chosen),
        states=[(state.value, name) for state, name in NAMES.items() if state not in _NO_LIST],
        providers=providers,
        reasons=[reason.value for reason in CATALOGUE],
    )


def went(chosen: Mapping[str, str]) -> str:
    """The arrow that the list is of, in words; empty where it is of none."""
    if "moved_from" not in chosen and "moved_to" not in chosen:
        return ""
    states = [NAMES[State(one)] for one in chosen.get("moved_from", "").split(",") if one in set(State)]
    to = chosen.get("moved_to")
    return f"{' or '.join(states) or 'any state'} → {NAMES[State(to)] if to in set(State) else 'any state'}"
