"""Webhooks over HTTP: how each endpoint stands, what it never accepted, and sending that again. For the fleet's own."""

import re

from aiohttp import web

from schemas import webhooks as bodies
from schemas.ids import ConnectorId
from schemas.problems import ProblemCode
from schemas.webhooks import WebhookStatus
from service.http.context import Call
from service.http.problems import ApiProblem
from service.store import couriers as store
from service.store import given_up as given_up_store
from service.store.couriers import Standing
from service.store.given_up import GivenUp

_ID = re.compile(r"([0-9]{1,18})-([A-Za-z0-9._~-]{1,128})", re.ASCII)
GIVEN_UP_SHOWN = 50


async def list_webhooks(call: Call) -> web.Response:
    hosts = call.parts.endpoint_hosts
    async with call.parts.pool.acquire() as connection:
        standings = await store.standings(connection, hosts)
        given_up = [
            _given_up(name, one)
            for name in hosts
            for one in await given_up_store.newest(connection, name, GIVEN_UP_SHOWN)
        ]
    endpoints = [_shown(one, hosts[one.endpoint]) for one in standings]
    return call.answer(bodies.Webhooks(endpoints=endpoints, given_up=given_up))


async def send_given_up(call: Call) -> web.Response:
    """Has a courier send it once more; a repeat of the wish changes nothing."""
    name, match = call.request.match_info["endpoint"], _ID.fullmatch(call.request.match_info["given_up_id"])
    if match is None or name not in call.parts.endpoint_hosts:
        raise ApiProblem(ProblemCode.UNKNOWN_GIVEN_UP)
    async with call.parts.pool.acquire() as connection:
        who = call.caller.subject or "operator"
        found = await given_up_store.ask(connection, name, ConnectorId(match[2]), int(match[1]), who)
    if found is None:
        raise ApiProblem(ProblemCode.UNKNOWN_GIVEN_UP)
    return call.answer(_given_up(name, found))


def _given_up(endpoint: str, one: GivenUp) -> bodies.GivenUp:
    return bodies.GivenUp(
        given_up_id=f"{one.version}-{one.connector}",
        endpoint=endpoint,
        tenant_id=one.tenant,
        connector_id=one.connector,
        version=one.version,
        at=one.at,
        since=one.since,
        tries=one.tries,
        failure=one.failure,
        asked_at=one.asked_at,
    )


def _shown(standing: Standing, host: str) -> bodies.WebhookEndpoint:
    return bodies.WebhookEndpoint(
        name=standing.endpoint,
        host=host,
        status=_status(standing),
        to_read=standing.behind,
        waiting=standing.parked,
        waiting_since=standing.parked_since,
        accepted_at=standing.accepted_at,
        failing_since=standing.failing_since,
        failure=standing.failure,
        given_up=standing.given_up,
    )


def _status(standing: Standing) -> WebhookStatus:
    if not standing.has_begun:
        return WebhookStatus.NOT_STARTED
    if standing.failing_since is not None:
        return WebhookStatus.FAILING
    return WebhookStatus.BEHIND if standing.parked else WebhookStatus.WELL
