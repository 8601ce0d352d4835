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


def problem_response(request: web.Request, problem: ApiProblem, public_url: str) -> web.Response:
    """The answer for a problem."""
    entry = problem.code.entry
    body: dict[str, object] = {
        "type": f"{public_url}/help/problems/{problem.code}",
        "title": entry.title,
        "status": entry.status,
        "detail": problem.detail or entry.title,
        "code": problem.code,
        "retryable": entry.retryable,
        "action": entry.action,
        "trace_id": trace_id(request),
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
    """The caller's trace id (W3C Trace Context), or one of our own."""
    if _TRACE_ID not in request:
        match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        request[_TRACE_ID] = match[1] if match else uuid.uuid4().hex
    return request[_TRACE_ID]


def problems_middleware(public_url: str, prefixes: tuple[str, ...]):  # type: ignore[no-untyped-def]  # aiohttp's own type
    """Turns what goes wrong below these paths into problems; pages have a middleware of their own."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(prefixes):
            return await handler(request)
        try:
            return await handler(request)
        except ApiProblem as problem:
            return problem_response(request, problem, public_url)
        except web.HTTPException as error:
            return problem_response(request, _of_http(error), public_url)
        except (Busy, NoKey, *TRANSIENT) as error:  # type: ignore[misc]  # a tuple of classes
            log.warning("busy", error=type(error).__name__)
            busy = ApiProblem(ProblemCode.BUSY, headers={"Retry-After": _BUSY_RETRY_S})
            return problem_response(request, busy, public_url)
        except Exception:
            log.exception("request_broke", route=_pattern(request), trace_id=trace_id(request))
            return problem_response(request, ApiProblem(ProblemCode.INTERNAL_ERROR), public_url)

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
