"""The token host and the API host of a provider that is played from its description."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from urllib.parse import unquote_plus

from aiohttp import web

from schemas.reasons import Reason
from service.demo.simulator.faults import Host
from service.demo.simulator.front import front
from service.demo.simulator.grants import Grant, GrantState, IssuedTokens
from service.demo.simulator.intuit_errors import TokenError, TokenRefused
from service.demo.simulator.play import Play
from service.demo.simulator.state import ENTRY, STATE, State
from service.demo.simulator.world import CompanyStatus

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_REASONS = {
    TokenError.INVALID_GRANT: (Reason.GRANT_REVOKED, Reason.TOKEN_REFUSED),
    TokenError.INVALID_CLIENT: (Reason.CLIENT_REJECTED,),
}


class _Refused(Exception):
    """The API says no, for one of these reasons: the first that the description has words for."""

    def __init__(self, *reasons: Reason) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons


def described_oauth_app(state: State) -> web.Application:
    play = _play(state)
    app = web.Application(middlewares=[front(Host.OAUTH)], client_max_size=64 * 1024)
    app[STATE] = state
    app.router.add_post(play.path(play.description.token_endpoint), token, name="token")
    if play.description.revocation_endpoint is not None:
        path = play.path(play.description.revocation_endpoint)
        app.router.add_route(play.description.revocation_method, path, revoke, name="revoke")
    return app


def described_api_app(state: State) -> web.Application:
    play = _play(state)
    identity, probe = play.description.identity, play.description.admin.probe
    app = web.Application(middlewares=[front(Host.API)], client_max_size=64 * 1024)
    app[STATE] = state
    app.router.add_route(identity.proof_method, play.path(identity.proof_url), proof, name="proof")
    if probe is not None and probe.url is not None:
        method = "GET" if probe.json_ is None else "POST"
        app.router.add_route(method, play.path(probe.url), role, name="probe")
    return app


# The token host.


async def token(request: web.Request) -> web.Response:
    """RFC 6749 3.2, with the fields that the description names."""
    state = request.app[STATE]
    play = _play(state)
    form = {name: str(value) for name, value in (await request.post()).items()}
    try:
        _authenticate(state, request, form)
        tokens = _issue(state, play, form)
    except TokenRefused as refused:
        return _token_refusal(request, refused)
    answer = play.token_answer(tokens, request.headers)
    if tokens.code is not None and "openid" in tokens.grant.scopes and play.description.issuer is not None:
        claims = play.id_token_claims(tokens.grant)
        issuer = play.issuer(state.addresses, state.world.client, claims)
        answer["id_token"] = state.signer.sign(state.world, tokens, issuer, claims)
    return web.json_response(answer, headers=_NO_STORE)


def _issue(state: State, play: Play, form: Mapping[str, str]) -> IssuedTokens:
    grants = state.world.grants
    match form.get("grant_type"):
        case "authorization_code":
            wanted = play.description.exchange_parameters
            if any(form.get(name) != value for name, value in wanted.items()):
                raise TokenRefused(TokenError.INVALID_REQUEST)
            verifier = form.get("code_verifier")
            return grants.redeem(
                form.get("code", ""), redirect_uri=form.get("redirect_uri", ""), code_verifier=verifier
            )
        case "refresh_token":
            return grants.refresh(form.get("refresh_token", ""))
        case _:
            raise TokenRefused(TokenError.UNSUPPORTED_GRANT_TYPE)


async def revoke(request: web.Request) -> web.Response:
    """The described revocation: by a token or an account, in a form, in JSON or in the address."""
    state = request.app[STATE]
    description = _play(state).description
    form = {name: str(value) for name, value in (await request.post()).items()}
    try:
        _authenticate(state, request, form)
        given = await _json(request) if description.revocation_body == "json" else form
        by_place = {place: given.get(name) for name, place in description.revocation_fields.items()}
        in_address = next((value for name, value in request.match_info.items() if name.startswith("token")), None)
        if value := in_address or by_place.get("{token}"):
            state.world.grants.revoke(value)
        elif account := by_place.get("{account}"):
            state.world.grants.disconnect(account)
        else:
            raise TokenRefused(TokenError.INVALID_REQUEST)
    except TokenRefused as refused:
        return _token_refusal(request, refused)
    return web.Response(headers=_NO_STORE)


def _authenticate(state: State, request: web.Request, form: Mapping[str, str]) -> None:
    """By the described method, and no other; a `DELETE` by address has nothing to authenticate with but the token."""
    if request.method == "DELETE":
        return
    if _play(state).description.token_endpoint_auth_method == "client_secret_post":
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    else:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        try:
            pair = base64.b64decode(credentials, validate=True).decode() if scheme.lower() == "basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        client_id, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    if not state.world.client.authenticates(client_id, secret):
        raise TokenRefused(TokenError.INVALID_CLIENT)


def _token_refusal(request: web.Request, refused: TokenRefused) -> web.Response:
    request[ENTRY].error = refused.error
    status, body = _play(request.app[STATE]).refusal("token", *_REASONS.get(refused.error, (Reason.CLIENT_REJECTED,)))
    return web.json_response(body, status=status, headers=_NO_STORE)


# The API.


async def proof(request: web.Request) -> web.Response:
    """Which account is this token's?"""
    state = request.app[STATE]
    try:
        return web.json_response(_play(state).proof(state.world, await _reader(request)))
    except _Refused as refused:
        return _api_refusal(request, refused)


