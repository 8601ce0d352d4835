"""The access log: method, route pattern, status, time. Never a path or query: they hold handoffs, codes and states."""

import logging
import time

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from service.telemetry import metrics, traces

log = structlog.get_logger()

_QUIET = ("/livez", "/readyz")


def runner_of(app: web.Application, drain_s: float = 1.0) -> web.AppRunner:
    """What serves `app`, with no log but ours; its end waits `drain_s` seconds for requests under way."""
    return web.AppRunner(app, access_log=None, logger=_SERVER, shutdown_timeout=drain_s)


def _without_bad_requests(record: logging.LogRecord) -> bool:
    """aiohttp logs what it couldn't parse: a request's line, or a header with a cookie.

    No pattern knows what is secret in there, so nothing of it stays but that it came.
    """
    error = record.exc_info[1] if record.exc_info else None
    if type(error).__module__ == "aiohttp.http_exceptions":
        record.msg, record.args, record.exc_info = "bad_request", (), None
        record.error = type(error).__name__
    return True


_SERVER = logging.getLogger("aiohttp.server.regrant")
_SERVER.addFilter(_without_bad_requests)


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A span for every request but the probes', around its line in the log. Never a path or query, as there."""
    if not traces.are_on() or request.path in _QUIET:
        return await handler(request)
    method = _method(request)
    given = request.headers.get("traceparent", "")
    attributes = {"http.request.method": method, "http.route": _pattern(request)}
    with traces.serving(f"{method} {_pattern(request)}", given or None, attributes) as serving:
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            serving.begun().tell({"http.response.status_code": status})


def _method(request: web.Request) -> str:
    """Whoever calls chooses the method's name, too."""
    return request.method if request.method in hdrs.METH_ALL else "other"


def _pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "none"


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
        if request.path not in _QUIET:
            method, pattern = _method(request), _pattern(request)
            took_s = time.monotonic() - began
            metrics.HTTP_SECONDS.labels(method, pattern, f"{status // 100}xx").observe(took_s)
            traces.current()  # its span begins now at the latest, so that the line names it
            log.info("request", method=method, route=pattern, status=status, took_ms=round(took_s * 1000, 1))
