"""Webhooks over HTTP: how each endpoint stands, and what it never accepted. For who speaks for the whole fleet."""

from aiohttp import web

from schemas import webhooks as bodies
from schemas.webhooks import WebhookStatus
from service.http.context import Call
from service.store import couriers as store
from service.store.couriers import Standing

GIVEN_UP_SHOWN = 50


async def list_webhooks(call: Call) -> web.Response:
    hosts = call.parts.endpoint_hosts
    async with call.parts.pool.acquire() as connection:
        standings = await store.standings(connection, hosts)
        given_up = [
            bodies.GivenUp(
                endpoint=name,
                tenant_id=one.tenant,
                connector_id=one.connector,
                version=one.version,
                at=one.at,
                since=one.since,
                tries=one.tries,
                failure=one.failure,
            )
            for name in hosts
            for one in await store.given_up(connection, name, GIVEN_UP_SHOWN)
        ]
    endpoints = [_shown(one, hosts[one.endpoint]) for one in standings]
    return call.answer(bodies.Webhooks(endpoints=endpoints, given_up=given_up))


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
