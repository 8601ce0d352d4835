"""Connectors over HTTP: list, register, see, rename, disconnect, delete, history."""

from datetime import UTC, datetime, timedelta

import orjson
from aiohttp import web

from schemas import api
from schemas.ids import ConnectorId, ProviderId
from schemas.lifecycle import Refused, State
from schemas.problems import ProblemCode
from schemas.reasons import Reason
from service.engine import records
from service.http.context import Call
from service.http.problems import ApiProblem, refused
from service.http.query import (
    PROVIDER,
    after_of,
    cursor_of,
    instant,
    limit_of,
    matching,
    moment,
    next_page,
    word,
    wrong,
)
from service.insight import travel
from service.insight.travel import BeforeTheLog
from service.oauth.words import words_of
from service.store import reads
from service.store.reads import Ends
from statemachine import decide
from statemachine.connector import Connector
from statemachine.inputs import Delete, Disconnect, Register, Update, VerifiedAgain


async def list_connectors(call: Call) -> web.Response:
    state, provider = word(call, "state", State), matching(call, "provider", PROVIDER)
    after, before, limit = after_of(call), moment(call, "expiring_before"), limit_of(call)
    async with call.parts.pool.acquire() as connection:
        found, more = await reads.connectors(connection, call.caller.tenant, after, state, provider, before, limit)
        ends = await reads.ends(connection, [c.id for c in found])
    headers = next_page(call, {"after": found[-1].id}) if more else {}
    return call.answer(api.ConnectorList(connectors=[shown(call, c, ends.get(c.id)) for c in found]), headers=headers)


async def register_connector(call: Call) -> web.Response:
    body = call.body(api.RegisterConnector)
    registered = Register(
        connector=ConnectorId(body.connector_id),
        tenant=call.caller.tenant,
        provider=ProviderId(body.provider),
        name=body.name,
        connected=body.connected,
    )
    receipt = await call.submit(registered)
    return await _one(call, receipt.connector, {"Location": f"/v1/connectors/{body.connector_id}"})


async def get_connector(call: Call) -> web.Response:
    if (then := moment(call, "as_of")) is None:
        return await _one(call, (await call.found())[1])
    try:
        async with call.parts.pool.acquire() as connection:
            stood = await travel.stood(connection, call.connector, call.caller.tenant, then)
    except BeforeTheLog as error:
        raise ApiProblem(ProblemCode.BEFORE_THE_LOG, str(error)) from None
    if stood is None:
        raise refused(Refused.UNKNOWN_CONNECTOR)
    return call.answer(shown(call, stood, None), headers={"ETag": f'"{stood.version}"'})


async def update_connector(call: Call) -> web.Response:
    body = call.body(api.UpdateConnector)
    return await _one(call, (await call.submit(Update(connector=call.connector, name=body.name))).connector)


async def disconnect_connector(call: Call) -> web.Response:
    return await _one(call, (await call.submit(Disconnect(connector=call.connector))).connector)


async def verify_connector(call: Call) -> web.Response:
    """The table is asked before the provider is: what it refuses anyway costs no call."""
    pk, connector = await call.found()
    asked = VerifiedAgain(connector=call.connector, generation=connector.generation)
    if isinstance(why := decide(connector, asked, datetime.now(UTC)).why, Refused):
        raise refused(why)
    finding = await call.parts.saved.find(pk, call.caller.subject)
    if finding is None:
        raise refused(Refused.NO_CREDENTIAL)
    told = VerifiedAgain(connector=call.connector, generation=finding.generation, reason=finding.reason)
    receipt = await call.submit(told, finding.evidence)
    if finding.reason is not None and not finding.reason.needs_a_person:
        wait = max(1, round(finding.retry_after.total_seconds())) if finding.retry_after else 5
        raise ApiProblem(ProblemCode.PROVIDER_UNAVAILABLE, finding.reason, headers={"Retry-After": str(wait)})
    return await _one(call, receipt.connector)


async def delete_connector(call: Call) -> web.Response:
    await call.submit(Delete(connector=call.connector))
    return call.answer(None)


async def get_history(call: Call) -> web.Response:
    as_of = moment(call, "as_of")
    pk, _ = await call.found(even_deleted=as_of is not None)  # it was there, then
    cursor, limit = cursor_of(call), limit_of(call)
    place = cursor.get("place", 0)
    then = as_of or datetime.now(UTC) + timedelta(days=1)
    before = instant(str(cursor.get("before") or then + timedelta(microseconds=1)), "cursor")
    if not isinstance(place, int) or not 0 <= place < 2**63:
        raise wrong("cursor")
    async with call.parts.pool.acquire() as connection:
        page = await reads.history(connection, pk, before, place, limit)
    last = page.rows[-1] if page.rows else None
    more = next_page(call, {"before": last["at"].isoformat(), "place": last["place"]}) if page.more and last else {}
    entries = [
        api.HistoryEntry.model_validate(
            {
                **{name: row[name] for name in ("at", "outcome", "trigger", "version", "reason", "why", "step")},
                "from": row["from_state"],
                "to": row["to_state"],
                "attempt_id": str(row["attempt_id"]) if row["attempt_id"] else None,
                "correlation_id": row["correlation"],
                "actor": _json(row["actor"]),
                "evidence": _json(row["evidence"]),
                "expected_account": _json(row["expected"]),
                "seen_account": _json(row["seen"]),
            }
        )
        for row in page.rows
    ]
    return call.answer(api.History(entries=entries), headers=more)


async def _one(call: Call, connector: Connector, headers: dict[str, str] | None = None) -> web.Response:
    etag = {"ETag": f'"{connector.version}"'}
    async with call.parts.pool.acquire() as connection:
        ends = await reads.ends(connection, [connector.id])
    return call.answer(shown(call, connector, ends.get(connector.id)), headers={**etag, **(headers or {})})


def shown(call: Call, connector: Connector, ends: Ends | None) -> api.Connector:
    """A connector as callers see it."""
    expiring = connector.warned is not None and connector.state is State.HEALTHY
    reason = Reason.EXPIRING if expiring else connector.reason
    words = words_of(call.parts.providers, connector, reason, call.language) if reason else None
    return api.Connector.model_validate(
        {
            **records.connector_state(connector),
            "attempt_id": str(connector.attempt) if connector.attempt else None,
            "title": words.title if words else None,
            "words": words.words if words else None,
            "next": words.next if words else None,
            "offers_login": connector.reason is None or connector.reason.offers_login,
            "transient_failures": connector.transient_failures,
            "credential_ends": _ends(ends) if ends else None,
        }
    )


def _ends(ends: Ends) -> dict[str, object]:
    return {
        "at": ends.at,
        "estimated": ends.estimated,
        "idle_at": ends.idle,
        "hard_at": ends.hard,
        "hard_estimated": ends.hard_estimated,
        "announced_at": ends.announced,
    }


def _json(value: str | None) -> object:
    return orjson.loads(value) if value else None
