"""The accounts host: the authorization endpoint, the pages a person walks through, userinfo, keys, discovery.

One visit is one address; each form is sent to it and answered by a redirect to its next page, so that reload and
back do no harm. Intuit asks only those who administer the company; others end on a page of Intuit's own, and the
client never hears of them.
"""

from __future__ import annotations

import json

from aiohttp import web
from yarl import URL

from service.demo.simulator.api import bearer
from service.demo.simulator.faults import Host
from service.demo.simulator.front import api_refusal, front
from service.demo.simulator.intuit_errors import ApiFault, scope_missing
from service.demo.simulator.pages import page_of, problem_page, stylesheet
from service.demo.simulator.state import STATE, State
from service.demo.simulator.visits import AuthorizationRequest, Step, Visit
from service.demo.simulator.world import SCOPES, World

_WRONG_SIGN_IN = "Hmm, that's not right. Check your email or user ID and your password, then try again."


def accounts_app(state: State) -> web.Application:
    app = web.Application(middlewares=[front(Host.ACCOUNTS)], client_max_size=64 * 1024)
    app[STATE] = state
    add = app.router
    paths = state.play.authorization_paths if state.play else ("/connect/oauth2",)
    for number, path in enumerate(paths):
        add.add_get(path, authorize, name="authorize" if number == 0 else "authorize_account")
    add.add_get("/sign-in/{visit}", show, name="sign_in")
    add.add_post("/sign-in/{visit}", submit, name="sign_in_step")
    add.add_get("/assets/pages.css", stylesheet, name="assets")
    if state.play:
        if state.play.jwks_path is not None:
            add.add_get(state.play.jwks_path, jwks, name="jwks")
        return app
    add.add_get("/v1/openid_connect/userinfo", userinfo, name="userinfo")
    add.add_get("/op/v1/jwks", jwks, name="jwks")
    add.add_get("/.well-known/{document:openid(_sandbox)?_configuration/?}", discovery, name="discovery")
    return app


async def authorize(request: web.Request) -> web.Response:
    """RFC 6749 4.1.1. What can't be trusted to be the client's ends on a page here, never in a redirect."""
    state = request.app[STATE]
    world = state.world
    asked = request.query
    redirect_uri = asked.get("redirect_uri", "")
    if any(len(asked.getall(name)) > 1 for name in set(asked)):
        return _not_connected(world, "A query parameter appears more than once.")
    if asked.get("client_id") != world.client.client_id:
        return _not_connected(world, "The client_id query parameter value is invalid.")
    if redirect_uri not in world.client.redirect_uris:
        return _not_connected(world, "The redirect_uri query parameter value is invalid.")
    if asked.get("response_type") != "code":
        return _not_connected(world, "The response_type query parameter value is invalid.")
    if not asked.get("state"):
        return _not_connected(world, "The state query parameter is missing.")
    if state.play and (missing := state.play.missing_parameter(asked)):
        return _not_connected(world, f"The {missing} query parameter is missing.")
    scopes = frozenset(asked.get("scope", "").replace(state.play.separator if state.play else " ", " ").split())
    if not scopes or not scopes <= (state.play.scopes if state.play else SCOPES):
        return _back(state, redirect_uri, error="invalid_scope", state=asked["state"])
    if "code_challenge" in asked and asked.get("code_challenge_method") != "S256":
        return _back(state, redirect_uri, error="invalid_request", state=asked["state"])
    visit = state.visits.begin(
        AuthorizationRequest(
            redirect_uri=redirect_uri,
            state=asked["state"],
            scopes=scopes,
            code_challenge=asked.get("code_challenge"),
            nonce=asked.get("nonce"),
            realm_claim=_asks_for_realm(asked.get("claims", "")),
        )
    )
    return _to_page(visit)


def _asks_for_realm(claims: str) -> bool:
    """Whether `claims` (OpenID Connect Core 5.5) wants the company in the ID token."""
    try:
        wanted = json.loads(claims or "{}")
    except json.JSONDecodeError:
        return False
    id_token = wanted.get("id_token") if isinstance(wanted, dict) else None
    return isinstance(id_token, dict) and any(name.lower() == "realmid" for name in id_token)


async def show(request: web.Request) -> web.Response:
    world = request.app[STATE].world
    visit = _visit(request)
    if visit is None or visit.step is Step.DONE:
        return _over(world)
    return page_of(world, visit, status=403 if visit.step is Step.REFUSED else 200)


async def submit(request: web.Request) -> web.Response:
    """One form of the visit. A form of another step than the present one only shows the present one."""
    world = request.app[STATE].world
    visit = _visit(request)
    if visit is None or visit.step is Step.DONE:
        return _over(world)
    form = {name: str(value) for name, value in (await request.post()).items()}
    if form.get("step") != visit.step:
        return _to_page(visit)
    visit.error = ""
    if form.get("action") == "restart":
        visit.step, visit.email, visit.realm = Step.EMAIL, "", ""
    elif form.get("action") == "cancel" and visit.step in (Step.COMPANY, Step.CONSENT):
        visit.step = Step.DONE
        asked = visit.request
        return _back(request.app[STATE], asked.redirect_uri, error="access_denied", state=asked.state)
    elif visit.step is Step.CONSENT:
        return _connect(request.app[STATE], visit)
    else:
        _advance(world, visit, form)
    return _to_page(visit)


