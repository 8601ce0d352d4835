"""S26: what the access log says of a request has nothing of its address: handoffs, codes and states are there."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from structlog.testing import capture_logs

from service.http.access import access_log

PLANTED = "a-handoff-that-nobody-may-read"


async def _answered(request: web.Request) -> web.Response:
    if "broken" in request.query:
        raise web.HTTPBadRequest
    return web.Response()


async def test_s26_the_access_log_names_the_route_and_nothing_of_the_address(
    aiohttp_client: Callable[..., Awaitable[Any]],
) -> None:
    app = web.Application(middlewares=[access_log])
    app.router.add_get("/connect/{handoff}", _answered)
    client = await aiohttp_client(app)
    with capture_logs() as lines:
        await client.get(f"/connect/{PLANTED}?code={PLANTED}&state={PLANTED}")
        await client.get(f"/connect/x?broken&code={PLANTED}")
        await client.get(f"/nowhere/{PLANTED}")
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/connect/{handoff}", 200),
        ("/connect/{handoff}", 400),
        ("none", 404),
    ]
    assert PLANTED not in str(lines)
