"""The API, registered from the table of routes. A route without its handler is no start."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import TypeAlias

import orjson
from aiohttp import web

from schemas.problems import ProblemCode
from schemas.routes import ROUTES, Route
from service.http import attempts, catalogues, connectors, tokens
from service.http.auth import Authenticator
from service.http.context import LARGEST_BODY, Call, Parts
from service.http.problems import ApiProblem, problems_middleware
from service.store import idempotency

Operation: TypeAlias = Callable[[Call], Awaitable[web.Response]]

_MODULES: tuple[ModuleType, ...] = (connectors, attempts, tokens, catalogues)
_ANSWERS_SECRETS = frozenset({"get_token", "open_attempt", "create_handoff"})
"""Their answers hold a token or a link that signs somebody in, so they aren't kept: a repeat is done again."""

_KEY = re.compile(r"[\x20-\x7e]{1,200}")


def build_api(app: web.Application, parts: Parts, authenticator: Authenticator) -> None:
    """Adds the API to an application."""
    app.middlewares.append(problems_middleware(parts.public_url, ("/v1/",)))
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _handler(route, operation_of(route), parts, authenticator))


def operation_of(route: Route) -> Operation:
    """The function of the route's name."""
    found = [getattr(module, route.name) for module in _MODULES if hasattr(module, route.name)]
    if len(found) != 1:
        raise LookupError(f"the route {route.name} has {len(found)} handlers")
    operation: Operation = found[0]
    return operation


def _handler(
    route: Route, operation: Operation, parts: Parts, authenticator: Authenticator
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await authenticator.caller(request, route.scope)
        raw = await _body(request)
        call = Call(request, route, caller, parts, raw)
        key = _key(request) if route.takes_idempotency_key else None
        if key is None or route.name in _ANSWERS_SECRETS:
            return await operation(call)
        return await _once(call, key, operation)

    return handle


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > LARGEST_BODY:
        raise ApiProblem(ProblemCode.BODY_TOO_LARGE)
    raw = await request.content.read(LARGEST_BODY + 1)
    while len(raw) <= LARGEST_BODY and (more := await request.content.read(LARGEST_BODY + 1 - len(raw))):
        raw += more
    if len(raw) > LARGEST_BODY:
        raise ApiProblem(ProblemCode.BODY_TOO_LARGE)
    return raw


def _key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise ApiProblem(ProblemCode.MALFORMED_REQUEST, "The Idempotency-Key must be 1 to 200 characters of ASCII.")
    return key


async def _once(call: Call, key: str, operation: Operation) -> web.StreamResponse:
    """The first answer under this key; a repeat gets it again."""
    hashed = hashlib.sha256(f"{call.route.method} {call.request.path}\n".encode() + call.raw).digest()
    tenant, pool = call.caller.tenant, call.parts.pool
    async with pool.acquire() as connection:
        known = await idempotency.claim(connection, tenant, key, hashed)
    if known is not None:
        if known.request_hash != hashed:
            raise ApiProblem(ProblemCode.IDEMPOTENCY_KEY_REUSED)
        if known.status is None:
            raise ApiProblem(ProblemCode.REQUEST_RUNNING, headers={"Retry-After": "1"})
        return web.Response(body=known.body, status=known.status, headers=orjson.loads(known.headers or "{}"))
    try:
        response = await operation(call)
    except BaseException:
        async with pool.acquire() as connection:
            await idempotency.forget(connection, tenant, key)
        raise
    kept = {
        str(name): value for name, value in response.headers.items() if name in ("ETag", "Location", "Content-Type")
    }
    async with pool.acquire() as connection:
        body = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
        await idempotency.keep(connection, tenant, key, response.status, orjson.dumps(kept).decode(), body)
    return response
