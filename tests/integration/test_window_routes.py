"""The window's routes over HTTP: cookies, forms, headers, and what a stranger gets. The flow is an in-memory one."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from schemas.ids import AttemptId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from schemas.secret import Secret
from service.engine.submission import Busy
from service.insight.facts import AttemptFacts
from service.oauth import flow as real
from service.oauth.window import SHOWN_BY_PROVIDERS, Begun, Dead, HandedOn, ProviderWords, Returned, WindowView
from service.web.routes import build_web
from statemachine.connector import Account

Client = TestClient[web.Request, web.Application]
Clients = Callable[..., Awaitable[Client]]

PUBLIC_URL = "https://connect.example.com"
HOST_ORIGIN = "https://app.drivewell.example"
RETURN_URL = f"{HOST_ORIGIN}/connections"
AUTHORIZE = "https://provider.example/authorize"
HANDOFF = "h-" + "a" * 41
WINDOW, FORM, LANGUAGE = "__Host-regrant-window", "__Host-regrant-form", "__Host-regrant-language"
NOW = datetime.now(UTC)

VIEW = WindowView(
    attempt=AttemptId(UUID("5c1de2b0-6f0b-4d0e-9a3c-0d6d2f6f3a11")),
    connector_name="Drivewell books",
    tenant="drivewell",
    provider=ProviderWords("QuickBooks", "company", "Organization Admin", ("An active subscription.",)),
    account=Account("9130350000001", "Drivewell Inc"),
    person_name="Olivia Brandt",
    return_url=RETURN_URL,
    step=Step.LINK_OFFERED,
    state=State.AWAITING_AUTH,
    failure=Reason.TOKEN_REFUSED,
    live=True,
    succeeded=False,
    ending=None,
    expected=None,
    seen=None,
    unavailable=0,
    returned_at=None,
    expires_at=NOW + timedelta(hours=10),
)


class NoFacts:
    """An attempt of which the log tells nothing."""

    async def of(self, attempt: AttemptId) -> AttemptFacts:
        return AttemptFacts()


@dataclass
class MemoryFlow:
    """One attempt, with the real flow's rules about who may do what, when."""

    view_: WindowView = VIEW
    handoff: Secret | None = field(default_factory=lambda: Secret(HANDOFF))
    browser: Secret | None = None
    state: str | None = None
    changes: list[str] = field(default_factory=list)
    trouble: Exception | None = None
    refusal: Dead | None = None
    completion_url: Secret | None = None

    async def look(self, handoff: Secret, browser: Secret | None) -> WindowView | Returned | Dead:
        self._meet_trouble()
        if self.handoff is None and handoff == Secret(HANDOFF) and self._is_mine(browser):
            return Returned(self.view_.attempt)
        return self.view_ if handoff == self.handoff else Dead.UNKNOWN

    async def begin(self, handoff: Secret, browser: Secret | None) -> Begun | Dead:
        self._meet_trouble()
        if handoff != self.handoff:
            return Dead.UNKNOWN
        self.handoff = None
        return self._begun("begin", browser or Secret(uuid4().hex * 2))

    async def callback(self, context: str, raw_query: str, browser: Secret | None) -> Returned | Dead:
        self._meet_trouble()
        states = parse_qs(raw_query).get("state", [])
        if len(states) != 1:
            return Dead.BAD_REQUEST
        if context != "quickbooks-online" or states != [self.state]:
            return Dead.UNKNOWN
        if not self._is_mine(browser):
            return Dead.NOT_THIS_BROWSER
        self._now("callback", state=State.VERIFYING, step=Step.RETURNED, returned_at=datetime.now(UTC))
        return Returned(self.view_.attempt, self.completion_url)

    def takes_posts(self, context: str) -> bool:
        return False

    async def view(self, attempt: AttemptId, browser: Secret | None) -> WindowView | Dead:
        self._meet_trouble()
        return self.view_ if attempt == self.view_.attempt and self._is_mine(browser) else Dead.UNKNOWN

    async def marks(self, ids: Collection[AttemptId]) -> Mapping[AttemptId, str]:
        self._meet_trouble()
        return {attempt: repr(self.view_) for attempt in ids if attempt == self.view_.attempt}

    async def again(self, attempt: AttemptId, browser: Secret) -> Begun | Dead:
        self._meet_trouble()
        if attempt != self.view_.attempt or not self._is_mine(browser):
            return Dead.UNKNOWN
        return self.refusal or self._begun("again", browser)

    async def newest(self, context: str, browser: Secret) -> AttemptId | None:
        return self.view_.attempt if self._is_mine(browser) else None

    async def hand_on(self, attempt: AttemptId, browser: Secret, colleague: str) -> HandedOn | Returned | Dead:
        if attempt != self.view_.attempt or not self._is_mine(browser):
            return Dead.UNKNOWN
        if not self.view_.may_hand_on:
            return Returned(attempt)
        before = self.view_
        self._now("hand_on", live=False, ending=Reason.CANCELLED, replaced=True, handed_on=colleague)
        return HandedOn(colleague, Secret(f"{PUBLIC_URL}/connect/{HANDOFF}"), timedelta(minutes=30), before)

    async def ask_help(self, attempt: AttemptId, browser: Secret) -> WindowView | Dead:
        if attempt != self.view_.attempt or not self._is_mine(browser):
            return Dead.UNKNOWN
        self._now("ask_help", help_asked=True)
        return self.view_

    async def give_up(
        self, attempt: AttemptId, browser: Secret, reason: Reason = Reason.CANCELLED
    ) -> WindowView | Dead:
        if attempt != self.view_.attempt or not self._is_mine(browser):
            return Dead.UNKNOWN
        self._now("give_up", live=False, ending=reason, state=State.FAILED)
        return self.view_

    def _begun(self, what: str, browser: Secret) -> Begun:
        self.browser, self.state = browser, uuid4().hex
        self._now(what, step=Step.PROVIDER_PAGE)
        return Begun(self.view_.attempt, f"{AUTHORIZE}?state={self.state}", browser)

    def _now(self, what: str, **changes: object) -> None:
        self.changes.append(what)
        self.view_ = replace(self.view_, **changes)  # type: ignore[arg-type]

    def _is_mine(self, browser: Secret | None) -> bool:
        return self.browser is not None and browser is not None and browser == self.browser

    def _meet_trouble(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class Person:
    """A browser over plain http that keeps cookies like one over https: `__Host-` cookies need that."""

    def __init__(self, client: Client, flow: MemoryFlow) -> None:
        self.client = client
        self.flow = flow
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        return await self._ask("GET", path, headers, None)

    async def post(self, path: str, csrf: str = "", **headers: str) -> aiohttp.ClientResponse:
        sent = {"Sec-Fetch-Site": "same-origin"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._ask("POST", path, sent, {"csrf": csrf})

    async def press(self, page_path: str, to: str, **headers: str) -> aiohttp.ClientResponse:
        return await self.post(to, await self.csrf(page_path), **headers)

    async def csrf(self, page_path: str) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', await (await self.get(page_path)).text())
        assert found is not None
        return found.group(1)

    async def begin(self) -> None:
        assert (await self.press(f"/connect/{HANDOFF}", f"/connect/{HANDOFF}")).status == 303

    async def come_back(self) -> None:
        path = f"/oauth/callback/quickbooks-online?code=c-1&state={self.flow.state}"
        assert (await self.get(path)).status == 303

    async def answer(self, page_path: str, **answers: str) -> aiohttp.ClientResponse:
        """Fills in the form of a page that asks, and sends it."""
        data = {"csrf": await self.csrf(page_path), **answers}
        return await self._ask("POST", page_path, {"Sec-Fetch-Site": "same-origin"}, data)

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], data: dict[str, str] | None
    ) -> aiohttp.ClientResponse:
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent = headers | (cookie if self.cookies else {})
        response = await self.client.request(method, path, headers=sent, data=data, allow_redirects=False)
        self.cookies |= {name: morsel.value for name, morsel in response.cookies.items()}
        return response


