"""Who comes in at the console: by a link that works once, or by the host's proxy; and nobody else sees anything."""

import asyncio

from schemas.routes import Scope
from service.app import console_link
from service.console.routes import COMMANDS, PAGES
from tests.console import KIM, link_for, press, proof, signed_in
from tests.window import Running, host_token

FILLED = {
    "tenant": "drivewell",
    "connector": "c1",
    "provider": "quickbooks-online",
    "letter": "0-1",
    "endpoint": "backend",
    "given_up_id": "1-c1",
}
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
READS = "connectors:read fleet:read console:open"


async def test_a_link_opens_the_console_once_and_a_look_spends_nothing(service: Running) -> None:
    link, browser = await link_for(service), service.browser()
    for _ in range(2):  # a mail scanner looks, too
        assert "Kim from support" in (await service.browser().get(link)).text
    opened = await browser.press(link)
    assert (opened.status, opened.location) == (303, "/console")
    shown = await browser.get("/console")
    assert shown.status == 200
    assert KIM["name"] in shown.text
    assert (await service.browser().get(link)).status == 404


async def test_of_those_who_spend_a_link_at_once_one_comes_in(service: Running) -> None:
    link = await link_for(service)
    browsers = [service.browser() for _ in range(4)]
    proofs = [await proof(browser, link) for browser in browsers]
    both = zip(browsers, proofs, strict=True)
    answers = await asyncio.gather(*(b.ask("POST", link, SAME_SITE, csrf) for b, csrf in both))
    assert sorted(answer.status for answer in answers) == [303, 404, 404, 404]
    assert (await browsers[0].ask("POST", link, SAME_SITE, {"csrf": ""})).status == 403


async def test_a_link_ends_after_minutes_and_a_session_after_hours_of_rest_or_a_day(service: Running) -> None:
    link, browser = await link_for(service), await signed_in(service)
    pool = service.loop.pool
    await pool.execute("update console_link set expires_at = now() - interval '1 second'")
    assert (await service.browser().get(link)).status == 404
    await pool.execute("update console_session set used_at = now() - interval '7 hours 50 minutes'")
    assert (await browser.get("/console")).status == 200
    assert await pool.fetchval("select used_at > now() - interval '1 minute' from console_session")
    await pool.execute("update console_session set used_at = now() - interval '8 hours 1 minute'")
    assert (await browser.get("/console")).status == 401
    await pool.execute("update console_session set used_at = now(), began_at = now() - interval '25 hours'")
    assert (await browser.get("/console")).status == 401


async def test_who_leaves_is_out_and_both_ways_are_audited(service: Running) -> None:
    browser = await signed_in(service)
    left = await press(browser, "/console", "/console/leave")
    assert left.status == 200
    assert (await browser.get("/console")).status == 401
    assert await service.audited("console_opened") == 1
    assert await service.audited("console_left") == 1


async def test_s24_nobody_who_isnt_signed_in_sees_a_page(service: Running) -> None:
    answers = [await service.browser().get(address.format_map(FILLED)) for address, _ in PAGES]
    assert {answer.status for answer in answers} == {401}
    assert all("You aren&#39;t signed in" in answer.text for answer in answers)


async def test_s10_a_command_that_no_page_of_ours_sent_does_nothing(service: Running) -> None:
    browser = await signed_in(service)
    csrf = await proof(browser, "/console")
    for address, _ in COMMANDS:
        to = address.format_map(FILLED)
        foreign = await browser.ask("POST", to, {"Sec-Fetch-Site": "cross-site"}, csrf)
        other = await browser.ask("POST", to, {"Origin": "https://evil.example"}, csrf)
        unproved = await browser.ask("POST", to, SAME_SITE, {"csrf": "0" * 64})
        assert [answer.status for answer in (foreign, other, unproved)] == [403, 403, 403]
        assert "Nothing was done." in unproved.text


async def test_s21_every_answer_forbids_foreign_and_inline_code_and_keeps_nothing(service: Running) -> None:
    browser = await signed_in(service)
    for address in ("/console", "/console/connectors", "/console/nothing-here", "/console/assets/console.js"):
        headers = (await browser.get(address)).headers
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    assert (await browser.get("/console")).headers["Cache-Control"] == "no-store"


async def test_the_session_is_kept_as_a_hash_and_its_cookie_is_no_scripts(service: Running) -> None:
    browser, link = service.browser(), await link_for(service)
    opened = await browser.press(link)
    assert "HttpOnly" in opened.headers["Set-Cookie"]
    assert "SameSite=Lax" in opened.headers["Set-Cookie"]
    value = browser.cookies["regrant-console"]
    rows = await service.dump()
    assert value not in str(rows)
    assert link.rpartition("/")[2] not in str(rows)


async def test_a_tenants_link_shows_that_tenant_alone(service: Running) -> None:
    own, other = await service.registered(), await service.registered(tenant="other")
    browser = await signed_in(service, tenant="drivewell")
    assert (await browser.get(f"/console/connectors/drivewell/{own}")).status == 200
    for path in (f"/console/connectors/other/{other}", f"/console/connectors/drivewell/{other}"):
        assert (await browser.get(path)).status == 404
    whole = await signed_in(service)
    assert (await whole.get(f"/console/connectors/other/{other}")).status == 200


