"""Access tokens over HTTP, for the sync engine; and grants that a host brings along."""

from datetime import timedelta

from aiohttp import web

from schemas import api
from schemas.ids import Generation
from schemas.lifecycle import Refused
from schemas.problems import ProblemCode
from service.http.context import Call
from service.http.problems import ApiProblem, refused
from service.oauth.refresh import Denied, NoToken
from service.oauth.tokens import RefusedToken

_PROBLEM = {
    NoToken.NOT_CONNECTED: ProblemCode.NO_CREDENTIAL,
    NoToken.NEEDS_REAUTHORISATION: ProblemCode.NO_CREDENTIAL,
    NoToken.PROVIDER_UNAVAILABLE: ProblemCode.PROVIDER_UNAVAILABLE,
    NoToken.CLIENT_REJECTED: ProblemCode.PROVIDER_UNAVAILABLE,
}


async def get_token(call: Call) -> web.Response:
    body = call.body(api.TokenRequest)
    told = body.refused
    refused_token = RefusedToken(Generation(told.generation), told.rotation) if told else None
    min_ttl = timedelta(seconds=body.min_ttl_s)
    token = await call.parts.tokens.access_token(
        call.caller.tenant, call.connector, min_ttl, call.caller.subject, refused_token
    )
    if isinstance(token, Denied):
        if token.why is NoToken.NOT_CONNECTED:
            await call.found()  # another tenant's connector is told apart from none by nobody
        wait = {"Retry-After": str(max(1, round(token.retry_after.total_seconds())))} if token.retry_after else {}
        raise ApiProblem(_PROBLEM[token.why], token.reason.value if token.reason else "", headers=wait)
    return call.answer(token)


async def import_credential(call: Call) -> web.Response:
    tenant = call.caller.tenant
    taken = await call.parts.importer.take_in(
        tenant, call.connector, call.body(api.ImportCredential), call.actor, call.trace
    )
    if isinstance(taken, Refused):
        raise refused(taken)
    attempt = await call.parts.flow.attempt(tenant=tenant, attempt=taken)
    assert attempt is not None
    return call.answer(attempt, headers={"Location": f"/v1/attempts/{taken}"})
