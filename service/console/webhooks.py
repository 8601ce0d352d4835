"""Webhooks: how each endpoint stands, and the events that one never accepted, which can be sent once more."""

from aiohttp import web

from service.console.visit import Visit, see_other


async def webhooks(visit: Visit) -> web.StreamResponse:
    told = await visit.ask("list_webhooks")
    return visit.page("webhooks.html", "Webhooks", "webhooks", endpoints=told["endpoints"], given_up=told["given_up"])


async def send(visit: Visit) -> web.StreamResponse:
    await visit.ask("send_given_up", {name: visit.request.match_info[name] for name in ("endpoint", "given_up_id")})
    return see_other("/console/webhooks")
