"""The real simulator on loopback, asked by aiohttp, by Intuit's own client, and by the headless person."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from intuitlib.client import AuthClient
from intuitlib.config import DISCOVERY_URL, INCLUDE_REFRESH_TOKEN_HARD_EXPIRES_IN_HEADER
from intuitlib.enums import Scopes
from joserfc import jwt
from joserfc.jwk import KeySet
from yarl import URL

from service.demo.simulator import Simulator
from service.demo.simulator.oauth import HARD_EXPIRY_HEADER
from service.demo.simulator.person import SignInStopped, sign_in
from service.demo.simulator.run import run
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_INC, NOOR, OLIVIA, PASSWORD, SAM
from service.demo.simulator.world import ACCOUNTING, PAYMENT, ROLES_READ

CALLBACK = "http://127.0.0.1:9/oauth/callback/quickbooks"
VERIFIER = "a-verifier-of-at-least-forty-three-characters"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()

Json = dict[str, Any]


class Provider:
    """The simulator, and the calls that a client of it makes."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session
        client = simulator.world.client
        self.basic = aiohttp.encode_basic_auth(client.client_id, client.client_secret)

    def authorize_url(self, **changes: str) -> URL:
        asked = {
            "client_id": self.simulator.world.client.client_id,
            "response_type": "code",
            "scope": f"{ACCOUNTING} {ROLES_READ} openid email profile",
            "redirect_uri": CALLBACK,
            "state": "s-1",
            "nonce": "n-1",
            "claims": '{"id_token":{"realmId":null}}',
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changes
        return URL(f"{self.simulator.addresses.accounts}/connect/oauth2").with_query(
            {name: value for name, value in asked.items() if value}
        )

    async def code(self, email: str = OLIVIA, company: str | None = "Drivewell Inc", **changes: str) -> str:
        back = await sign_in(
            self.session, self.authorize_url(**changes), email=email, password=PASSWORD, company=company
        )
        return back.query["code"]

    async def token(self, headers: dict[str, str], /, **form: str) -> tuple[int, Json]:
        url = f"{self.simulator.addresses.oauth}/oauth2/v1/tokens/bearer"
        sent = {"Authorization": self.basic, "Accept": "application/json"} | headers
        async with self.session.post(url, data=form, headers=sent) as response:
            assert response.headers["intuit_tid"].startswith("1-")
            return response.status, await response.json()

    async def exchange(self, code: str, **rest: str) -> tuple[int, Json]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.token({}, **(form | rest))

    async def tokens(self, **who: str) -> Json:
        status, answer = await self.exchange(await self.code(**who))
        assert status == 200
        return answer

    async def refresh(self, refresh_token: str) -> tuple[int, Json]:
        return await self.token({}, grant_type="refresh_token", refresh_token=refresh_token)

    async def get(self, path: str, token: str, accept: str = "application/json") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        async with self.session.get(f"{self.simulator.addresses.api}{path}", headers=headers) as response:
            assert response.headers["intuit_tid"].startswith("1-")
            return response.status, await response.text()

    async def company_info(self, token: str, realm: str = DRIVEWELL_INC) -> tuple[int, Json]:
        status, text = await self.get(f"/v3/company/{realm}/companyinfo/{realm}?minorversion=75", token)
        return status, json.loads(text)

    async def role(self, token: str, realm: str = DRIVEWELL_INC) -> Json:
        url = f"{self.simulator.addresses.api}/2020-04/graphql"
        body = {"query": f'{{user{{role(realmId:"{realm}"){{type status}}}}}}'}
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.post(url, json=body, headers=headers) as response:
            answer: Json = await response.json()
            return answer

    async def control(self, method: str, path: str, body: Json | None = None) -> tuple[int, Any]:
        url = f"{self.simulator.addresses.accounts}/_sim/{path}"
        async with self.session.request(method, url, json=body) as response:
            return response.status, (await response.json() if response.content_length else None)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with await Simulator.start() as simulator, aiohttp.ClientSession() as session:
        simulator.world.client.redirect_uris.add(CALLBACK)
        async with asyncio.timeout(60):
            yield Provider(simulator, session)


# The pages, walked by the headless person


async def test_an_admin_with_several_companies_chooses_one_and_comes_back_with_its_realm(provider: Provider) -> None:
    back = await sign_in(
        provider.session, provider.authorize_url(), email=OLIVIA, password=PASSWORD, company="Drivewell Inc"
    )
    assert str(back.with_query(None)) == CALLBACK
    assert dict(back.query) == {"code": back.query["code"], "state": "s-1", "realmId": DRIVEWELL_INC}


async def test_a_passkey_leads_to_the_same_place(provider: Provider) -> None:
    back = await sign_in(provider.session, provider.authorize_url(), email=OLIVIA, passkey=True, company="Acme Ltd")
    assert back.query["realmId"] == ACME_LTD


async def test_a_person_with_one_company_sees_no_selector(provider: Provider) -> None:
    back = await sign_in(provider.session, provider.authorize_url(), email=NOOR, password=PASSWORD, until="company")
    assert back.query["realmId"] == ACME_LTD


async def test_no_thanks_comes_back_as_access_denied(provider: Provider) -> None:
    url = provider.authorize_url()
    back = await sign_in(provider.session, url, email=NOOR, password=PASSWORD, consent=False)
    assert dict(back.query) == {"error": "access_denied", "state": "s-1"}


async def test_a_standard_user_ends_on_a_page_of_the_provider_and_nobody_is_called_back(provider: Provider) -> None:
    url = provider.authorize_url()
    with pytest.raises(SignInStopped, match="You need to be an administrator") as stopped:
        await sign_in(provider.session, url, email=SAM, password=PASSWORD, company="Drivewell Inc")
    assert stopped.value.url.origin() == url.origin()


async def test_a_wrong_password_and_an_unknown_person_are_told_the_same(provider: Provider) -> None:
    told = []
    for email in (OLIVIA, "nobody@drivewell.example"):
        with pytest.raises(SignInStopped) as stopped:
            await sign_in(provider.session, provider.authorize_url(), email=email, password="wrong")
        told.append(stopped.value.text)
    assert told[0] == told[1]


@pytest.mark.parametrize("step", ["email", "password", "company", "consent"])
async def test_a_window_may_be_closed_at_any_step_and_leaves_no_grant(provider: Provider, step: str) -> None:
    here = await sign_in(
        provider.session,
        provider.authorize_url(),
        email=OLIVIA,
        password=PASSWORD,
        company="Drivewell Inc",
        until=step,
    )
    assert here.path.startswith("/sign-in/")
    assert provider.simulator.world.grants.all == []


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": ""},
        {"response_type": "token"},
        {"state": ""},
    ],
)
async def test_an_untrustworthy_request_gets_a_page_and_no_redirect(
    provider: Provider, changes: dict[str, str]
) -> None:
    url = provider.authorize_url(**changes)
    async with provider.session.get(url, allow_redirects=False) as response:
        assert response.status == 400
        assert "connection problem" in await response.text()


