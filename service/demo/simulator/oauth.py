"""The token host: `POST /oauth2/v1/tokens/bearer` and `POST /v2/oauth2/tokens/revoke`."""

from __future__ import annotations

import base64
import binascii
import json
from urllib.parse import unquote_plus

from aiohttp import web

from service.demo.simulator.faults import Host
from service.demo.simulator.front import front, token_refusal
from service.demo.simulator.grants import IssuedTokens
from service.demo.simulator.intuit_errors import TokenError, TokenRefused
from service.demo.simulator.state import STATE, State

HARD_EXPIRY_HEADER = "x-include-refresh-token-hard-expires-in"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def oauth_app(state: State) -> web.Application:
    app = web.Application(middlewares=[front(Host.OAUTH)], client_max_size=64 * 1024)
    app[STATE] = state
    app.router.add_post("/oauth2/v1/tokens/bearer", token, name="token")
    app.router.add_post("/v2/oauth2/tokens/revoke", revoke, name="revoke")
    return app


async def token(request: web.Request) -> web.Response:
    """RFC 6749 3.2, with Intuit's own fields. An ID token comes with a code's exchange when `openid` was asked."""
    state = request.app[STATE]
    try:
        _authenticate_client(state, request)
        if request.content_type != "application/x-www-form-urlencoded":
            raise TokenRefused(TokenError.INVALID_REQUEST)
        tokens = await _issue(state, request)
    except TokenRefused as refused:
        return token_refusal(request, refused)
    answer: dict[str, str | int] = {
        "token_type": "bearer",
        "access_token": tokens.access_token,
        "expires_in": int(tokens.expires_in.total_seconds()),
        "refresh_token": tokens.refresh_token,
        "x_refresh_token_expires_in": int(tokens.refresh_expires_in.total_seconds()),
    }
    if request.headers.get(HARD_EXPIRY_HEADER, "").lower() == "true":
        answer["x_refresh_token_hard_expires_in"] = int(tokens.refresh_hard_expires_in.total_seconds())
    if tokens.code is not None and "openid" in tokens.grant.scopes:
        answer["id_token"] = state.signer.sign(state.world, tokens, state.addresses.issuer)
    return web.json_response(answer, headers=_NO_STORE)


async def _issue(state: State, request: web.Request) -> IssuedTokens:
    form = await request.post()
    fields = {name: str(value) for name, value in form.items()}
    grants = state.world.grants
    match fields.get("grant_type"):
        case "authorization_code":
            if not fields.get("code") or not fields.get("redirect_uri"):
                raise TokenRefused(TokenError.INVALID_REQUEST)
            return grants.redeem(
                fields["code"], redirect_uri=fields["redirect_uri"], code_verifier=fields.get("code_verifier")
            )
        case "refresh_token":
            if not fields.get("refresh_token"):
                raise TokenRefused(TokenError.INVALID_REQUEST)
            return grants.refresh(fields["refresh_token"])
        case None | "":
            raise TokenRefused(TokenError.INVALID_REQUEST)
        case _:
            raise TokenRefused(TokenError.UNSUPPORTED_GRANT_TYPE)


async def revoke(request: web.Request) -> web.Response:
    """Intuit's revocation: a JSON body, not RFC 7009's form. 200 with nothing in it."""
    state = request.app[STATE]
    try:
        _authenticate_client(state, request)
        state.world.grants.revoke(await _token_to_revoke(request))
    except TokenRefused as refused:
        return token_refusal(request, refused)
    return web.Response(headers=_NO_STORE)


async def _token_to_revoke(request: web.Request) -> str:
    if request.content_type != "application/json":
        raise TokenRefused(TokenError.INVALID_REQUEST)
    try:
        body = json.loads(await request.text())
    except json.JSONDecodeError:
        raise TokenRefused(TokenError.INVALID_REQUEST) from None
    value = body.get("token") if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        raise TokenRefused(TokenError.INVALID_REQUEST)
    return value


def _authenticate_client(state: State, request: web.Request) -> None:
    """client_secret_basic (RFC 6749 2.3.1): both halves are form-encoded before they are joined."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise TokenRefused(TokenError.INVALID_CLIENT)
    try:
        client_id, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise TokenRefused(TokenError.INVALID_CLIENT) from None
    if not state.world.client.authenticates(unquote_plus(client_id), unquote_plus(secret)):
        raise TokenRefused(TokenError.INVALID_CLIENT)
