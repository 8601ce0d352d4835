"""Webhooks: how each endpoint stands, and the events that one never accepted."""

from aiohttp import web

from service.console.visit import Visit


async def webhooks(visit: Visit) -> web.StreamResponse:
    told = await visit.ask("list_webhooks")
    return visit.page("webhooks.html", "Webhooks", "webhooks", endpoints=told["endpoints"], given_up=told["given_up"])