async def test_an_unknown_scope_comes_back_as_an_error(provider: Provider) -> None:
    url = provider.authorize_url(scope="everything")
    async with provider.session.get(url, allow_redirects=False) as response:
        assert URL(response.headers["Location"]).query == {"error": "invalid_scope", "state": "s-1"}


async def test_a_finished_visit_gives_no_second_code(provider: Provider) -> None:
    consent = await sign_in(provider.session, provider.authorize_url(), email=NOOR, password=PASSWORD, until="consent")
    form = {"step": "consent", "action": "connect"}
    async with provider.session.post(consent, data=form, allow_redirects=False) as response:
        assert response.status == 303
    async with provider.session.post(consent, data=form, allow_redirects=False) as response:
        assert response.status == 410
    assert len(provider.simulator.world.grants.all) == 1


async def test_no_step_of_the_sign_in_can_be_skipped(provider: Provider) -> None:
    here = await sign_in(provider.session, provider.authorize_url(), email=OLIVIA, password=PASSWORD, until="password")
    for form in ({"step": "consent", "action": "connect"}, {"step": "company", "realm": DRIVEWELL_INC}):
        async with provider.session.post(here, data=form) as response:
            assert 'data-step="password"' in await response.text()


async def test_pages_allow_no_script_no_foreign_resource_and_no_cache(provider: Provider) -> None:
    async with provider.session.get(provider.authorize_url()) as response:
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
        page = await response.text()
    assert "<script" not in page
    assert "http" not in page


# The token host


