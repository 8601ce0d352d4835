"""The fleet over HTTP: how all connectors stand, who must act, how far attempts come, what providers answer."""

import re
from datetime import UTC, datetime, timedelta

from aiohttp import web

from schemas.ids import ProviderId
from schemas.problems import ProblemCode
from service.http.context import Call
from service.http.problems import ApiProblem
from service.http.query import instant, wrong
from service.insight import fleet, funnel
from service.insight.fleet import BeforeTheLog

LOOK_BACK = timedelta(days=30)
_PROVIDER = re.compile(r"[a-z0-9-]{1,64}")


async def get_fleet(call: Call) -> web.Response:
    then = as_of(call)
    try:
        told = await fleet.fleet(call.parts.pool, call.parts.counter, call.caller.only, then)
    except BeforeTheLog as error:
        raise ApiProblem(ProblemCode.BEFORE_THE_LOG, str(error)) from None
    return call.answer(told)


async def get_funnel(call: Call) -> web.Response:
    since, until = _time(call, LOOK_BACK)
    return call.answer(
        await funnel.funnel(call.parts.pool, call.parts.counter, call.caller.only, _provider(call), since, until)
    )


def as_of(call: Call) -> datetime | None:
    """The instant that is asked for; `None`: now."""
    given = call.request.query.get("as_of")
    return instant(given, "as_of") if given is not None else None


def _time(call: Call, back: timedelta) -> tuple[datetime, datetime]:
    """From when to when, the second not in it."""
    since, until = call.request.query.get("since"), call.request.query.get("until")
    now = datetime.now(UTC)
    to = min(instant(until, "until"), now) if until is not None else now
    begin = instant(since, "since") if since is not None else _before(to, back)
    if begin >= to:
        raise wrong("since")
    return begin, to


def _before(at: datetime, back: timedelta) -> datetime:
    try:
        return at - back
    except OverflowError:
        raise wrong("until") from None


def _provider(call: Call) -> ProviderId | None:
    given = call.request.query.get("provider")
    if given is not None and not _PROVIDER.fullmatch(given):
        raise wrong("provider")
    return ProviderId(given) if given is not None else None