async def role(request: web.Request) -> web.Response:
    """Which role has the person who granted?"""
    state = request.app[STATE]
    try:
        answer, status = _play(state).probe(state.world, await _reader(request))
        return web.json_response(answer, status=status)
    except _Refused as refused:
        return _api_refusal(request, refused)


async def _reader(request: web.Request) -> Grant:
    """The grant that a request's token is of, if it may read what it asks for."""
    state = request.app[STATE]
    found = state.world.grants.grant_for_access_token(await _token_of(request))
    if found is None:
        raise _Refused(Reason.TOKEN_REFUSED)
    grant, alive = found
    if grant.state is GrantState.DISCONNECTED:
        raise _Refused(Reason.ACCESS_REVOKED, Reason.TOKEN_REFUSED)
    if not alive or grant.state is not GrantState.LIVE:
        raise _Refused(Reason.TOKEN_REFUSED, Reason.ACCESS_REVOKED)
    accounts = [value for name, value in request.match_info.items() if name.rstrip("0123456789") == "account"]
    if any(account != grant.realm for account in accounts):
        raise _Refused(Reason.ACCESS_REVOKED, Reason.TOKEN_REFUSED)
    if state.world.companies[grant.realm].status is CompanyStatus.ENDED:
        raise _Refused(Reason.ACCOUNT_INACTIVE)
    return grant


async def _token_of(request: web.Request) -> str:
    """Where the description says that the token is: a form's field, a header of its own, or RFC 6750's."""
    state = request.app[STATE]
    description = _play(state).description
    places = description.identity.proof_form if request[ENTRY].endpoint == "proof" else None
    if places is not None:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            _authenticate(state, request, form)
        except TokenRefused:
            raise _Refused(Reason.CLIENT_REJECTED) from None
        return next((form.get(name, "") for name, place in places.items() if place == "{access_token}"), "")
    if description.api_token_header is not None:
        return request.headers.get(description.api_token_header, "")
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value if scheme.lower() == "bearer" else ""


def _api_refusal(request: web.Request, refused: _Refused) -> web.Response:
    status, body = _play(request.app[STATE]).refusal("api", *refused.reasons)
    request[ENTRY].error = refused.reasons[0]
    return web.json_response(body, status=status)


async def _json(request: web.Request) -> dict[str, str]:
    try:
        body = json.loads(await request.text())
    except json.JSONDecodeError:
        return {}
    return {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}


def _play(state: State) -> Play:
    assert state.play is not None, "only a play has these hosts"
    return state.play
