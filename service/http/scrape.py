"""`/metrics`, on a port of its own: what Prometheus reads. Not for the public."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from service.telemetry.metric import REGISTRY


def scrape_app(fresh: Callable[[], Awaitable[None]]) -> web.Application:
    """The port's application. `fresh` brings up to date what is read from elsewhere, quickly or not at all."""

    async def scrape(request: web.Request) -> web.Response:
        await fresh()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    return app