async def test_the_exchange_answers_with_intuits_fields_and_a_signed_id_token(provider: Provider) -> None:
    status, answer = await provider.exchange(await provider.code())
    assert status == 200
    assert {name: answer[name] for name in ("token_type", "expires_in", "x_refresh_token_expires_in")} == {
        "token_type": "bearer",
        "expires_in": 3600,
        "x_refresh_token_expires_in": 8726400,
    }
    assert "x_refresh_token_hard_expires_in" not in answer
    async with provider.session.get(f"{provider.simulator.addresses.accounts}/op/v1/jwks") as response:
        keys = KeySet.import_key_set(await response.json())
    claims = jwt.decode(answer["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == provider.simulator.addresses.issuer
    assert claims["aud"] == [provider.simulator.world.client.client_id]
    assert claims["sub"] == provider.simulator.world.users[OLIVIA].sub
    assert claims["exp"] - claims["iat"] == 3600
    assert (claims["nonce"], claims["realmid"]) == ("n-1", DRIVEWELL_INC)


async def test_the_realm_claim_comes_only_when_asked_and_the_hard_limit_only_with_its_header(
    provider: Provider,
) -> None:
    status, answer = await provider.token(
        {HARD_EXPIRY_HEADER: "true"},
        grant_type="authorization_code",
        code=await provider.code(claims="", nonce=""),
        redirect_uri=CALLBACK,
        code_verifier=VERIFIER,
    )
    assert status == 200
    five_years_s = 5 * 365 * 86400
    assert five_years_s - 60 < answer["x_refresh_token_hard_expires_in"] <= five_years_s
    payload = answer["id_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert not {"realmid", "realmId", "nonce"} & set(claims)


async def test_a_code_is_good_once_and_its_second_exchange_kills_the_first_grant(provider: Provider) -> None:
    code = await provider.code()
    _, first = await provider.exchange(code)
    assert await provider.exchange(code) == (400, {"error": "invalid_grant"})
    assert (await provider.refresh(first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await provider.company_info(first["access_token"]))[0] == 401
    assert provider.simulator.journal.exchanges_of(code) == 2


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({"grant_type": "password"}, {}, 400, "unsupported_grant_type"),
        ({}, {}, 400, "invalid_request"),
        ({"grant_type": "refresh_token"}, {}, 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "RT1-unknown"}, {}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK}, {}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, {"Authorization": "Basic bm90OnJpZ2h0"}, 401, "invalid_client"),
        ({"grant_type": "refresh_token"}, {"Authorization": "Basic %%%"}, 401, "invalid_client"),
        ({"grant_type": "refresh_token"}, {"Authorization": "Bearer x"}, 401, "invalid_client"),
    ],
)
async def test_the_token_host_refuses_by_the_book(
    provider: Provider, form: dict[str, str], headers: dict[str, str], status: int, error: str
) -> None:
    refused, answer = await provider.token(headers, **form)
    assert (refused, answer["error"]) == (status, error)


async def test_revoking_takes_json_not_a_form(provider: Provider) -> None:
    tokens = await provider.tokens()
    url = f"{provider.simulator.addresses.oauth}/v2/oauth2/tokens/revoke"
    headers = {"Authorization": provider.basic}
    body = {"token": tokens["refresh_token"]}
    async with provider.session.post(url, data=body, headers=headers) as response:
        assert (response.status, await response.json()) == (400, {"error": "invalid_request"})
    async with provider.session.post(url, json=body, headers=headers) as response:
        assert (response.status, await response.text()) == (200, "")
    assert (await provider.refresh(tokens["refresh_token"]))[0] == 400


# The API host


