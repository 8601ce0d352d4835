"""Dead letters: what couldn't be handled, in words; replayed once it can be, or dropped, by somebody with a name."""

from urllib.parse import quote

from aiohttp import web

from service.console.visit import Visit, see_other

STATUSES = ("waiting", "replaying", "replayed", "dropped")


async def letters(visit: Visit) -> web.StreamResponse:
    query = visit.request.query
    status = query.get("status", STATUSES[0])
    asked = {"status": status if status in STATUSES else None, "cursor": query.get("cursor"), "limit": "50"}
    told, more = await visit.ask_page("list_letters", query=asked)
    return visit.page(
        "letters.html",
        "Dead letters",
        "letters",
        letters=told["letters"],
        more=more,
        chosen=status,
        statuses=STATUSES,
    )


async def letter(visit: Visit) -> web.StreamResponse:
    told = await visit.ask("get_letter", {"letter_id": visit.request.match_info["letter"]})
    return visit.page("letter.html", "A dead letter", "letters", letter=told)


async def replay(visit: Visit) -> web.StreamResponse:
    return await _decided(visit, "replay_letter")


async def drop(visit: Visit) -> web.StreamResponse:
    return await _decided(visit, "drop_letter")


async def _decided(visit: Visit, operation: str) -> web.StreamResponse:
    id_ = visit.request.match_info["letter"]
    await visit.ask(operation, {"letter_id": id_})
    return see_other(f"/console/dead-letters/{quote(id_, safe='')}")
