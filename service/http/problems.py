"""Problems (RFC 9457): every error that a caller sees is one of the catalogue's, with a trace id to ask about."""

import re
import uuid
from collections.abc import Mapping, Sequence

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from schemas.lifecycle import Refused
from schemas.problems import ProblemCode
from service.engine.submission import Busy
from service.store.pool import TRANSIENT
from service.vault.keys import NoKey

log = structlog.get_logger()

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID = web.RequestKey("trace_id", str)
_BUSY_RETRY_S = "2"


class ApiProblem(Exception):
    """Something that the caller is told."""

    def __init__(
        self,
        code: ProblemCode,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code, self.detail, self.errors, self.headers = code, detail, errors, dict(headers or {})


def refused(why: object) -> ApiProblem:
    """The problem for a refusal of the lifecycle."""
    assert isinstance(why, Refused)
    return ApiProblem(ProblemCode(why.value), why.sentence)


def problem_response(problem: ApiProblem, trace: str, public_url: str) -> web.Response:
    """The answer for a problem; `trace` is the request's id."""
    entry = problem.code.entry
    body: dict[str, object] = {
        "type": f"{public_url}/help/problems/{problem.code}",
        "title": entry.title,
        "status": entry.status,
        "detail": problem.detail or entry.title,
        "code": problem.code,
        "retryable": entry.retryable,
        "action": entry.action,
        "trace_id": trace,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return web.Response(
        body=orjson.dumps(body),
        status=entry.status,
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def trace_id(request: web.Request) -> str:
    """A request's trace id, one and the same however often it is asked for."""
    if _TRACE_ID not in request:
        request[_TRACE_ID] = trace_of(request.headers)
    return request[_TRACE_ID]


def trace_of(headers: Mapping[str, str]) -> str:
    """The caller's trace id (W3C Trace Context), or a new one of our own."""
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return match[1] if match else uuid.uuid4().hex


def problem_of(error: Exception, route: str, trace: str) -> ApiProblem:
    """What the caller is told of an error, whatever it is; what is our fault is logged."""
    match error:
        case ApiProblem():
            return error
        case web.HTTPException():
            return _of_http(error)
        case Busy() | NoKey():
            pass
        case _ if not isinstance(error, TRANSIENT):
            log.error("request_broke", route=route, trace_id=trace, exc_info=error)
            return ApiProblem(ProblemCode.INTERNAL_ERROR)
    log.warning("busy", error=type(error).__name__)
    return ApiProblem(ProblemCode.BUSY, headers={"Retry-After": _BUSY_RETRY_S})


def problems_middleware(public_url: str, prefixes: tuple[str, ...]):  # type: ignore[no-untyped-def]  # aiohttp's own type
    """Turns what goes wrong below these paths into problems; pages have a middleware of their own."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(prefixes):
            return await handler(request)
        try:
            return await handler(request)
        except Exception as error:  # the border: whatever it was, the caller gets a problem
            trace = trace_id(request)
            return problem_response(problem_of(error, _pattern(request), trace), trace, public_url)

    return middleware


def _of_http(error: web.HTTPException) -> ApiProblem:
    match error:
        case web.HTTPNotFound():
            return ApiProblem(ProblemCode.NOT_FOUND)
        case web.HTTPMethodNotAllowed():
            return ApiProblem(ProblemCode.METHOD_NOT_ALLOWED, headers={"Allow": error.headers.get("Allow", "")})
        case web.HTTPRequestEntityTooLarge():
            return ApiProblem(ProblemCode.BODY_TOO_LARGE)
        case _:
            return ApiProblem(ProblemCode.MALFORMED_REQUEST)


def _pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "?"