async def test_company_info_speaks_json_when_asked_and_xml_else(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    status, info = await provider.company_info(token)
    assert status == 200
    assert (info["CompanyInfo"]["CompanyName"], info["CompanyInfo"]["LegalName"], info["CompanyInfo"]["Id"]) == (
        "Drivewell Inc",
        "Drivewell Incorporated",
        "1",
    )
    path = f"/v3/company/{DRIVEWELL_INC}/companyinfo/{DRIVEWELL_INC}"
    status, text = await provider.get(path, token, accept="*/*")
    assert status == 200
    assert "<CompanyName>Drivewell Inc</CompanyName>" in text
    status, text = await provider.get(path, "nonsense", accept="*/*")
    assert status == 401
    assert '<Error code="3200">' in text


async def test_another_companys_token_is_3100_in_the_gateways_casing(provider: Provider) -> None:
    token = (await provider.tokens(company="Acme Ltd"))["access_token"]
    status, answer = await provider.company_info(token)
    assert status == 403
    assert answer["fault"]["error"] == [
        {
            "message": "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403",
            "detail": None,
            "code": "3100",
            "element": None,
        }
    ]


async def test_an_ended_subscription_is_6190_in_the_services_casing_sometimes_with_200(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    assert (await provider.control("POST", f"companies/{DRIVEWELL_INC}/deactivate"))[0] == 200
    status, answer = await provider.company_info(token)
    assert status == 400
    assert answer["Fault"]["Error"][0]["Message"] == "Invalid Company Status"
    assert answer["Fault"]["Error"][0]["code"] == "6190"
    await provider.control("PATCH", "settings", {"faults_with_http_200": True})
    assert (await provider.company_info(token))[0] == 200
    await provider.control("POST", f"companies/{DRIVEWELL_INC}/reactivate")
    assert "CompanyInfo" in (await provider.company_info(token))[1]


async def test_an_expired_token_is_challenged_and_its_text_holds_a_part_of_the_token(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    assert (await provider.control("POST", f"companies/{DRIVEWELL_INC}/expire-access"))[1]["grants"] == 1
    url = f"{provider.simulator.addresses.api}/v3/company/{DRIVEWELL_INC}/companyinfo/{DRIVEWELL_INC}"
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    async with provider.session.get(url, headers=headers) as response:
        assert response.status == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="Intuit", error="invalid_token"'
        error = (await response.json())["fault"]["error"][0]
    assert error["message"] == "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    assert error["detail"] == f"Token expired: {token[:24]}"


async def test_a_disconnected_app_can_neither_refresh_nor_read(provider: Provider) -> None:
    tokens = await provider.tokens()
    await provider.control("POST", f"companies/{DRIVEWELL_INC}/revoke")
    assert (await provider.refresh(tokens["refresh_token"]))[1]["error"] == "invalid_grant"
    status, answer = await provider.company_info(tokens["access_token"])
    assert (status, answer["fault"]["error"][0]["code"]) == (403, "3100")


async def test_invoices_can_be_read_whole_and_since_a_moment(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]

    async def ask(query: str) -> tuple[int, Json]:
        url = URL(f"/v3/company/{DRIVEWELL_INC}/query").with_query({"query": query})
        status, text = await provider.get(str(url), token)
        return status, json.loads(text)

    status, answer = await ask("select * from Invoice startposition 11 maxresults 5")
    assert status == 200
    assert [each["Id"] for each in answer["QueryResponse"]["Invoice"]] == ["11", "12"]
    since = answer["QueryResponse"]["Invoice"][0]["MetaData"]["LastUpdatedTime"]
    await provider.control("POST", f"companies/{DRIVEWELL_INC}/invoices", {"customer": "New", "total": "12.50"})
    _, answer = await ask(f"select * from Invoice where MetaData.LastUpdatedTime > '{since}'")
    assert [each["TotalAmt"] for each in answer["QueryResponse"]["Invoice"]][-1] == 12.5
    assert len(answer["QueryResponse"]["Invoice"]) == 2
    assert (await ask("select count(*) from Invoice"))[1]["QueryResponse"] == {"totalCount": 13}
    status, answer = await ask("drop table Invoice")
    assert (status, answer["Fault"]["Error"][0]["code"]) == (400, "4000")


async def test_the_role_probe_tells_admins_from_employees_and_knows_only_the_grants_company(
    provider: Provider,
) -> None:
    admin = (await provider.tokens())["access_token"]
    assert (await provider.role(admin))["data"]["user"]["role"] == {"type": "ADMIN", "status": "ACTIVE"}
    assert (await provider.role(admin, ACME_LTD))["errors"][0]["message"].startswith("VAL-1002")
    await provider.control("PATCH", "settings", {"standard_users_pass": True})
    employee = (await provider.tokens(email=SAM))["access_token"]
    assert (await provider.role(employee))["data"]["user"]["role"]["type"] == "EMPLOYEE"
    assert (await provider.company_info(employee))[0] == 200
    without = (await provider.tokens(scope=ACCOUNTING))["access_token"]
    assert (await provider.role(without))["fault"]["error"][0]["code"] == "3100"


async def test_a_lost_admin_role_is_fault_120(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    place = {"realm": DRIVEWELL_INC, "role": "standard"}
    assert (await provider.control("PUT", f"users/{OLIVIA}/role", place))[0] == 200
    status, answer = await provider.company_info(token)
    assert (status, answer["Fault"]["Error"][0]["code"]) == (401, "120")


async def test_userinfo_says_who_granted(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    url = f"{provider.simulator.addresses.accounts}/v1/openid_connect/userinfo"
    async with provider.session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
        assert await response.json() == {
            "sub": provider.simulator.world.users[OLIVIA].sub,
            "email": OLIVIA,
            "emailVerified": True,
            "givenName": "Olivia",
            "familyName": "Marsh",
        }


# Faults


async def test_a_status_is_counted_down_and_told_in_the_hosts_own_words(provider: Provider) -> None:
    tokens = await provider.tokens()
    faults = provider.simulator.faults
    faults.throw("status", "api", endpoint="companyinfo", status=429, retry_after="60", remaining=1)
    faults.throw("status", "oauth", status=503, remaining=1)
    status, answer = await provider.company_info(tokens["access_token"])
    assert (status, answer["fault"]["error"][0]["code"]) == (429, "3001")
    assert (await provider.refresh(tokens["refresh_token"]))[0] == 503
    assert (await provider.company_info(tokens["access_token"]))[0] == 200
    assert (await provider.refresh(tokens["refresh_token"]))[0] == 200


async def test_a_fault_for_one_company_spares_the_others(provider: Provider) -> None:
    drivewell, acme = await provider.tokens(), await provider.tokens(company="Acme Ltd")
    body = {"kind": "status", "host": "oauth", "realm": ACME_LTD, "status": 500}
    status, thrown = await provider.control("POST", "faults", body)
    assert status == 201
    assert (await provider.refresh(acme["refresh_token"]))[0] == 500
    assert (await provider.refresh(drivewell["refresh_token"]))[0] == 200
    assert (await provider.control("DELETE", f"faults/{thrown['id']}"))[0] == 204
    assert (await provider.refresh(acme["refresh_token"]))[0] == 200


async def test_a_lost_answer_is_a_cut_line_after_the_code_was_spent(provider: Provider) -> None:
    code = await provider.code()
    provider.simulator.faults.throw("drop", "oauth", remaining=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await provider.exchange(code)
    assert await provider.exchange(code) == (400, {"error": "invalid_grant"})


async def test_a_refused_request_leaves_the_code_unspent(provider: Provider) -> None:
    code = await provider.code()
    provider.simulator.faults.throw("refuse", "oauth", remaining=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await provider.exchange(code)
    assert (await provider.exchange(code))[0] == 200


async def test_a_slow_host_holds_the_request_until_the_switch_is_lifted(provider: Provider) -> None:
    tokens = await provider.tokens()
    slow = provider.simulator.faults.throw("slow", "api", seconds=3600)
    asked = asyncio.create_task(provider.company_info(tokens["access_token"]))
    await provider.simulator.journal.until(lambda journal: journal.by_endpoint["companyinfo"] == 1)
    assert not asked.done()
    provider.simulator.faults.lift(slow.id)
    assert (await asked)[0] == 200


async def test_hostile_answers_can_be_made(provider: Provider) -> None:
    tokens = await provider.tokens()
    faults = provider.simulator.faults
    faults.throw("edit", "oauth", remaining=1, fields={"expires_in": "soon", "refresh_token": None, "scope": "openid"})
    _, edited = await provider.refresh(tokens["refresh_token"])
    assert (edited["expires_in"], edited["scope"], "refresh_token" in edited) == ("soon", "openid", False)
    faults.throw("html", "api", remaining=1)
    status, text = await provider.get(f"/v3/company/{DRIVEWELL_INC}/query", tokens["access_token"])
    assert (status, text.startswith("<!doctype html>")) == (200, True)
    faults.throw("body", "api", remaining=1, body="[" * 1000)
    _, text = await provider.get(f"/v3/company/{DRIVEWELL_INC}/query", tokens["access_token"])
    assert text == "[" * 1000
    faults.throw("client_secret", "oauth", remaining=1)
    assert await provider.refresh(tokens["refresh_token"]) == (401, {"error": "invalid_client"})


@pytest.mark.parametrize("host", ["accounts", "oauth", "api"])
async def test_a_host_that_is_down_refuses_the_connection_and_comes_back_on_its_port(
    provider: Provider, host: str
) -> None:
    addresses = provider.simulator.addresses
    base = getattr(addresses, host)
    async with provider.session.get(f"{base}/nowhere") as response:
        assert response.status == 404
        assert "intuit_tid" in response.headers
    await provider.simulator.down(host)
    with pytest.raises(aiohttp.ClientConnectorError):
        await provider.session.get(f"{base}/nowhere")
    others = {addresses.accounts, addresses.oauth, addresses.api} - {base}
    for other in others:
        async with provider.session.get(f"{other}/nowhere") as response:
            assert response.status == 404
    await provider.simulator.up(host)
    async with provider.session.get(f"{base}/nowhere") as response:
        assert response.status == 404


async def test_what_was_granted_survives_an_outage(provider: Provider) -> None:
    tokens = await provider.tokens()
    assert (await provider.control("POST", "hosts/oauth/down"))[0] == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await provider.refresh(tokens["refresh_token"])
    assert (await provider.control("POST", "hosts/oauth/up"))[0] == 200
    assert (await provider.refresh(tokens["refresh_token"]))[0] == 200


async def test_the_accounts_host_goes_down_by_the_control_api_only_for_a_time(provider: Provider) -> None:
    status, answer = await provider.control("POST", "hosts/accounts/down")
    assert (status, "seconds" in answer["detail"]) == (400, True)
    assert (await provider.control("POST", "hosts/accounts/down", {"seconds": 600}))[0] == 200
    address = urlsplit(provider.simulator.addresses.accounts)

    async def is_refused() -> bool:
        try:
            _, writer = await asyncio.open_connection(address.hostname, address.port)
        except ConnectionRefusedError:
            return True
        writer.close()
        await writer.wait_closed()
        return False

    while not await is_refused():
        pass
    await provider.simulator.reset()
    assert not await is_refused()


# Control, counters, journal


async def test_counters_and_journal_know_what_happened_and_no_secret(provider: Provider) -> None:
    code = await provider.code()
    _, tokens = await provider.exchange(code)
    await provider.refresh(tokens["refresh_token"])
    await provider.company_info(tokens["access_token"])
    await provider.company_info("nonsense-of-a-token")
    _, counted = await provider.control("GET", "counters")
    assert counted["endpoints"]["token"] == 2
    assert counted["realms"][DRIVEWELL_INC] == {"token": 2, "companyinfo": 2}
    assert counted["codes"] == {hashlib.sha256(code.encode()).hexdigest(): 1}
    _, entries = await provider.control("GET", "journal")
    assert [entry["status"] for entry in entries[-4:]] == [200, 200, 200, 401]
    assert entries[-1]["error"] == "3200"
    written = json.dumps([entries, counted])
    for secret in (code, tokens["access_token"], tokens["refresh_token"], tokens["id_token"], VERIFIER, "s-1"):
        assert secret not in written


async def test_the_control_api_builds_a_world_that_can_be_signed_in_to(provider: Provider) -> None:
    assert (await provider.control("POST", "companies", {"realm": "77", "name": "Tiny & Co"}))[0] == 201
    ada = {
        "email": "ada@tiny.example",
        "password": PASSWORD,
        "name": "Ada Tiny",
        "companies": [{"realm": "77", "role": "company_admin"}],
    }
    assert (await provider.control("POST", "users", ada))[0] == 201
    back = await sign_in(provider.session, provider.authorize_url(), email="ada@tiny.example", password=PASSWORD)
    assert back.query["realmId"] == "77"
    grant = {"realm": "77", "email": "ada@tiny.example"}
    _, tokens = await provider.control("POST", "grants", grant)
    assert (await provider.company_info(tokens["access_token"], "77"))[1]["CompanyInfo"]["CompanyName"] == "Tiny & Co"
    assert len((await provider.control("GET", "grants"))[1]) == 2
    assert (await provider.control("DELETE", "users/ada@tiny.example"))[0] == 204
    assert (await provider.company_info(tokens["access_token"], "77"))[0] == 401
    assert (await provider.control("POST", "reset"))[0] == 200
    assert "77" not in provider.simulator.world.companies


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "companies", {"realm": "x", "name": "X"}, 400),
        ("POST", "companies", {"realm": DRIVEWELL_INC, "name": "again"}, 400),
        ("POST", "companies/1/revoke", None, 404),
        ("POST", "users", {"email": "a"}, 400),
        ("DELETE", "users/nobody", None, 404),
        ("POST", "faults", {"kind": "flood", "host": "api"}, 400),
        ("PATCH", "settings", {"surprise": True}, 400),
        ("POST", "hosts/moon/up", None, 400),
        ("DELETE", "faults/99", None, 404),
    ],
)
async def test_the_control_api_refuses_what_it_does_not_know(
    provider: Provider, method: str, path: str, body: Json | None, status: int
) -> None:
    assert (await provider.control(method, path, body))[0] == status


async def test_skipped_time_expires_tokens(provider: Provider) -> None:
    tokens = await provider.tokens()
    await provider.control("PATCH", "lifetimes", {"rotation_interval": 0})
    await provider.control("POST", "clock", {"seconds": 3600})
    assert (await provider.company_info(tokens["access_token"]))[0] == 401
    _, fresh = await provider.refresh(tokens["refresh_token"])
    assert fresh["refresh_token"] != tokens["refresh_token"]
    assert fresh["x_refresh_token_expires_in"] == 8726400


async def test_the_program_says_its_addresses_and_ends_at_sigterm_with_its_ports_closed() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    program = asyncio.create_task(run(port_accounts=0, port_oauth=0, port_api=0, announce=said.put_nowait))
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        lines = dict([(await said.get()).split() for _ in range(4)])
        async with session.get(lines["control"]) as response:
            assert (await response.json())["addresses"]["api"] == lines["api"]
        os.kill(os.getpid(), signal.SIGTERM)
        await program
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(lines["control"])


# Intuit's own Python client as the oracle


async def test_intuits_own_client_signs_in_refreshes_reads_and_revokes(provider: Provider) -> None:
    """Their client blocks, so it works in threads: the simulator answers in this loop."""
    client = provider.simulator.world.client
    discovery = provider.simulator.addresses.accounts + urlsplit(DISCOVERY_URL["production"]).path
    theirs = await asyncio.to_thread(AuthClient, client.client_id, client.client_secret, CALLBACK, discovery)
    with theirs:
        url = theirs.get_authorization_url([Scopes.ACCOUNTING, Scopes.OPENID, Scopes.EMAIL])
        assert urlsplit(url).path == "/connect/oauth2"
        back = await sign_in(provider.session, url, email=OLIVIA, password=PASSWORD, company="Drivewell Leasing LLC")
        assert back.query["state"] == theirs.state_token
        theirs.include_refresh_token_hard_expires_in = True
        await asyncio.to_thread(theirs.get_bearer_token, back.query["code"], back.query["realmId"])
        assert theirs.id_token is not None, "their check of issuer, audience, key and signature passed"
        assert theirs.x_refresh_token_expires_in == 8726400
        assert theirs.x_refresh_token_hard_expires_in > 8726400
        first = theirs.access_token
        await asyncio.to_thread(theirs.refresh)
        assert theirs.access_token != first
        info = await asyncio.to_thread(theirs.get_user_info)
        assert info.json()["email"] == OLIVIA
        assert await asyncio.to_thread(theirs.revoke)
        assert provider.simulator.world.grants.live(back.query["realmId"]) == []


def test_the_scopes_and_the_header_are_those_of_intuits_client() -> None:
    assert Scopes.ACCOUNTING.value == ACCOUNTING
    assert Scopes.PAYMENT.value == PAYMENT
    assert INCLUDE_REFRESH_TOKEN_HARD_EXPIRES_IN_HEADER == HARD_EXPIRY_HEADER


async def test_in_a_container_it_listens_everywhere_and_tells_the_address_that_is_published() -> None:
    async with await Simulator.start("0.0.0.0") as simulator, aiohttp.ClientSession() as session:
        told = URL(simulator.addresses.accounts)
        assert told.host == "127.0.0.1"
        async with session.get(told.with_host("127.0.0.2") / "_sim/state") as answer:
            assert answer.status < 500
