"""The access log: method, route pattern, status, time. Never a path or query: they hold handoffs, codes and states."""

import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

log = structlog.get_logger()

_QUIET = ("/livez", "/readyz")


@web.middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Logs every request but the probes'."""
    began, status = time.monotonic(), 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        resource = request.match_info.route.resource
        if request.path not in _QUIET:
            pattern = resource.canonical if resource else "none"
            took_ms = round((time.monotonic() - began) * 1000, 1)
            log.info("request", method=request.method, route=pattern, status=status, took_ms=took_ms)