def _advance(world: World, visit: Visit, form: dict[str, str]) -> None:
    match visit.step:
        case Step.EMAIL:
            visit.email = form.get("email", "").strip()
            if visit.email:
                visit.step = Step.PASSWORD
            else:
                visit.error = "Enter your email or user ID."
        case Step.PASSWORD if form.get("action") == "passkey":
            visit.step = Step.PASSKEY
        case Step.PASSWORD:
            if world.sign_in(visit.email, form.get("password", "")):
                _choose_company(world, visit)
            else:
                visit.error = _WRONG_SIGN_IN
        case Step.PASSKEY if form.get("action") == "password":
            visit.step = Step.PASSWORD
        case Step.PASSKEY:
            if world.user_by_email(visit.email):
                _choose_company(world, visit)
            else:
                visit.step, visit.error = Step.PASSWORD, "There is no passkey for this account on this device."
        case Step.COMPANY:
            _company_chosen(world, visit, form.get("realm", ""))


def _choose_company(world: World, visit: Visit) -> None:
    """The selector, unless there is nothing to select: one company is taken without a question."""
    user = world.user_by_email(visit.email)
    assert user is not None, "only somebody who signed in chooses a company"
    companies = world.companies_for(user, visit.request.scopes)
    if len(companies) == 1:
        _company_chosen(world, visit, companies[0].realm)
    else:
        visit.step = Step.COMPANY if companies else Step.REFUSED


def _company_chosen(world: World, visit: Visit, realm: str) -> None:
    user = world.user_by_email(visit.email)
    assert user is not None, "only somebody who signed in chooses a company"
    if realm not in {company.realm for company in world.companies_for(user, visit.request.scopes)}:
        visit.error = "Choose a company to go on."
        return
    visit.realm = realm
    visit.step = Step.CONSENT if world.may_authorise(user, realm) else Step.REFUSED


def _connect(state: State, visit: Visit) -> web.Response:
    world = state.world
    user = world.user_by_email(visit.email)
    if user is None or not world.may_authorise(user, visit.realm):
        visit.step = Step.REFUSED  # the role went while the page was open
        return _to_page(visit)
    visit.step = Step.DONE
    asked = visit.request
    code = world.grants.issue_code(
        realm=visit.realm,
        sub=user.sub,
        scopes=asked.scopes,
        redirect_uri=asked.redirect_uri,
        code_challenge=asked.code_challenge,
        nonce=asked.nonce,
        realm_claim=asked.realm_claim,
    )
    return _back(state, asked.redirect_uri, visit.realm, code=code, state=asked.state)


async def userinfo(request: web.Request) -> web.Response:
    """OpenID Connect Core 5.3, spelt as Intuit spells it (camel case)."""
    world = request.app[STATE].world
    try:
        grant = world.grant_for_bearer(bearer(request))
        if "openid" not in grant.scopes:
            raise scope_missing()
    except ApiFault as fault:
        return api_refusal(request, fault)
    claims: dict[str, str | bool] = {"sub": grant.sub}
    user = world.user_by_sub(grant.sub)
    if user is not None and "email" in grant.scopes:
        claims |= {"email": user.email, "emailVerified": True}
    if user is not None and "profile" in grant.scopes:
        given, _, family = user.name.partition(" ")
        claims |= {"givenName": given, "familyName": family}
    return web.json_response(claims)


async def jwks(request: web.Request) -> web.Response:
    return web.json_response(request.app[STATE].signer.jwks())


async def discovery(request: web.Request) -> web.Response:
    """The fields of Intuit's discovery document, with the simulator's addresses. No PKCE in it, as in theirs."""
    at = request.app[STATE].addresses
    return web.json_response(
        {
            "issuer": at.issuer,
            "authorization_endpoint": f"{at.accounts}/connect/oauth2",
            "token_endpoint": f"{at.oauth}/oauth2/v1/tokens/bearer",
            "userinfo_endpoint": f"{at.accounts}/v1/openid_connect/userinfo",
            "revocation_endpoint": f"{at.oauth}/v2/oauth2/tokens/revoke",
            "jwks_uri": f"{at.accounts}/op/v1/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "address", "phone"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
        }
    )


def _visit(request: web.Request) -> Visit | None:
    return request.app[STATE].visits.find(request.match_info["visit"])


def _to_page(visit: Visit) -> web.Response:
    return web.Response(status=303, headers={"Location": f"/sign-in/{visit.id}", "Cache-Control": "no-store"})


def _back(at: State, redirect_uri: str, realm: str | None = None, /, **answer: str) -> web.Response:
    """To the client, with what its request came to."""
    if at.play:
        answer = at.play.redirect(at.addresses, at.world, answer, realm)
    elif realm is not None:
        answer["realmId"] = realm
    target = URL(redirect_uri).update_query(answer)
    return web.Response(status=303, headers={"Location": str(target), "Cache-Control": "no-store"})


def _not_connected(world: World, detail: str) -> web.Response:
    return problem_page(
        world, "Uh oh, there's a connection problem", f"Sorry, but {world.client.name} didn't connect. {detail}", 400
    )


def _over(world: World) -> web.Response:
    return problem_page(
        world, "This page has ended", f"Go back to {world.client.name} and start the connection again.", 410
    )
