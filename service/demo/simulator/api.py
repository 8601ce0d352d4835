"""The API host: CompanyInfo, a query endpoint for invoices, and the GraphQL probe for the person's role."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from service.demo.simulator import intuit_errors
from service.demo.simulator.faults import Host
from service.demo.simulator.front import api_refusal, front, wants_json
from service.demo.simulator.intuit_errors import ApiFault
from service.demo.simulator.state import STATE, State
from service.demo.simulator.world import Company, Invoice

DEFAULT_RESULTS = 100
MOST_RESULTS = 1000

_QUERY = re.compile(
    r"\s*select\s+(?P<what>\*|count\(\*\))\s+from\s+invoice"
    r"(?:\s+where\s+metadata\.lastupdatedtime\s*(?P<operator>>=|>)\s*'(?P<since>[^']+)')?"
    r"(?:\s+startposition\s+(?P<start>\d{1,9}))?(?:\s+maxresults\s+(?P<most>\d{1,9}))?\s*",
    re.IGNORECASE,
)
_ROLE_PROBE = re.compile(r'role\s*\(\s*realmId\s*:\s*"(?P<realm>[^"]*)"\s*\)')


def api_app(state: State) -> web.Application:
    app = web.Application(middlewares=[front(Host.API)], client_max_size=64 * 1024)
    app[STATE] = state
    app.router.add_get("/v3/company/{realm}/companyinfo/{id}", company_info, name="companyinfo")
    app.router.add_get("/v3/company/{realm}/query", query, name="query")
    app.router.add_post("/2020-04/graphql", graphql, name="graphql")
    return app


async def company_info(request: web.Request) -> web.Response:
    """Who this company is. That the call succeeds for a realm is the proof that the token is that realm's."""
    state = request.app[STATE]
    try:
        company = state.world.company_for_bearer(bearer(request), request.match_info["realm"])
    except ApiFault as fault:
        return api_refusal(request, fault)
    now = state.clock()
    if not wants_json(request):
        inner = (
            '<CompanyInfo domain="QBO" sparse="false"><Id>1</Id><SyncToken>4</SyncToken>'
            f"<CompanyName>{escape(company.name)}</CompanyName><LegalName>{escape(company.legal_name)}</LegalName>"
            "<Country>US</Country></CompanyInfo>"
        )
        return web.Response(text=intuit_errors.xml_response(inner, now), content_type="application/xml")
    info = {
        "CompanyName": company.name,
        "LegalName": company.legal_name,
        "Country": "US",
        "FiscalYearStartMonth": "January",
        "domain": "QBO",
        "sparse": False,
        "Id": "1",  # Intuit's internal number, never the realm
        "SyncToken": "4",
    }
    return web.json_response({"CompanyInfo": info, "time": now.isoformat("T", "milliseconds")})


async def query(request: web.Request) -> web.Response:
    """`select * from Invoice [where MetaData.LastUpdatedTime > '…'] [startposition n] [maxresults n]`, JSON."""
    state = request.app[STATE]
    try:
        company = state.world.company_for_bearer(bearer(request), request.match_info["realm"])
        result = _run_query(company, request.query.get("query", ""))
    except ApiFault as fault:
        return api_refusal(request, fault)
    return web.json_response({"QueryResponse": result, "time": state.clock().isoformat("T", "milliseconds")})


def _run_query(company: Company, text: str) -> dict[str, Any]:  # Any: an answer in JSON
    asked = _QUERY.fullmatch(text)
    if asked is None:
        raise intuit_errors.query_not_understood(text)
    found = [invoice for invoice in company.invoices if _is_since(invoice, asked, text)]
    if asked["what"] != "*":
        return {"totalCount": len(found)}
    start = max(int(asked["start"] or 1), 1)
    most = min(int(asked["most"] or DEFAULT_RESULTS), MOST_RESULTS)
    page = found[start - 1 : start - 1 + most]
    if not page:
        return {}
    return {
        "Invoice": [_invoice_json(invoice) for invoice in page],
        "startPosition": start,
        "maxResults": len(page),
    }


def _is_since(invoice: Invoice, asked: re.Match[str], text: str) -> bool:
    if asked["since"] is None:
        return True
    try:
        since = datetime.fromisoformat(asked["since"])
    except ValueError:
        raise intuit_errors.query_not_understood(text) from None
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return invoice.updated_at >= since if asked["operator"] == ">=" else invoice.updated_at > since


def _invoice_json(invoice: Invoice) -> dict[str, Any]:
    updated = invoice.updated_at.isoformat("T", "microseconds")
    return {
        "Id": str(invoice.id),
        "DocNumber": invoice.doc_number,
        "TxnDate": invoice.updated_at.date().isoformat(),
        "TotalAmt": float(invoice.total),
        "CustomerRef": {"name": invoice.customer},
        "MetaData": {"CreateTime": updated, "LastUpdatedTime": updated},
        "domain": "QBO",
        "sparse": False,
        "SyncToken": "0",
    }


async def graphql(request: web.Request) -> web.Response:
    """`{user{role(realmId:"…"){type status}}}`: ADMIN or EMPLOYEE, ACTIVE or INACTIVE; else VAL-1002."""
    state = request.app[STATE]
    asked = _ROLE_PROBE.search(await _graphql_text(request))
    try:
        token = bearer(request)
        if asked is None:
            state.world.grant_for_bearer(token)
            return _graphql_error("VAL-1001", "Validation error: only user.role(realmId) is simulated")
        member = state.world.membership_for_bearer(token, asked["realm"])
    except ApiFault as fault:
        return api_refusal(request, fault)
    if member is None:
        return _graphql_error("VAL-1002", "Invalid realmId for this user")
    role = {
        "type": "ADMIN" if member.role.is_admin else "EMPLOYEE",
        "status": "ACTIVE" if member.active else "INACTIVE",
    }
    return web.json_response({"data": {"user": {"role": role}}})


async def _graphql_text(request: web.Request) -> str:
    try:
        body = json.loads(await request.text())
    except json.JSONDecodeError:
        return ""
    text = body.get("query") if isinstance(body, dict) else None
    return text if isinstance(text, str) else ""


def _graphql_error(code: str, message: str) -> web.Response:
    error = {"message": f"{code}: {message}", "path": ["user", "role"], "extensions": {"errorCode": code}}
    return web.json_response({"errors": [error], "data": None})


def bearer(request: web.Request) -> str:
    """The token of RFC 6750 2.1. ApiFault 3200 if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise intuit_errors.token_malformed()
    return token