@pytest.fixture
def flow() -> MemoryFlow:
    return MemoryFlow()


@pytest.fixture
async def person(aiohttp_client: Clients, flow: MemoryFlow) -> Person:
    return Person(await client_of(aiohttp_client, flow), flow)


async def client_of(aiohttp_client: Clients, flow: MemoryFlow, **changes: object) -> Client:
    app = web.Application()
    settings: dict[str, object] = {
        "public_url": PUBLIC_URL,
        "host_name": "Northwind Data",
        "frame_ancestors": (),
        "return_urls": (RETURN_URL,),
        "host_origin": HOST_ORIGIN,
        "development": False,
    }
    build_web(app, flow=flow, facts=NoFacts(), **(settings | changes))  # type: ignore[arg-type]
    return await aiohttp_client(app, cookie_jar=aiohttp.DummyCookieJar())


ATTEMPT_PAGE = f"/connect/attempts/{VIEW.attempt}"
STATUS = f"{ATTEMPT_PAGE}/status"


def test_the_flow_of_these_tests_has_the_real_ones_signatures() -> None:
    for name in ("look", "begin", "callback", "newest", "view", "again", "give_up", "hand_on", "ask_help"):
        assert inspect.signature(getattr(MemoryFlow, name)).parameters.keys() == (
            inspect.signature(getattr(real.Flow, name)).parameters.keys()
        )


