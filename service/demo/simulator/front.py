"""What every request passes first: a request id, the journal, the faults that are switched on."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from schemas.reasons import Reason
from service.demo.simulator import intuit_errors
from service.demo.simulator.faults import Fault, FaultKind, Host
from service.demo.simulator.intuit_errors import ApiFault, TokenError, TokenRefused
from service.demo.simulator.journal import Entry, code_digest
from service.demo.simulator.state import ENTRY, STATE, State

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Neither counted nor disturbed: the control API, and what makes a page look right.
_BACKSTAGE = ("/_sim", "/assets/")

_HTML = "<!doctype html><title>Intuit (simulated)</title><h1>We'll be right back</h1>"


def front(host: Host) -> Middleware:
    """The middleware of one host."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(_BACKSTAGE):
            return await handler(request)
        state = request.app[STATE]
        entry = await _enter(state, host, request)
        request[ENTRY] = entry
        status: int | None = None
        try:
            response = await _serve(state, host, entry, request, handler)
            response.headers[_id_header(state)] = entry.intuit_tid
            status = response.status
            return response
        except web.HTTPException as refusal:
            refusal.headers[_id_header(state)] = entry.intuit_tid
            status = refusal.status
            raise
        finally:
            cut = entry.fault in (FaultKind.DROP, FaultKind.REFUSE)
            state.journal.answered(entry, None if cut else status)

    return middleware


def _id_header(state: State) -> str:
    return state.play.request_id_header if state.play else "intuit_tid"


async def _enter(state: State, host: Host, request: web.Request) -> Entry:
    entry = Entry(
        number=state.journal.total + 1,
        at=state.clock(),
        host=host,
        endpoint=request.match_info.route.name or "unknown",
        method=request.method,
        path=_path_without_secrets(request),
        intuit_tid=_new_tid(state),
        realm=request.match_info.get("realm"),
    )
    if entry.endpoint == "token":
        form = await request.post()
        grants = state.world.grants
        entry.grant_type = str(form.get("grant_type", ""))[:40]
        code, token = str(form.get("code", "")), str(form.get("refresh_token", ""))
        entry.realm = grants.realm_of_code(code) or grants.realm_of_token(token)
        entry.code_sha256 = code_digest(code) if code else None
    state.journal.arrived(entry)
    return entry


def _path_without_secrets(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else request.path[:200]


def _new_tid(state: State) -> str:
    return f"1-{int(state.clock().timestamp()):08x}-{secrets.token_hex(12)}"


async def _serve(state: State, host: Host, entry: Entry, request: web.Request, handler: Handler) -> web.StreamResponse:
    for fault in state.faults.take(host, entry.endpoint, entry.realm):
        entry.fault = fault.kind
        match fault.kind:
            case FaultKind.SLOW:
                await _hold(fault)
            case FaultKind.DROP:
                # The work is done and the answer is lost: the case that costs a rotated token or a used code.
                response = await handler(request)
                _cut(request)
                return response
            case FaultKind.REFUSE:
                _cut(request)
                return web.Response(status=500)
            case FaultKind.EDIT:
                return _edited(await handler(request), fault)
            case FaultKind.HTML:
                return web.Response(text=_HTML, content_type="text/html")
            case FaultKind.BODY:
                return web.Response(text=fault.body, status=fault.status or 200, content_type=fault.content_type)
            case FaultKind.CLIENT_SECRET:
                if state.play:
                    refused_with, body = state.play.refusal("token", Reason.CLIENT_REJECTED)
                    return web.json_response(body, status=refused_with)
                return token_refusal(request, TokenRefused(TokenError.INVALID_CLIENT))
            case FaultKind.STATUS:
                return _status_answer(host, fault, request)
    return await handler(request)


async def _hold(fault: Fault) -> None:
    try:
        async with asyncio.timeout(fault.seconds):
            await fault.lifted.wait()
    except TimeoutError:
        return  # it was held for as long as the switch says


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _edited(response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    if not isinstance(response, web.Response) or response.content_type != "application/json":
        return response
    document = json.loads(response.text or "{}") | fault.fields
    kept = {name: value for name, value in document.items() if value is not None}
    return web.json_response(kept, status=response.status)


def _status_answer(host: Host, fault: Fault, request: web.Request) -> web.Response:
    status = fault.status or 503
    play = request.app[STATE].play
    if play:
        response = web.json_response(play.unwell(), status=status)
    elif host is Host.API:
        problem = intuit_errors.throttled() if status == 429 else intuit_errors.system_failure(status)
        response = api_refusal(request, problem)
    elif host is Host.OAUTH:
        error = {429: "too_many_requests", 500: "server_error"}.get(status, "temporarily_unavailable")
        response = web.json_response({"error": error}, status=status)
    else:
        response = web.Response(text=_HTML, content_type="text/html", status=status)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def api_refusal(request: web.Request, fault: ApiFault) -> web.Response:
    """A fault of the API in the form that the caller accepts."""
    state = request.app[STATE]
    request[ENTRY].error = fault.code
    settings = state.world.settings
    hidden = settings.faults_with_http_200 and fault.origin is intuit_errors.Origin.SERVICE
    status = 200 if hidden else fault.http_status
    if wants_json(request):
        text, content_type = fault.as_json(state.clock()), "application/json"
    else:
        text, content_type = fault.as_xml(state.clock()), "application/xml"
    return web.Response(text=text, status=status, content_type=content_type, headers=fault.headers)


def wants_json(request: web.Request) -> bool:
    """The API speaks XML to everybody who doesn't ask for JSON. GraphQL knows JSON alone."""
    return request.path.endswith("/graphql") or "application/json" in request.headers.get("Accept", "")


def token_refusal(request: web.Request, refused: TokenRefused) -> web.Response:
    request[ENTRY].error = refused.error
    return web.json_response(
        refused.as_json(), status=refused.http_status, headers={"Cache-Control": "no-store", "Pragma": "no-cache"}
    )
