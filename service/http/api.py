"""The API, registered from the table of routes. A route without its handler is no start.

Whoever asks, by a socket or from a page of this process, comes through `Api.perform`.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import orjson
from aiohttp import web

from schemas.problems import ProblemCode
from schemas.routes import ROUTES, Route
from service.http import (
    attempts,
    catalogues,
    connectors,
    console,
    contacts,
    events,
    fleet,
    letters,
    stories,
    tokens,
    webhooks,
)
from service.http.auth import Authenticator, Caller
from service.http.context import LARGEST_BODY, Call, Parts, Request, request_by_name, request_of
from service.http.problems import ApiProblem, problem_of, problem_response, problems_middleware
from service.http.streams import EventStream
from service.store import idempotency

Operation: TypeAlias = Callable[[Call], Awaitable[web.Response | EventStream]]

_MODULES: tuple[ModuleType, ...] = (
    connectors,
    contacts,
    stories,
    attempts,
    tokens,
    catalogues,
    fleet,
    letters,
    webhooks,
    events,
    console,
)
_ANSWERS_SECRETS = frozenset({"get_token", "open_attempt", "create_handoff", "open_console"})
"""Their answers hold a token or a link that signs somebody in, so they aren't kept: a repeat is done again."""

_KEY = re.compile(r"[\x20-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page of this process gets: what a caller over HTTP would have got."""

    status: int
    headers: Mapping[str, str]
    json: Any
    """The decoded body; a problem (RFC 9457) where the status says so, `None` where there is no body."""

    @property
    def is_well(self) -> bool:
        return self.status < 400


class Api:
    """Every operation of the API, whoever asks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._routes = {route.name: (route, operation_of(route)) for route in ROUTES}

    async def perform(self, name: str, caller: Caller, request: Request) -> web.Response | EventStream:
        """Does what is asked, once for an Idempotency-Key. Raises `ApiProblem`."""
        route, operation = self._routes[name]
        caller.check(route.scope)
        call = Call(request, route, caller.on(route.reach, request.headers), self._parts)
        key = _key(request) if route.takes_idempotency_key else None
        if key is None or route.name in _ANSWERS_SECRETS:
            return await operation(call)
        return await _once(call, key, operation)

    async def ask(
        self,
        name: str,
        caller: Caller,
        params: Mapping[str, str] = {},
        *,
        query: Mapping[str, str] = {},
        body: object = None,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """What the operation of that name answers a caller of this process; a problem is an answer, too."""
        route, _ = self._routes[name]
        request = request_by_name(route, params, query, body, headers)
        try:
            response = await self.perform(name, caller, request)
            assert isinstance(response, web.Response), f"{name} is a stream: `follow` it"
        except Exception as error:  # the border, as for callers over HTTP
            problem = problem_of(error, route.path, request.trace_id)
            response = problem_response(problem, request.trace_id, self._parts.public_url)
        text = response.body if isinstance(response.body, bytes | bytearray) else b""
        return Answer(response.status, response.headers, orjson.loads(text) if text else None)

    async def follow(
        self, name: str, caller: Caller, *, query: Mapping[str, str] = {}, headers: Mapping[str, str] = {}
    ) -> AsyncGenerator[bytes, None]:
        """The events of a stream (HTML's `text/event-stream`), for a page of this process. Raises `ApiProblem`."""
        route, _ = self._routes[name]
        stream = await self.perform(name, caller, request_by_name(route, {}, query, None, headers))
        assert isinstance(stream, EventStream), f"{name} is no stream: `ask` it"
        return stream.events


def build_api(app: web.Application, parts: Parts, authenticator: Authenticator) -> Api:
    """Adds the API to an application; returns it for the pages of this process."""
    api = Api(parts)
    app.middlewares.append(problems_middleware(parts.public_url, ("/v1/",)))

    async def end_streams(_: web.Application) -> None:
        parts.feed.close()

    app.on_shutdown.append(end_streams)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _handler(route, api, authenticator))
    return api


def operation_of(route: Route) -> Operation:
    """The function of the route's name."""
    found = [getattr(module, route.name) for module in _MODULES if hasattr(module, route.name)]
    if len(found) != 1:
        raise LookupError(f"the route {route.name} has {len(found)} handlers")
    operation: Operation = found[0]
    return operation


def _handler(
    route: Route, api: Api, authenticator: Authenticator
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await authenticator.caller(request)
        caller.check(route.scope)  # before its body is read
        answer = await api.perform(route.name, caller, request_of(request, await body_of(request)))
        return await answer.send(request) if isinstance(answer, EventStream) else answer

    return handle


async def body_of(request: web.Request) -> bytes:
    """A request's body. Raises `ApiProblem` for one that is too large."""
    if (request.content_length or 0) > LARGEST_BODY:
        raise ApiProblem(ProblemCode.BODY_TOO_LARGE)
    raw = await request.content.read(LARGEST_BODY + 1)
    while len(raw) <= LARGEST_BODY and (more := await request.content.read(LARGEST_BODY + 1 - len(raw))):
        raw += more
    if len(raw) > LARGEST_BODY:
        raise ApiProblem(ProblemCode.BODY_TOO_LARGE)
    return raw


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise ApiProblem(ProblemCode.MALFORMED_REQUEST, "The Idempotency-Key must be 1 to 200 characters of ASCII.")
    return key


async def _once(call: Call, key: str, operation: Operation) -> web.Response | EventStream:
    """The first answer under this key; a repeat gets it again."""
    asked = f"{call.route.method} {call.request.rel_url.path}\n".encode() + call.request.body
    hashed = hashlib.sha256(asked).digest()
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
    assert isinstance(response, web.Response), "no POST is a stream"
    kept = {
        str(name): value for name, value in response.headers.items() if name in ("ETag", "Location", "Content-Type")
    }
    async with pool.acquire() as connection:
        body = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
        await idempotency.keep(connection, tenant, key, response.status, orjson.dumps(kept).decode(), body)
    return response