async def test_the_whole_way_from_the_link_to_connected(person: Person, flow: MemoryFlow) -> None:
    start = await person.get(f"/connect/{HANDOFF}")
    assert "Connect to QuickBooks" in await start.text()

    begun = await person.press(f"/connect/{HANDOFF}", f"/connect/{HANDOFF}")
    assert (begun.status, begun.headers["Location"]) == (303, f"{AUTHORIZE}?state={flow.state}")

    back = await person.get(f"/oauth/callback/quickbooks-online?code=c-1&state={flow.state}&realmId=9130")
    assert (back.status, back.headers["Location"]) == (303, ATTEMPT_PAGE)
    assert "Checking…" in await (await person.get(ATTEMPT_PAGE)).text()

    flow.view_ = replace(flow.view_, live=False, succeeded=True, state=State.SYNCING, step=Step.SYNC_STARTED)
    assert "Connected, your sync has started" in await (await person.get(ATTEMPT_PAGE)).text()


# The browser.


async def test_s04_the_button_gives_a_cookie_that_only_this_host_gets(person: Person, flow: MemoryFlow) -> None:
    begun = await person.press(f"/connect/{HANDOFF}", f"/connect/{HANDOFF}")

    cookie = begun.cookies[WINDOW]
    assert flow.browser is not None and flow.state is not None
    assert cookie.value == flow.browser.reveal()
    assert cookie["httponly"] and cookie["secure"] and cookie["path"] == "/" and cookie["domain"] == ""
    assert cookie["samesite"] == "Lax"
    assert flow.state not in cookie.value and flow.state not in cookie.key


@pytest.mark.parametrize("cookie", [None, "forged" * 10, "short", "x" * 5000, "a" * 40 + "\u00fc"])
async def test_s04_a_missing_foreign_or_forged_cookie_leads_nowhere(
    person: Person, flow: MemoryFlow, cookie: str | None
) -> None:
    await person.begin()
    person.cookies.pop(WINDOW)
    if cookie is not None:
        person.cookies[WINDOW] = cookie

    back = await person.get(f"/oauth/callback/quickbooks-online?code=c-1&state={flow.state}")

    assert back.status == 404
    assert flow.changes == ["begin"]


async def test_s04_plain_http_is_for_development_on_loopback(aiohttp_client: Clients, flow: MemoryFlow) -> None:
    for url, development in (("http://127.0.0.1:8080", False), ("http://connect.example.com", True)):
        with pytest.raises(ValueError, match="https"):
            await client_of(aiohttp_client, flow, public_url=url, development=development)

    client = await client_of(aiohttp_client, flow, public_url="http://127.0.0.1:8080", development=True)
    page = await client.get(f"/connect/{HANDOFF}")

    assert list(page.cookies) == ["regrant-form"] and not page.cookies["regrant-form"]["secure"]
    assert "Strict-Transport-Security" not in page.headers


