"""Attempts over HTTP: open, see, hand on, complete, cancel."""

from aiohttp import web

from schemas import api
from schemas.ids import TenantId
from schemas.lifecycle import Ignored, Outcome
from schemas.problems import ProblemCode
from schemas.secret import Secret
from service.engine.submission import Receipt
from service.http.context import Call
from service.http.problems import ApiProblem, refused
from service.oauth.flow import UnregisteredReturnUrl
from service.oauth.limits import TooMany
from service.oauth.window import Dead


async def open_attempt(call: Call) -> web.Response:
    body = call.body(api.OpenAttempt)
    try:
        opened = await call.parts.flow.open(
            tenant=call.caller.tenant,
            connector=call.connector,
            person=body.person,
            return_url=body.return_url,
            actor=call.actor,
            trace=call.trace,
        )
    except UnregisteredReturnUrl:
        raise ApiProblem(ProblemCode.RETURN_URL_NOT_ALLOWED) from None
    except TooMany as refused_for_now:
        wait = {"Retry-After": str(refused_for_now.retry_after_s)}
        raise ApiProblem(ProblemCode.TOO_MANY_REQUESTS, f"Too many {refused_for_now}.", headers=wait) from None
    if isinstance(opened, Receipt):
        raise refused(opened.why)
    return call.answer(opened.attempt, headers={"Location": f"/v1/attempts/{opened.attempt.attempt_id}"})


async def get_attempt(call: Call) -> web.Response:
    return call.answer(await _known(call))


async def create_handoff(call: Call) -> web.Response:
    handoff = await call.parts.flow.new_handoff(
        tenant=_tenant(call),
        attempt=call.attempt,
        person=call.body(api.Person),
        actor=call.actor,
        trace=call.trace,
    )
    if handoff is None:
        raise ApiProblem(ProblemCode.UNKNOWN_ATTEMPT)
    if isinstance(handoff, Receipt):
        running = handoff.why is Ignored.GRANT_ALREADY_RECEIVED
        raise ApiProblem(ProblemCode.VERIFICATION_RUNNING if running else ProblemCode.ATTEMPT_ENDED)
    return call.answer(handoff)


async def complete_attempt(call: Call) -> web.Response:
    body = call.body(api.CompleteAttempt)
    await _known(call)
    receipt = await call.parts.flow.complete(
        tenant=_tenant(call),
        attempt=call.attempt,
        completion_token=Secret(body.completion_token),
        person_id=body.person_id,
        actor=call.actor,
        trace=call.trace,
    )
    if isinstance(receipt, Dead):
        raise ApiProblem(ProblemCode.COMPLETION_REFUSED)
    if receipt.outcome is Outcome.IGNORED and receipt.why is not Ignored.GRANT_ALREADY_RECEIVED:
        raise ApiProblem(ProblemCode.ATTEMPT_ENDED)
    return call.answer(await _known(call))


async def cancel_attempt(call: Call) -> web.Response:
    receipt = await call.parts.flow.cancel(
        tenant=_tenant(call), attempt=call.attempt, actor=call.actor, trace=call.trace
    )
    if receipt is None:
        raise ApiProblem(ProblemCode.UNKNOWN_ATTEMPT)
    if receipt.why is Ignored.GRANT_ALREADY_RECEIVED:
        raise ApiProblem(ProblemCode.VERIFICATION_RUNNING)
    return call.answer(await _known(call))


async def _known(call: Call) -> api.Attempt:
    attempt = await call.parts.flow.attempt(tenant=_tenant(call), attempt=call.attempt)
    if attempt is None:
        raise ApiProblem(ProblemCode.UNKNOWN_ATTEMPT)
    return attempt


def _tenant(call: Call) -> TenantId:
    return call.caller.tenant