async def test_a_session_may_no_more_than_whoever_made_its_link(service: Running) -> None:
    token = host_token(service.key, "drivewell", scope=READS)
    id_ = await service.registered()
    _, told = await service.api("POST", "/v1/console/links", {"person": KIM}, Authorization=f"Bearer {token}")
    browser = service.browser()
    await browser.press(told["url"].removeprefix(service.origin))
    base = f"/console/connectors/drivewell/{id_}"
    shown = await browser.get(base)
    assert shown.status == 200
    assert f"{base}/disconnect" not in shown.text
    refused = await press(browser, base, f"{base}/disconnect")
    assert (refused.status, "connectors:write" in refused.text) == (403, True)
    scopes = await service.loop.pool.fetchval("select scopes from console_session")
    assert set(scopes) == {"connectors:read", "fleet:read"}


async def test_the_hosts_proxy_brings_a_token_instead(service: Running) -> None:
    given = {"Authorization": f"Bearer {host_token(service.key, '*', sub='s-kim')}"}
    shown = await service.browser().get("/console", **given)
    assert shown.status == 200
    assert "s-kim" in shown.text
    bad = {"Authorization": "Bearer nonsense"}
    assert (await service.browser().get("/console", **bad)).status == 401
    without = host_token(service.key, "*", scope=Scope.FLEET_READ.value)
    assert (await service.browser().get("/console", Authorization=f"Bearer {without}")).status == 403


async def test_an_operators_link_from_the_command_line_shows_every_tenant(service: Running) -> None:
    url = await console_link(service.loop.service.settings, "dana")
    browser = service.browser()
    assert (await browser.press(url.removeprefix(service.origin))).status == 303
    shown = await browser.get("/console")
    assert "dana" in shown.text
    assert "sees every tenant" in shown.text


async def test_p24_what_a_session_does_stands_in_the_history_as_an_operators_doing(service: Running) -> None:
    id_ = await service.registered()
    browser, base = await signed_in(service), f"/console/connectors/drivewell/{id_}"
    asked = await browser.get(f"{base}/disconnect")
    assert "Disconnect Books?" in asked.text
    done = await press(browser, f"{base}/disconnect", f"{base}/disconnect")
    assert (done.status, done.location) == (303, base)
    _, told = await service.api("GET", f"/v1/connectors/{id_}/history")
    newest = told["entries"][0]
    assert (newest["trigger"], newest["actor"]) == ("disconnect", {"kind": "operator", "id": KIM["id"]})


async def test_a_link_that_is_sent_from_here_lets_that_person_sign_in(service: Running) -> None:
    id_ = await service.registered()
    browser, base = await signed_in(service), f"/console/connectors/drivewell/{id_}"
    lacking = await press(browser, f"{base}/link", f"{base}/link", {"id": "u-olivia", "name": ""})
    assert "Both fields are needed." in lacking.text
    made = await press(browser, f"{base}/link", f"{base}/link", {"id": "u-olivia", "name": "Olivia"})
    link = made.text.partition(f'value="{service.origin}')[2].partition('"')[0]
    assert "Connect to QuickBooks" in (await service.browser().get(link)).text
    _, told = await service.api("GET", f"/v1/connectors/{id_}/history")
    assert told["entries"][0]["actor"] == {"kind": "operator", "id": KIM["id"]}


async def test_an_unknown_connector_is_a_page_that_says_what_to_do(service: Running) -> None:
    browser = await signed_in(service)
    shown = await browser.get("/console/connectors/drivewell/nobody")
    assert shown.status == 404
    assert "unknown_connector" in shown.text
    assert "What to do" in shown.text


async def test_r14_no_garbage_in_an_address_or_a_form_makes_a_fault_of_ours(service: Running) -> None:
    browser = await signed_in(service)
    csrf = await proof(browser, "/console")
    garbage = ("%00", "%ff%fe", "a%2Fb", "..%2f..", "%0d%0aRegrant-Tenant:x", "%F0%9F%92%A9", "x" * 3000)
    statuses = set()
    for bad in garbage:
        filled = dict.fromkeys(FILLED, bad)
        for address, _ in PAGES:
            if "live" not in address:  # a stream: it goes on
                statuses.add((await browser.get(address.format_map(filled))).status)
        for name in ("as_of", "slider", "cursor", "q", "state", "provider", "tenant", "who_acts"):
            statuses.add((await browser.get(f"/console/connectors?{name}={bad}")).status)
        for address, _ in COMMANDS:
            given = {**csrf, "id": bad, "name": "\x00"}
            statuses.add((await browser.ask("POST", address.format_map(filled), SAME_SITE, given)).status)
        for address in ("/console/open/", "/console/assets/"):
            statuses.add((await browser.get(address + bad)).status)
    assert not [status for status in statuses if status >= 500], statuses


def test_every_page_and_command_has_an_address_of_its_own() -> None:
    addresses = [address for address, _ in PAGES]
    assert len(addresses) == len(set(addresses))
    assert all(address.startswith("/console") for address, _ in (*PAGES, *COMMANDS))


async def test_s38_who_may_not_see_the_fleet_doesnt_see_it_either_when_somebody_just_has(service: Running) -> None:
    whole = await signed_in(service, tenant="drivewell")
    assert (await whole.get("/console")).status == 200
    token = host_token(service.key, "drivewell", scope="connectors:read console:open")
    assert (await service.browser().get("/console", Authorization=f"Bearer {token}")).status == 403
