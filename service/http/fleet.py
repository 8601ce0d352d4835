"""The fleet over HTTP: how all connectors stand, who must act, how far attempts come, what providers answer."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

from schemas import api
from schemas import fleet as bodies
from schemas.acting import WhoActs
from schemas.ids import ProviderId, TenantId
from schemas.lifecycle import State
from schemas.problems import ProblemCode
from schemas.reasons import Origin, Reason
from service.http.connectors import shown
from service.http.context import Call
from service.http.problems import ApiProblem
from service.http.query import PROVIDER, after_of, limit_of, matching, moment, next_page, word, words, wrong
from service.insight import errors, fleet, funnel, listing, times
from service.insight.listing import Page, Wanted
from service.insight.travel import BeforeTheLog
from service.store import reads

LOOK_BACK = timedelta(days=30)
ERRORS_LOOK_BACK = timedelta(days=1)
MOST_ENDS = 1000
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_TENANT = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_DAYS = re.compile(r"[0-9]{1,4}", re.ASCII)

Told = TypeVar("Told")


async def get_fleet(call: Call) -> web.Response:
    asked = fleet.fleet(call.parts.pool, call.parts.counter, call.caller.only, moment(call, "as_of"))
    return call.answer(await _within_the_log(asked))


async def get_funnel(call: Call) -> web.Response:
    return await _counted(call, funnel.funnel, LOOK_BACK)


async def get_times(call: Call) -> web.Response:
    return await _counted(call, times.times, LOOK_BACK)


async def get_errors(call: Call) -> web.Response:
    return await _counted(call, errors.errors, ERRORS_LOOK_BACK)


async def list_fleet_connectors(call: Call) -> web.Response:
    provider = matching(call, "provider", PROVIDER)
    wanted = Wanted(
        tenant=_tenant(call),
        state=word(call, "state", State),
        provider=ProviderId(provider) if provider else None,
        reason=word(call, "reason", Reason),
        origin=word(call, "origin", Origin),
        acts=word(call, "who_acts", WhoActs),
        text=matching(call, "q", _TEXT),
        moved_from=words(call, "moved_from", State),
        moved_to=word(call, "moved_to", State),
    )
    after, limit, then, pool = after_of(call), limit_of(call), moment(call, "as_of"), call.parts.pool
    if then is not None:
        page = await _within_the_log(listing.page_then(pool, wanted, then, after, limit))
        return _page(call, page, [shown(call, c, None) for c in page.connectors])
    async with pool.acquire() as connection:
        page = await listing.page(connection, wanted, after, limit)
        ends = await reads.ends(connection, [c.id for c in page.connectors])
    return _page(call, page, [shown(call, c, ends.get(c.id)) for c in page.connectors])


async def list_expiring(call: Call) -> web.Response:
    within = int(matching(call, "within", _DAYS) or 30)
    if within > 3650:
        raise wrong("within")
    async with call.parts.pool.acquire() as connection:
        found = await reads.endings(connection, timedelta(days=within), MOST_ENDS + 1, call.caller.only)
    listed = [
        bodies.NearEnd(
            tenant_id=one.tenant,
            connector_id=one.connector,
            provider=one.provider,
            state=one.state,
            ends_at=one.ends_at,
            estimated=one.estimated,
            warned_at=one.warned,
        )
        for one in found[:MOST_ENDS]
    ]
    return call.answer(bodies.Expiring(connectors=listed, more=len(found) > MOST_ENDS))


def _page(call: Call, page: Page, connectors: list[api.Connector]) -> web.Response:
    headers = next_page(call, {"after": page.next}) if page.next else {}
    return call.answer(api.ConnectorList(connectors=connectors), headers=headers)


def _tenant(call: Call) -> TenantId | None:
    """Whose connectors: a caller of one tenant sees its own, whomever it names."""
    named = matching(call, "tenant", _TENANT)
    return call.caller.only or (TenantId(named) if named else None)


async def _counted(call: Call, ask: Callable[..., Awaitable[BaseModel]], back: timedelta) -> web.Response:
    """What was counted of a time, and of a provider if one is named."""
    since, until = _time(call, back)
    provider = matching(call, "provider", PROVIDER)
    return call.answer(await ask(call.parts.pool, call.parts.counter, call.caller.only, provider, since, until))


def _time(call: Call, back: timedelta) -> tuple[datetime, datetime]:
    """From when to when, the second not in it; of the future nothing is known."""
    now = datetime.now(UTC)
    until = min(moment(call, "until") or now, now)
    try:
        since = min(moment(call, "since") or until - back, now)
    except OverflowError:
        raise wrong("until") from None
    return since, max(since, until)


async def _within_the_log(asked: Awaitable[Told]) -> Told:
    try:
        return await asked
    except BeforeTheLog as error:
        raise ApiProblem(ProblemCode.BEFORE_THE_LOG, str(error)) from None
