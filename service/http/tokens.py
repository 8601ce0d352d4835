"""Access tokens over HTTP, for the sync engine."""

from datetime import timedelta

from aiohttp import web

from schemas import api
from schemas.problems import ProblemCode
from service.http.context import Call
from service.http.problems import ApiProblem
from service.oauth.tokens import Denied, NoToken

_PROBLEM = {
    NoToken.NOT_CONNECTED: ProblemCode.NO_CREDENTIAL,
    NoToken.NEEDS_REAUTHORISATION: ProblemCode.NO_CREDENTIAL,
    NoToken.UNKNOWN: ProblemCode.UNKNOWN_CONNECTOR,
    NoToken.PROVIDER_UNAVAILABLE: ProblemCode.PROVIDER_UNAVAILABLE,
    NoToken.CLIENT_REJECTED: ProblemCode.PROVIDER_UNAVAILABLE,
}


async def get_token(call: Call) -> web.Response:
    body = call.body(api.TokenRequest)
    token = await call.parts.tokens.access_token(
        call.caller.tenant, call.connector, timedelta(seconds=body.min_ttl_s), call.caller.subject
    )
    if isinstance(token, Denied):
        wait = {"Retry-After": str(max(1, round(token.retry_after.total_seconds())))} if token.retry_after else {}
        raise ApiProblem(_PROBLEM[token.why], token.reason.value if token.reason else "", headers=wait)
    return call.answer(token)
