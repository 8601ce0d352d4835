"""The control API, `/_sim/…` on the accounts host: makes and breaks the world, for tests and the demo. JSON.

Without any authentication: who reaches the port may do everything, so it is for loopback and closed networks.
Bodies are checked strictly; an unknown company, person or field is answered 404 or 400 with `detail`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from aiohttp import web
from pydantic import ValidationError

from service.demo.simulator.control_bodies import (
    Body,
    CompanyChange,
    LifetimesChange,
    NewCompany,
    NewFault,
    NewGrant,
    NewInvoice,
    NewUser,
    Outage,
    Place,
    RedirectUri,
    SettingsChange,
    Skip,
)
from service.demo.simulator.faults import Host
from service.demo.simulator.grants import RevokeScope
from service.demo.simulator.state import STATE, State
from service.demo.simulator.world import Company, CompanyStatus


class Switchboard(Protocol):
    """What only the running simulator can do."""

    async def down(self, host: Host) -> None: ...
    async def up(self, host: Host) -> None: ...
    def down_for(self, host: Host, seconds: float) -> None: ...
    async def reset(self) -> None: ...


SWITCHBOARD = web.AppKey("switchboard", Switchboard)


Model = TypeVar("Model", bound=Body)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def control_app(state: State, switchboard: Switchboard) -> web.Application:
    app = web.Application(middlewares=[_refusals])
    app[STATE] = state
    app[SWITCHBOARD] = switchboard
    add = app.router
    add.add_get("/", overview)
    add.add_post("/reset", reset)
    add.add_get("/companies", companies)
    add.add_post("/companies", add_company)
    add.add_patch("/companies/{realm}", change_company)
    add.add_post("/companies/{realm}/invoices", add_invoice)
    add.add_post("/companies/{realm}/{deed:deactivate|reactivate|revoke|expire-access|expire-refresh}", deed)
    add.add_get("/users", users)
    add.add_post("/users", add_user)
    add.add_delete("/users/{email}", remove_user)
    add.add_put("/users/{email}/role", set_role)
    add.add_get("/grants", grants)
    add.add_post("/grants", add_grant)
    add.add_patch("/settings", change_settings)
    add.add_patch("/lifetimes", change_lifetimes)
    add.add_post("/client/redirect-uris", add_redirect_uri)
    add.add_get("/faults", faults)
    add.add_post("/faults", throw_fault)
    add.add_delete("/faults", lift_faults)
    add.add_delete("/faults/{id:[0-9]+}", lift_fault)
    add.add_post("/hosts/{host}/down", down)
    add.add_post("/hosts/{host}/up", up)
    add.add_post("/clock", skip_time)
    add.add_get("/counters", counters)
    add.add_get("/journal", journal)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return web.json_response({"detail": problems}, status=400)
    except KeyError as error:
        return web.json_response({"detail": f"unknown: {error.args[0]}"}, status=404)
    except ValueError as error:
        return web.json_response({"detail": str(error)}, status=400)


async def _body(request: web.Request, model: type[Model]) -> Model:
    return model.model_validate_json(await request.text() or "{}")


def _json(value: object, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, dumps=lambda document: json.dumps(document, default=str))


def _company_json(company: Company) -> dict[str, object]:
    shown: dict[str, object] = {
        name: getattr(company, name) for name in ("realm", "name", "legal_name", "status", "payments")
    }
    return shown | {"invoices": len(company.invoices)}


async def overview(request: web.Request) -> web.Response:
    state = request.app[STATE]
    lifetimes = dataclasses.asdict(state.world.settings.grants)
    return _json(
        {
            "addresses": dataclasses.asdict(state.addresses) | {"issuer": state.addresses.issuer},
            "client": {
                "client_id": state.world.client.client_id,
                "name": state.world.client.name,
                "redirect_uris": sorted(state.world.client.redirect_uris),
            },
            "companies": len(state.world.companies),
            "users": len(state.world.users),
            "grants": len(state.world.grants.all),
            "lifetimes": {
                name: value.total_seconds() if isinstance(value, timedelta) else value
                for name, value in lifetimes.items()
            },
            "time": state.clock(),
            "skipped_s": state.clock.skipped.total_seconds(),
        }
    )


async def reset(request: web.Request) -> web.Response:
    await request.app[SWITCHBOARD].reset()
    return _json({"reset": True})


async def companies(request: web.Request) -> web.Response:
    return _json([_company_json(company) for company in request.app[STATE].world.companies.values()])


async def add_company(request: web.Request) -> web.Response:
    wanted = await _body(request, NewCompany)
    company = request.app[STATE].world.add_company(wanted.realm, wanted.name, wanted.legal_name)
    company.status, company.payments = wanted.status, wanted.payments
    return _json(_company_json(company), status=201)


async def change_company(request: web.Request) -> web.Response:
    company = _company(request)
    for name, value in (await _body(request, CompanyChange)).model_dump(exclude_none=True).items():
        setattr(company, name, value)
    return _json(_company_json(company))


async def add_invoice(request: web.Request) -> web.Response:
    state, wanted = request.app[STATE], await _body(request, NewInvoice)
    invoice = _company(request).add_invoice(wanted.customer, wanted.total, state.clock())
    return _json({"id": invoice.id, "doc_number": invoice.doc_number}, status=201)


async def deed(request: web.Request) -> web.Response:
    """Something happens to one company or to what was granted for it. `grants` says how many it hit."""
    company, known = _company(request), request.app[STATE].world.grants
    hit = 0
    match request.match_info["deed"]:
        case "deactivate":
            company.status = CompanyStatus.ENDED
        case "reactivate":
            company.status = CompanyStatus.ACTIVE
        case "revoke":
            hit = known.disconnect(company.realm)
        case "expire-access":
            hit = known.expire_access_tokens(company.realm)
        case "expire-refresh":
            hit = known.expire_refresh_tokens(company.realm)
    return _json(_company_json(company) | {"grants": hit})


def _company(request: web.Request) -> Company:
    return request.app[STATE].world.companies[request.match_info["realm"]]


async def users(request: web.Request) -> web.Response:
    return _json(
        [
            {
                "sub": user.sub,
                "email": user.email,
                "name": user.name,
                "companies": [
                    {"realm": realm, "role": place.role, "active": place.active}
                    for realm, place in user.memberships.items()
                ],
            }
            for user in request.app[STATE].world.users.values()
        ]
    )


async def add_user(request: web.Request) -> web.Response:
    wanted = await _body(request, NewUser)
    world = request.app[STATE].world
    places = [(place.realm, place.role) for place in wanted.companies]
    user = world.add_user(wanted.email, wanted.password, wanted.name, places, wanted.hint)
    for place in wanted.companies:
        world.set_role(wanted.email, place.realm, place.role, active=place.active)
    return _json({"sub": user.sub, "email": user.email}, status=201)


async def remove_user(request: web.Request) -> web.Response:
    request.app[STATE].world.remove_user(request.match_info["email"])
    return web.Response(status=204)


async def set_role(request: web.Request) -> web.Response:
    place = await _body(request, Place)
    request.app[STATE].world.set_role(request.match_info["email"], place.realm, place.role, active=place.active)
    return _json(place.model_dump())


async def grants(request: web.Request) -> web.Response:
    """What was granted, without any token."""
    return _json(
        [
            {
                "id": grant.id,
                "realm": grant.realm,
                "sub": grant.sub,
                "scopes": sorted(grant.scopes),
                "state": grant.state,
                "consented_at": grant.consented_at,
                "refreshes": grant.refreshes,
            }
            for grant in request.app[STATE].world.grants.all
        ]
    )


async def add_grant(request: web.Request) -> web.Response:
    wanted = await _body(request, NewGrant)
    tokens = request.app[STATE].world.grant_without_pages(wanted.email, wanted.realm, frozenset(wanted.scopes))
    return _json(
        {
            "grant": tokens.grant.id,
            "sub": tokens.grant.sub,
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_in": int(tokens.expires_in.total_seconds()),
            "x_refresh_token_expires_in": int(tokens.refresh_expires_in.total_seconds()),
        },
        status=201,
    )


async def change_settings(request: web.Request) -> web.Response:
    settings = request.app[STATE].world.settings
    changed = (await _body(request, SettingsChange)).model_dump(exclude_none=True)
    for name, value in changed.items():
        setattr(settings, name, value)
    return _json(changed)


async def change_lifetimes(request: web.Request) -> web.Response:
    settings = request.app[STATE].world.settings.grants
    changed = (await _body(request, LifetimesChange)).model_dump(exclude_none=True)
    for name, value in changed.items():
        setattr(settings, name, value if isinstance(value, RevokeScope) else timedelta(seconds=value))
    return _json(changed)


async def add_redirect_uri(request: web.Request) -> web.Response:
    client = request.app[STATE].world.client
    client.redirect_uris.add((await _body(request, RedirectUri)).uri)
    return _json(sorted(client.redirect_uris), status=201)


async def faults(request: web.Request) -> web.Response:
    return _json(
        [
            {name: getattr(fault, name) for name in ("id", *NewFault.model_fields)}
            for fault in request.app[STATE].faults.on
        ]
    )


async def throw_fault(request: web.Request) -> web.Response:
    fault = request.app[STATE].faults.throw(**(await _body(request, NewFault)).model_dump())
    return _json({"id": fault.id}, status=201)


async def lift_faults(request: web.Request) -> web.Response:
    request.app[STATE].faults.lift_all()
    return web.Response(status=204)


async def lift_fault(request: web.Request) -> web.Response:
    found = request.app[STATE].faults.lift(int(request.match_info["id"]))
    return web.Response(status=204 if found else 404)


async def down(request: web.Request) -> web.Response:
    """Close a host's port, for `seconds` or until `up`. The accounts host, on which this stands, needs `seconds`."""
    host = Host(request.match_info["host"])
    outage = await _body(request, Outage)
    if outage.seconds is not None:
        request.app[SWITCHBOARD].down_for(host, outage.seconds)
    elif host is Host.ACCOUNTS:
        raise ValueError("the accounts host carries the control API: say for how many seconds")
    else:
        await request.app[SWITCHBOARD].down(host)
    return _json({"host": host, "down": True})


async def up(request: web.Request) -> web.Response:
    host = Host(request.match_info["host"])
    await request.app[SWITCHBOARD].up(host)
    return _json({"host": host, "down": False})


async def skip_time(request: web.Request) -> web.Response:
    clock = request.app[STATE].clock
    clock.advance(timedelta(seconds=(await _body(request, Skip)).seconds))
    return _json({"time": clock(), "skipped_s": clock.skipped.total_seconds()})


async def counters(request: web.Request) -> web.Response:
    """Requests by endpoint, by company and endpoint, and exchanges by SHA-256 (hex) of the code."""
    known = request.app[STATE].journal
    realms: dict[str, dict[str, int]] = {}
    for (realm, endpoint), count in known.by_realm.items():
        realms.setdefault(realm, {})[endpoint] = count
    return _json({"total": known.total, "endpoints": known.by_endpoint, "realms": realms, "codes": known.by_code})


async def journal(request: web.Request) -> web.Response:
    """The last requests; `?after=N` those with a higher number."""
    after = int(request.query.get("after", "0"))
    entries = request.app[STATE].journal.entries
    return _json([dataclasses.asdict(entry) for entry in entries if entry.number > after])
