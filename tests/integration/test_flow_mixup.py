"""Mix-up and addresses (S11-S13, S20-S23): two providers in one running service, asked over HTTP."""

import html
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest
from yarl import URL

from schemas.ids import ProviderId
from schemas.secret import Secret
from service.demo.simulator.seed import ACME_LTD
from service.oauth.authorization import authorization_request
from service.oauth.description import ProviderConfig, load_descriptions
from tests.loop import eventually
from tests.window import OWNER, QUICKBOOKS, Running, running

OTHER = "other-books"
RETURN_URL = "https://app.drivewell.example/connections"


@pytest.fixture
async def service(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A deployment with a second provider, which says of itself that each callback names its issuer."""
    folder = tmp_path / "providers"
    folder.mkdir()
    own = (files("service.oauth") / "providers" / f"{QUICKBOOKS}.yaml").read_text()
    told = "authorization_response_iss_parameter_supported: true\nissuer:"
    (folder / f"{OTHER}.yaml").write_text(own.replace(f"id: {QUICKBOOKS}", f"id: {OTHER}").replace("issuer:", told, 1))
    more = {
        "provider_folders": (folder,),
        "providers": {QUICKBOOKS: {}, OTHER: {}},
        "web": {"return_urls": (RETURN_URL,)},
    }
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, more=more) as service:
        yield service


def issuer(service: Running) -> str:
    return service.loop.simulator.addresses.issuer


async def refused(service: Running, id_: str, status: int, answered: int) -> None:
    """It was, and nothing came of it."""
    assert (answered, service.exchanges) == (status, 0)
    assert (await service.loop.row(id_))["state"] == "awaiting_auth"


# S11


async def test_s11_each_provider_has_its_one_redirect_address(service: Running) -> None:
    for provider in (QUICKBOOKS, OTHER):
        _, link = await service.opened(await service.registered(provider=provider))
        asked = URL(await service.begun(service.browser(), link)).query
        assert asked["redirect_uri"] == f"{service.origin}/oauth/callback/{provider}"


async def test_s11_the_answer_of_one_provider_isnt_taken_at_anothers_address(service: Running) -> None:
    id_ = await service.registered()
    _, browser, callback = await service.back(id_)
    there = str(URL(callback.replace(QUICKBOOKS, OTHER), encoded=True).update_query(iss=issuer(service)))

    await refused(service, id_, 404, (await browser.get(there)).status)

    assert await service.audited("callback_of_another_provider") == 1
    assert (await browser.get(callback)).status == 303


# S12


def answered(callback: str, kind: str, iss: str | None) -> str:
    """The callback as a code or an error, with this issuer."""
    at = URL(callback, encoded=True)
    if kind == "error":
        at = at.with_query(state=at.query["state"], error="access_denied")
    return str(at if iss is None else at.update_query(iss=iss))


async def test_s12_a_callback_without_the_providers_own_issuer_is_refused(service: Running) -> None:
    id_ = await service.registered(provider=OTHER)
    _, browser, callback = await service.back(id_)
    own = issuer(service)

    for kind in ("code", "error"):
        for iss in (None, "https://evil.example", f"{own}/", own.upper(), ""):
            await refused(service, id_, 400, (await browser.get(answered(callback, kind, iss))).status)

    assert (await browser.get(answered(callback, "code", own))).status == 303


async def test_s12_another_issuer_is_refused_also_where_none_was_promised(service: Running) -> None:
    id_ = await service.registered()
    _, browser, callback = await service.back(id_)

    for kind in ("code", "error"):
        await refused(service, id_, 400, (await browser.get(answered(callback, kind, "https://evil.example"))).status)

    assert (await browser.get(callback)).status == 303


# S13

PROTECTED = {
    "state": "mine",
    "redirect_uri": "https://evil.example",
    "client_id": "mine",
    "response_type": "token",
    "code_challenge": "mine",
    "code_challenge_method": "plain",
    "nonce": "mine",
    "scope": "everything",
    "request": "mine",
    "request_uri": "https://evil.example",
    "response_mode": "fragment",
}


async def test_s13_nothing_that_a_caller_passes_gets_into_the_request(service: Running) -> None:
    id_ = await service.registered()
    status, _ = await service.api("POST", f"/v1/connectors/{id_}/attempts", {"person": OWNER, **PROTECTED})
    assert status == 422
    attempt, link = await service.opened(id_)
    browser = service.browser()
    query = str(URL(link).with_query(PROTECTED))

    begun = await browser.press(link, query)
    again = await browser.press(
        f"/connect/attempts/{attempt}", str(URL(f"/connect/attempts/{attempt}/again").with_query(PROTECTED))
    )

    for answer in (begun, again):
        asked = URL(answer.location).query
        assert not [name for name, value in PROTECTED.items() if asked.get(name) == value]
        assert not {"request", "request_uri"} & set(asked)


def test_s13_nothing_in_a_description_replaces_what_is_protected() -> None:
    own = load_descriptions()[ProviderId(QUICKBOOKS)]
    hostile = own.model_copy(update={"authorization_parameters": {**PROTECTED, "prompt": "consent"}, "scopes": ("a",)})
    config = ProviderConfig(hostile, "our-app", Secret("s"))

    made = authorization_request(config, "https://connect.example.com/oauth/callback/x")

    asked = URL(made.url).query
    assert not [name for name, value in PROTECTED.items() if asked.get(name) == value]
    assert (asked["client_id"], asked["prompt"], asked["state"]) == ("our-app", "consent", made.state.reveal())


# S20


ELSEWHERE = (
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://app.drivewell.example@evil.example/connections",
    "https://app.drivewell.example.evil.example/connections",
    "https://аpp.drivewell.example/connections",
    f"{RETURN_URL}/",
    f"{RETURN_URL}?x=1",
    f"{RETURN_URL}#x",
    f"{RETURN_URL}\r\nLocation: https://evil.example",
    f"{RETURN_URL}%0d%0aLocation:%20https://evil.example",
    RETURN_URL.upper(),
    RETURN_URL.replace("https", "http"),
    "javascript:alert(1)",
    "",
)


async def test_s20_no_attempt_returns_to_an_address_that_isnt_registered(service: Running) -> None:
    id_ = await service.registered()

    for address in ELSEWHERE:
        body = {"person": OWNER, "return_url": address}
        status, told = await service.api("POST", f"/v1/connectors/{id_}/attempts", body)
        assert (status, told["code"]) == (422, "return_url_not_allowed"), address
        assert "evil" not in str(told)

    assert await service.loop.pool.fetchval("select count(*) from attempt") == 0


async def test_s20_the_registered_address_is_the_way_back(service: Running) -> None:
    id_ = await service.registered()
    body = {"person": OWNER, "return_url": RETURN_URL}
    status, told = await service.api("POST", f"/v1/connectors/{id_}/attempts", body)
    assert status == 201
    browser = service.browser()
    await service.begun(browser, URL(told["handoff"]["url"]).path)
    page = f"/connect/attempts/{told['attempt_id']}"
    await browser.press(page, f"{page}/cancel")

    assert f'href="{RETURN_URL}"' in (await browser.get(page)).text


# S21


async def test_s21_every_answer_of_the_window_has_the_headers(service: Running) -> None:
    attempt, browser, callback = await service.back(await service.connected())
    page = f"/connect/attempts/{attempt}"
    answers = [
        await browser.get(callback),
        await browser.get(page),
        await browser.get(f"{page}/status"),
        await service.browser().get(page),
        await browser.get("/connect/unknown"),
        await browser.get("/oauth/callback/nobody?x=%00"),
        await browser.ask("TRACE", callback),
    ]

    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (answers[0].status, answers[0].location) == (303, page)
    for answer in answers:
        assert "http" not in answer.text.replace(service.origin, "").replace("http-equiv", "")


# S22


async def test_s22_outside_words_are_escaped_cut_and_never_those_of_a_query(service: Running) -> None:
    hostile = "<script>alert(1)</script>" + "Ä" * 400
    service.loop.simulator.world.companies[ACME_LTD].name = hostile
    id_ = await service.connected()
    attempt, browser, callback = await service.back(id_, company=" ".join(hostile.split()))
    await browser.get(callback)
    await eventually(lambda: _ended(service, id_), "the wrong company is refused")

    page = (await browser.get(f"/connect/attempts/{attempt}")).text

    assert "<script>alert" not in page and html.escape("<script>alert(1)</script>") in page
    assert "Ä" * 200 not in page

    attempt, browser, callback = await service.back(id_)
    state = URL(callback).query["state"]
    words = "error=access_denied&error_description=%3Cb%3Eevil-words%3C/b%3E&error_uri=https://evil.example"
    await browser.get(f"/oauth/callback/{QUICKBOOKS}?state={state}&{words}")
    page = (await browser.get(f"/connect/attempts/{attempt}")).text
    assert "You didn&#39;t allow the connection" in page and "evil" not in page


async def _ended(service: Running, id_: str) -> bool:
    return bool((await service.loop.row(id_))["attempt_reason"] == "wrong_account")


# S23


async def test_s23_no_header_changes_the_redirect_address(service: Running) -> None:
    _, link = await service.opened(await service.registered())
    forged = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=gopher",
        "X-Original-URL": "/evil",
    }
    browser = service.browser()

    begun = await browser.press(link, **forged)

    assert URL(begun.location).query["redirect_uri"] == f"{service.origin}/oauth/callback/{QUICKBOOKS}"
    assert "evil" not in begun.location


async def test_s23_a_callback_by_another_method_is_no_callback(service: Running) -> None:
    id_ = await service.registered()
    _, browser, callback = await service.back(id_)

    for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"):
        await refused(service, id_, 405, (await browser.ask(method, callback)).status)

    assert (await browser.get(callback)).status == 303