async def test_s06_a_second_attempt_in_the_same_browser_keeps_its_cookie(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    first = person.cookies[WINDOW]
    flow.handoff = Secret(HANDOFF)

    await person.begin()

    assert person.cookies[WINDOW] == first


# Who pressed the button.


async def test_s10_a_get_changes_nothing(person: Person, flow: MemoryFlow) -> None:
    for _ in range(3):
        assert (await person.get(f"/connect/{HANDOFF}")).status == 200
        assert (await person.client.head(f"/connect/{HANDOFF}")).status == 200
    assert flow.changes == []
    assert flow.handoff is not None

    await person.begin()
    for path in (ATTEMPT_PAGE, STATUS, f"/connect/{HANDOFF}"):
        await person.get(path)
    assert flow.changes == ["begin"]


async def test_s10_a_look_gives_no_window_cookie(person: Person) -> None:
    page = await person.get(f"/connect/{HANDOFF}")

    assert list(page.cookies) == [FORM]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_s10_a_post_from_another_page_starts_nothing(person: Person, flow: MemoryFlow, site: str) -> None:
    refused = await person.press(f"/connect/{HANDOFF}", f"/connect/{HANDOFF}", Sec_Fetch_Site=site)

    assert refused.status == 403
    assert flow.changes == []


@pytest.mark.parametrize(
    "path", [f"/connect/{HANDOFF}", *(f"{ATTEMPT_PAGE}/{what}" for what in ("again", "cancel", "shown", "colleague"))]
)
@pytest.mark.parametrize("csrf", ["", "0" * 64, "\u00fc"])
async def test_s10_a_post_without_the_forms_token_starts_nothing(
    person: Person, flow: MemoryFlow, path: str, csrf: str
) -> None:
    await person.begin()
    flow.handoff = Secret(HANDOFF)

    refused = await person.post(path, csrf)

    assert refused.status == 403
    assert flow.changes == ["begin"]


async def test_s10_a_token_of_another_browsers_form_is_refused(person: Person, flow: MemoryFlow) -> None:
    stranger = Person(person.client, flow)
    theirs = await stranger.csrf(f"/connect/{HANDOFF}")
    await person.get(f"/connect/{HANDOFF}")

    assert (await person.post(f"/connect/{HANDOFF}", theirs)).status == 403
    assert flow.changes == []


async def test_s10_an_old_browser_is_known_by_its_origin_and_token(person: Person, flow: MemoryFlow) -> None:
    csrf = await person.csrf(f"/connect/{HANDOFF}")
    cookies = {"Cookie": f"{FORM}={person.cookies[FORM]}"}

    async def press(**headers: str) -> int:
        sent = cookies | headers
        path = f"/connect/{HANDOFF}"
        async with person.client.post(path, headers=sent, data={"csrf": csrf}, allow_redirects=False) as response:
            return response.status

    assert await press(Origin="https://evil.example") == 403
    assert await press(Origin="null") == 403
    assert flow.changes == []
    assert await press(Origin=PUBLIC_URL) == 303


async def test_blocked_cookies_have_a_page_that_says_so(person: Person, flow: MemoryFlow) -> None:
    csrf = await person.csrf(f"/connect/{HANDOFF}")
    person.cookies.clear()

    refused = await person.post(f"/connect/{HANDOFF}", csrf)

    assert refused.status == 403
    assert "Your browser blocks our cookie" in await refused.text()
    assert flow.changes == []


# After the provider.


async def test_s21_the_callback_answers_with_a_clean_address(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    back = await person.get(f"/oauth/callback/quickbooks-online?code=c-secret&state={flow.state}")

    assert back.status == 303
    assert "c-secret" not in str(back.headers) and "?" not in back.headers["Location"]
    assert back.headers["Referrer-Policy"] == "no-referrer" and back.headers["Cache-Control"] == "no-store"


async def test_s09_a_new_account_goes_to_the_hosts_completion_address(person: Person, flow: MemoryFlow) -> None:
    flow.completion_url = Secret(f"{HOST_ORIGIN}/complete?completion_token=t-1")
    await person.begin()

    back = await person.get(f"/oauth/callback/quickbooks-online?code=c-1&state={flow.state}")

    assert (back.status, back.headers["Location"]) == (303, f"{HOST_ORIGIN}/complete?completion_token=t-1")


async def test_the_query_reaches_the_flow_unparsed(person: Person, flow: MemoryFlow) -> None:
    asked: list[str] = []

    async def callback(context: str, raw_query: str, browser: Secret | None) -> Dead:
        asked.append(raw_query)
        return Dead.BAD_REQUEST

    flow.callback = callback  # type: ignore[method-assign]
    raw = "state=a%2Fb&state=%FF&code=%00+x&&error"
    status = await raw_status(person.client, f"GET /oauth/callback/quickbooks-online?{raw} HTTP/1.1".encode())

    assert (status, asked) == (400, [raw])


@pytest.mark.parametrize("query", [b"state=\xff\xfe&code=c", "state=ü&code=c".encode()])
async def test_s05_bytes_that_no_query_may_hold_are_a_bad_request(person: Person, query: bytes) -> None:
    status = await raw_status(person.client, b"GET /oauth/callback/quickbooks-online?" + query + b" HTTP/1.1")

    assert status == 400


async def raw_status(client: Client, request_line: bytes) -> int:
    """The status of a request that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])


async def test_the_status_is_small_and_unchanged_costs_nothing(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    await person.come_back()

    first = await person.get(STATUS)
    body = await first.json()
    assert (body["final"], len(await first.read()) < 6000) == (False, True)
    assert body["said"] == "Checking. Signed in to QuickBooks."
    unchanged = await person.get(STATUS, **{"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status, await unchanged.read()) == (304, b"")

    flow.view_ = replace(flow.view_, live=False, succeeded=True, state=State.SYNCING)
    changed = await person.get(STATUS, **{"If-None-Match": first.headers["ETag"]})
    body = await changed.json()
    assert (changed.status, body["final"]) == (200, False)
    assert 'data-outcome="connected"' in body["html"]

    flow.view_ = replace(flow.view_, state=State.HEALTHY)
    assert (await (await person.get(STATUS)).json())["final"]


async def test_p06_after_a_wrong_company_the_button_leads_to_the_provider_again(
    person: Person, flow: MemoryFlow
) -> None:
    await person.begin()
    flow.view_ = replace(
        flow.view_, live=False, ending=Reason.WRONG_ACCOUNT, state=State.FAILED, seen=Account("2", "Acme Ltd")
    )
    page = await (await person.get(ATTEMPT_PAGE)).text()
    assert "You signed in to Acme Ltd; this connector belongs to Drivewell Inc." in page

    again = await person.press(ATTEMPT_PAGE, f"{ATTEMPT_PAGE}/again")

    assert (again.status, again.headers["Location"]) == (303, f"{AUTHORIZE}?state={flow.state}")
    assert flow.changes == ["begin", "again"]


async def test_the_person_may_stop(person: Person, flow: MemoryFlow) -> None:
    await person.begin()

    stopped = await person.press(ATTEMPT_PAGE, f"{ATTEMPT_PAGE}/cancel")

    assert (stopped.status, stopped.headers["Location"]) == (303, ATTEMPT_PAGE)
    assert "You stopped before the end" in await (await person.get(ATTEMPT_PAGE)).text()


async def test_a_sign_in_that_is_being_checked_can_be_looked_at(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    csrf = await person.csrf(ATTEMPT_PAGE)
    flow.refusal = Dead.VERIFICATION_RUNNING

    refused = await person.post(f"{ATTEMPT_PAGE}/again", csrf)

    assert refused.status == 409
    assert f'href="{ATTEMPT_PAGE}"' in await refused.text()


# Pages and addresses.


@pytest.mark.parametrize(
    "path",
    [
        f"/connect/{HANDOFF}",
        ATTEMPT_PAGE,
        "/connect/unknown",
        "/oauth/callback/quickbooks-online",
        "/connect/attempts/x/y/z",
    ],
)
async def test_s21_every_page_has_the_headers(person: Person, path: str) -> None:
    page = await person.get(path)

    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; ")
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy and "base-uri 'none'" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")


async def test_s21_only_pages_that_lead_to_the_provider_may_send_a_form_away(person: Person) -> None:
    start = await person.get(f"/connect/{HANDOFF}")
    dead = await person.get("/connect/unknown")

    assert "form-action 'self' https:;" in start.headers["Content-Security-Policy"]
    assert "form-action 'self';" in dead.headers["Content-Security-Policy"]


async def test_s21_frames_are_for_those_that_the_settings_name(aiohttp_client: Clients, flow: MemoryFlow) -> None:
    client = await client_of(aiohttp_client, flow, frame_ancestors=(HOST_ORIGIN,))

    page = await client.get(f"/connect/{HANDOFF}")

    assert f"frame-ancestors {HOST_ORIGIN};" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "return_url",
    [
        "//evil.example",
        "\\\\evil.example",
        "https://app.drivewell.example@evil.example/",
        "https://app.drivewell.еxample/connections",
        f"{RETURN_URL}\r\nLocation: https://evil.example",
        f"{RETURN_URL}/",
        "javascript:alert(1)",
    ],
)
async def test_s20_only_a_registered_address_is_offered(person: Person, flow: MemoryFlow, return_url: str) -> None:
    await person.begin()
    flow.view_ = replace(flow.view_, live=False, succeeded=True, state=State.SYNCING, return_url=return_url)

    page = await (await person.get(ATTEMPT_PAGE)).text()

    assert re.findall(r'<a [^>]*href="([^"?][^"]*)"', page) == [HOST_ORIGIN, f"{ATTEMPT_PAGE}/report"]


async def test_s20_the_registered_address_is_offered(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    flow.view_ = replace(flow.view_, live=False, succeeded=True, state=State.SYNCING)

    page = await (await person.get(ATTEMPT_PAGE)).text()

    assert re.findall(r'<a [^>]*href="([^"?][^"]*)"', page) == [RETURN_URL, f"{ATTEMPT_PAGE}/report"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[(method, f"/connect/{HANDOFF}") for method in ("PUT", "DELETE", "TRACE", "PATCH", "OPTIONS")],
        *[(method, "/oauth/callback/quickbooks-online?state=s&code=c") for method in ("POST", "HEAD", "TRACE")],
        ("GET", f"{ATTEMPT_PAGE}/again"),
        ("POST", STATUS),
    ],
)
async def test_s23_other_methods_are_refused(person: Person, flow: MemoryFlow, method: str, path: str) -> None:
    response = await person.client.request(method, path)

    assert response.status == 405
    assert response.headers["Allow"] and "Content-Security-Policy" in response.headers
    assert flow.changes == []


async def test_s23_host_and_forwarded_headers_change_no_address(person: Person, flow: MemoryFlow) -> None:
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    csrf = await person.csrf(f"/connect/{HANDOFF}")
    start = await person.get(f"/connect/{HANDOFF}", **forged)
    begun = await person.post(f"/connect/{HANDOFF}", csrf, **forged)
    back = await person.get(f"/oauth/callback/quickbooks-online?code=c&state={flow.state}", **forged)

    assert "evil" not in await start.text()
    assert begun.headers["Location"].startswith(AUTHORIZE)
    assert back.headers["Location"] == ATTEMPT_PAGE


async def test_s24_unknown_expired_used_and_foreign_look_the_same(person: Person, flow: MemoryFlow) -> None:
    stranger = Person(person.client, flow)
    csrf = await stranger.csrf(f"/connect/{HANDOFF}")
    await person.begin()
    flow.view_ = replace(flow.view_, may_hand_on=True)
    answers = [
        await stranger.get(SHOWN),
        await stranger.get(COLLEAGUE),
        await stranger.post(SHOWN, csrf),
        await stranger.post(COLLEAGUE, csrf),
        await stranger.post(f"/connect/{HANDOFF}", csrf),
        await stranger.post("/connect/" + "z" * 43, csrf),
        await stranger.post(f"{ATTEMPT_PAGE}/again", csrf),
        await stranger.post(f"/connect/attempts/{uuid4()}/cancel", csrf),
        await stranger.get(f"/connect/{HANDOFF}"),
        await stranger.get("/connect/" + "z" * 43),
        await stranger.get("/connect/%ff%00"),
        await stranger.get(ATTEMPT_PAGE),
        await stranger.get(f"/connect/attempts/{uuid4()}"),
        await stranger.get("/connect/attempts/nonsense"),
        await stranger.get(f"/oauth/callback/quickbooks-online?code=c&state={flow.state}"),
        await stranger.get("/oauth/callback/quickbooks-online?code=c&state=unknown"),
        await stranger.get("/oauth/callback/nowhere?code=c&state=unknown"),
    ]

    assert {(answer.status, await answer.text()) for answer in answers} == {(404, await answers[0].text())}
    assert str(VIEW.attempt) not in await answers[0].text() and "Drivewell" not in await answers[0].text()


# What is asked.

SHOWN, COLLEAGUE = f"{ATTEMPT_PAGE}/shown", f"{ATTEMPT_PAGE}/colleague"


@pytest.mark.parametrize("reason", SHOWN_BY_PROVIDERS)
async def test_p09_what_the_provider_showed_is_the_attempts_reason(
    person: Person, flow: MemoryFlow, reason: Reason
) -> None:
    await person.begin()

    told = await person.answer(SHOWN, reason=reason)

    assert (told.status, told.headers["Location"], flow.view_.ending) == (303, ATTEMPT_PAGE, reason)


@pytest.mark.parametrize("answer", [{}, {"reason": ""}, {"reason": "connected"}, {"reason": "<b>"}])
async def test_an_answer_that_was_not_offered_is_asked_for_again(
    person: Person, flow: MemoryFlow, answer: dict[str, str]
) -> None:
    await person.begin()

    asked = await person.answer(SHOWN, **answer)

    assert (asked.status, asked.headers["Location"], flow.changes) == (303, SHOWN, ["begin"])


async def test_p12_a_colleagues_link_is_shown_once_and_never_kept(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    flow.view_ = replace(flow.view_, may_hand_on=True)

    page = await person.answer(COLLEAGUE, name="  Sam <b>\u202eOkafor\x00 ")

    text = await page.text()
    assert (page.status, page.headers["Cache-Control"], flow.view_.handed_on) == (200, "no-store", "Sam <b>Okafor")
    assert f'value="{PUBLIC_URL}/connect/{HANDOFF}"' in text and "within the next 30 minutes" in text
    assert "Sam &lt;b&gt;Okafor" in text
    assert HANDOFF not in await (await person.get(ATTEMPT_PAGE)).text()


@pytest.mark.parametrize("name", ["", "   ", "\u202e"])
async def test_p12_without_a_name_nothing_is_handed_on(person: Person, flow: MemoryFlow, name: str) -> None:
    await person.begin()
    flow.view_ = replace(flow.view_, may_hand_on=True)

    assert (await person.answer(COLLEAGUE, name=name)).headers["Location"] == COLLEAGUE
    assert flow.changes == ["begin"]


async def test_p12_where_the_host_confirms_the_colleague_starts_there(person: Person) -> None:
    await person.begin()

    text = await (await person.get(COLLEAGUE)).text()

    assert "Your colleague starts at Northwind Data" in text and "<form" not in text


async def test_an_answer_to_an_earlier_request_of_the_browser_leads_to_its_newest(
    person: Person, flow: MemoryFlow
) -> None:
    await person.begin()

    page = await person.get("/oauth/callback/quickbooks-online?code=c&state=older")

    assert page.status == 404
    assert "That was an earlier sign-in" in await page.text() and f'href="{ATTEMPT_PAGE}"' in await page.text()


# Our own trouble.


@pytest.mark.parametrize("trouble", [asyncpg.CannotConnectNowError("away"), ConnectionRefusedError(), Busy()])
async def test_a_database_that_is_away_gets_a_page_that_tries_again(
    person: Person, flow: MemoryFlow, trouble: Exception
) -> None:
    await person.begin()
    flow.trouble = trouble

    path = f"/oauth/callback/quickbooks-online?code=c-1&state={flow.state}"
    away = await person.get(path)
    assert (away.status, away.headers["Retry-After"]) == (503, "3")
    assert '<meta http-equiv="refresh" content="3">' in await away.text()
    assert 'data-retry-s="3" data-retry=""' in await away.text()

    flow.trouble = None
    assert (await person.get(path)).status == 303


async def test_a_button_that_found_the_database_away_leads_back_to_its_page(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    csrf = await person.csrf(ATTEMPT_PAGE)
    flow.trouble = TimeoutError()

    away = await person.post(f"{ATTEMPT_PAGE}/again", csrf)

    assert away.status == 503
    assert f'content="3; url={ATTEMPT_PAGE}"' in await away.text()


async def test_a_fault_of_ours_is_a_page_without_its_inside(person: Person, flow: MemoryFlow) -> None:
    flow.trouble = RuntimeError("an inner secret")

    page = await person.get(f"/connect/{HANDOFF}")

    assert page.status == 500
    assert "Something went wrong on our side" in await page.text()
    assert "inner secret" not in await page.text()


async def test_other_rooms_answers_are_left_alone(aiohttp_client: Clients, flow: MemoryFlow) -> None:
    app = web.Application()
    build_web(
        app,
        flow=flow,
        facts=NoFacts(),
        public_url=PUBLIC_URL,
        host_name="Northwind Data",
        frame_ancestors=(),
        return_urls=(),
        host_origin=None,
        development=False,
    )
    client = await aiohttp_client(app)

    answer = await client.get("/v1/connectors")

    assert answer.status == 404 and "Content-Security-Policy" not in answer.headers


@pytest.mark.parametrize(
    ("name", "kind"), [("window.css", "text/css"), ("window.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
async def test_style_and_script_are_served(person: Person, name: str, kind: str) -> None:
    asset = await person.get(f"/connect/assets/{name}")

    assert (asset.status, asset.content_type) == (200, kind)
    assert asset.headers["X-Content-Type-Options"] == "nosniff"
    assert (await person.get("/connect/assets/other.css")).status == 404


async def test_the_back_button_to_a_spent_link_leads_its_own_browser_back_to_its_attempt(
    person: Person, flow: MemoryFlow
) -> None:
    await person.begin()
    back = await person.get(f"/connect/{HANDOFF}")
    assert (back.status, back.headers["Location"]) == (303, f"/connect/attempts/{flow.view_.attempt}")


# The language.


async def test_a_browser_gets_the_language_that_it_prefers(person: Person) -> None:
    page = await person.get(f"/connect/{HANDOFF}", **{"Accept-Language": "nl, ar-EG;q=0.9, en;q=0.5"})

    assert '<html lang="ar" dir="rtl">' in await page.text()
    assert page.headers["Content-Language"] == "ar"
    assert page.headers["Vary"] == "Accept-Language, Cookie"
    assert LANGUAGE not in page.cookies


async def test_a_language_that_was_chosen_is_kept_for_the_visit(person: Person, flow: MemoryFlow) -> None:
    german = {"Accept-Language": "de"}
    chosen = await person.get(f"/connect/{HANDOFF}?lang=ja", **german)
    assert chosen.headers["Content-Language"] == "ja"
    cookie = chosen.cookies[LANGUAGE]
    assert (cookie.value, cookie["max-age"], cookie["samesite"]) == ("ja", "", "Lax")

    await person.begin()
    await person.come_back()

    assert (await person.get(ATTEMPT_PAGE, **german)).headers["Content-Language"] == "ja"
    told = await person.get(STATUS, **german)
    assert told.headers["Content-Language"] == "ja" and "確認" in (await told.json())["html"]
    assert (await person.get("/connect/nothing", **german)).headers["Content-Language"] == "ja"
    assert (await person.get(f"{ATTEMPT_PAGE}?lang=fr")).headers["Content-Language"] == "fr"
    assert (await person.get(ATTEMPT_PAGE, **german)).headers["Content-Language"] == "fr"


@pytest.mark.parametrize(
    "asked", ["nl", "xx", "", "../en", "de\r\nSet-Cookie: a=b", "en%00", "%F0%9F%A6%86", "d" * 5000]
)
async def test_s22_a_language_that_there_isn_t_changes_nothing(person: Person, asked: str) -> None:
    page = await person.get(f"/connect/{HANDOFF}?lang={quote(asked)}", **{"Accept-Language": "es"})

    assert page.headers["Content-Language"] == "es"
    assert LANGUAGE not in page.cookies


async def test_s22_a_cookie_that_somebody_forged_is_no_language(person: Person) -> None:
    person.cookies[LANGUAGE] = "zz<script>"

    assert (await person.get(f"/connect/{HANDOFF}")).headers["Content-Language"] == "en"


async def test_s24_strangers_get_one_answer_in_each_language(person: Person) -> None:
    paths = (f"/connect/{'x' * 43}", f"/connect/attempts/{uuid4()}", "/oauth/callback/nobody?state=s&code=c")
    for language in ("ar", "de", "fr"):
        answers = [await person.get(path, **{"Accept-Language": language}) for path in paths]
        assert len({await answer.text() for answer in answers}) == 1


async def test_p25_get_help_is_a_page_and_a_file_for_the_browser_that_began(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    flow._now("ended", live=False, ending=Reason.WRONG_ACCOUNT, state=State.FAILED, step=Step.EXCHANGED)
    assert f'href="{ATTEMPT_PAGE}/report"' in await (await person.get(ATTEMPT_PAGE)).text()
    before = list(flow.changes)

    page, file = await person.get(f"{ATTEMPT_PAGE}/report"), await person.get(f"{ATTEMPT_PAGE}/report/file")

    told, kept = await page.text(), await file.text()
    for text in (told, kept):
        assert "wrong_account" in text and "exchanged" in text and "5C1D-E2B0" in text and "<svg " in text
    assert file.headers["Content-Disposition"] == 'attachment; filename="support-report-5C1D-E2B0.html"'
    assert "<script" not in kept and "sandbox" in file.headers["Content-Security-Policy"]
    assert "style=" not in told and page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert flow.changes == before
    cookies, person.cookies = person.cookies, {}
    strangers = [await person.get(f"{ATTEMPT_PAGE}/report{more}") for more in ("", "/file")]
    unknown = await person.get(f"/connect/attempts/{uuid4()}/report")
    assert [answer.status for answer in (*strangers, unknown)] == [404, 404, 404]
    assert len({await answer.text() for answer in (*strangers, unknown)}) == 1
    person.cookies = cookies


async def test_p25_a_click_of_a_page_of_ours_sends_the_report_to_the_host(person: Person, flow: MemoryFlow) -> None:
    await person.begin()
    report = f"{ATTEMPT_PAGE}/report"
    foreign = await person.press(report, report, **{"Sec-Fetch-Site": "cross-site"})
    assert (foreign.status, "ask_help" in flow.changes) == (403, False)

    sent = await person.press(report, report)

    assert (sent.status, sent.headers["Location"], flow.changes[-1]) == (303, report, "ask_help")
    page = await (await person.get(report)).text()
    assert "Northwind Data has got it." in page and 'name="csrf"' not in page
