"""Every screen of the window, rendered from values: what happened, one next step, nothing that isn't for people."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from uuid import UUID

import pytest
from aiohttp import web

from schemas.ids import AttemptId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason, Remedy
from schemas.secret import Secret
from service.oauth.window import Dead, HandedOn, ProviderWords, WindowView
from service.texts.catalogue import MAX_OUTSIDE_TEXT, Texts
from service.web.browser import Browser
from service.web.pages import ASSETS, Form, Pages
from service.web.screen import Host, Screen
from service.web.screens import SLOW_AFTER, WATCHED_FOR, Screens
from statemachine.connector import Account
from tests import screens

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ATTEMPT = AttemptId(UUID("6f9b1c2e-0d4a-4f7e-9b1c-2e0d4a4f7e9b"))
RETURN_URL = "https://app.drivewell.example/connections"
QUICKBOOKS = ProviderWords(
    name="QuickBooks",
    account="company",
    admin="Organization Admin",
    prerequisites=("An active QuickBooks Online subscription.", "The sign-in of an Organization Admin."),
)
VIEW = replace(screens.VIEW, attempt=ATTEMPT, connector_name="Drivewell books", provider=QUICKBOOKS)
CHECKING = replace(VIEW, state=State.VERIFYING, step=Step.EXCHANGED, returned_at=NOW)
SUCCEEDED = replace(VIEW, live=False, succeeded=True, state=State.SYNCING, failure=None, step=Step.SYNC_STARTED)
TROUBLES = ("unavailable", "provider_away", "too_many", "cookies", "foreign", "method", "fault")

HOST = Host("Northwind Data", "https://app.drivewell.example", frozenset({RETURN_URL}))
TEXTS = Texts()
SCREENS = Screens(TEXTS, HOST)
PAGES = Pages(
    TEXTS, HOST, Browser("https://connect.example.com", development=False), frame_ancestors=(), development=False
)
FORM = Form("c5rf", None)


def ended(reason: Reason | None, **changes: object) -> WindowView:
    return replace(VIEW, live=False, ending=reason, state=State.FAILED, step=Step.EXCHANGED, **changes)  # type: ignore[arg-type]


class Read(HTMLParser):
    """What a person gets from a page: its texts, headings, and what can be pressed."""

    def __init__(self, page: web.Response | str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.found: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page if isinstance(page, str) else page.text or "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag in ("meta", "link", "input", "path", "br"):
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open:
            self.found.setdefault(self._open[-1], []).append(data.strip())
            self.texts.append(data.strip())

    @property
    def prose(self) -> str:
        return " ".join(self.texts)

    def having(self, attribute: str) -> list[tuple[str, dict[str, str | None]]]:
        return [(tag, values) for tag, values in self.attributes if attribute in values]


def rendered(screen: Screen) -> Read:
    return Read(PAGES.page(screen, FORM))


def every_ending() -> Iterator[tuple[str, Screen]]:
    for reason in Reason:
        yield f"ended-{reason}", SCREENS.attempt(ended(reason), NOW)
        yield f"start-{reason}", SCREENS.start(replace(VIEW, failure=reason))
    for dead in Dead:
        yield f"dead-{dead}", SCREENS.dead(dead)
    for kind in TROUBLES:
        yield f"trouble-{kind}", SCREENS.trouble(kind)
    yield "removed", SCREENS.attempt(replace(ended(Reason.CANCELLED), state=State.DELETED), NOW)
    yield "disconnected", SCREENS.attempt(replace(ended(Reason.CANCELLED), taken_off=True), NOW)
    yield "replaced", SCREENS.attempt(ended(Reason.CANCELLED, replaced=True), NOW)
    yield "repaired", SCREENS.attempt(replace(ended(Reason.CANCELLED), repaired=True, state=State.HEALTHY), NOW)
    yield "handed-on", SCREENS.attempt(ended(Reason.CANCELLED, replaced=True, handed_on="Sam"), NOW)
    yield "late", SCREENS.attempt(replace(ended(Reason.ATTEMPT_EXPIRED), step=Step.PROVIDER_PAGE), NOW)
    for may in (True, False):
        yield f"needs-admin-{may}", SCREENS.attempt(ended(Reason.NEEDS_ADMIN, may_hand_on=may), NOW)
        yield f"hand-on-{may}", SCREENS.hand_on(replace(VIEW, may_hand_on=may))
    yield "what-was-shown", SCREENS.what_was_shown(VIEW)
    link = Secret("https://connect.example.com/connect/h-1")
    yield "the-link", SCREENS.handed_on(HandedOn("Sam", link, timedelta(minutes=30), VIEW))
    yield "away", SCREENS.attempt(replace(CHECKING, unavailable=1), NOW)
    yield "slow", SCREENS.attempt(replace(CHECKING, returned_at=NOW - SLOW_AFTER * 2), NOW)
    yield "connected", SCREENS.attempt(SUCCEEDED, NOW)
    yield "saved", SCREENS.attempt(replace(SUCCEEDED, step=Step.CREDENTIAL_SAVED), NOW)
    yield "flowing", SCREENS.attempt(replace(SUCCEEDED, state=State.HEALTHY), NOW)
    yield (
        "sync-failed",
        SCREENS.attempt(replace(SUCCEEDED, state=State.FAILED, failure=Reason.SYNC_DID_NOT_START), NOW),
    )


ENDINGS = dict(every_ending())


@pytest.mark.parametrize("name", ENDINGS)
def test_p13_every_ending_says_what_happened_and_offers_one_next_step(name: str) -> None:
    page = rendered(ENDINGS[name])

    assert len(page.found["h1"]) == 1 and len(page.found["h1"][0]) > 3
    assert page.found["title"] == [f"{page.found['h1'][0]} · Northwind Data"]
    assert any(text.endswith(".") and len(text) > 20 for text in page.found["p"])
    assert len(page.having("data-primary")) == 1
    assert [values["lang"] for tag, values in page.attributes if tag == "html"] == ["en"]


@pytest.mark.parametrize("name", ENDINGS)
def test_p13_no_ending_shows_a_code_an_id_or_an_open_brace(name: str) -> None:
    prose = rendered(ENDINGS[name]).prose

    assert not re.search(r"\b[a-z]+_[a-z_]+\b", prose), "a code in place of words"
    assert str(ATTEMPT) not in prose and "9130350000001" not in prose
    assert "{" not in prose and "None" not in prose and "regrant" not in prose.lower()


def test_p13_every_reason_has_words_of_its_own() -> None:
    said = [SCREENS.attempt(ended(reason), NOW).words for reason in Reason]

    assert len(set(said)) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_says_in_the_window_how_long_its_next_step_takes_as_its_help_page_does(reason: Reason) -> None:
    values = {"provider": "QuickBooks", "account": "Drivewell Inc", "admin": "Organization Admin"}
    page = rendered(SCREENS.attempt(ended(reason), NOW))

    if reason is not Reason.ATTEMPT_EXPIRED:  # that one asks first what happened
        assert TEXTS.reason(reason, **values, expected="Drivewell Inc", seen="Acme Ltd").takes in page.prose


@pytest.mark.parametrize("reason", Reason)
def test_a_login_is_offered_only_where_it_helps(reason: Reason) -> None:
    primary = SCREENS.attempt(ended(reason), NOW).primary

    assert primary is not None
    assert (primary.kind == "post") == (reason.remedy is Remedy.REAUTHORISE)


def test_p10_a_subscription_that_has_ended_offers_no_login_before_it_either() -> None:
    page = rendered(SCREENS.start(replace(VIEW, failure=Reason.ACCOUNT_INACTIVE)))

    assert "form" not in [tag for tag, _ in page.attributes]
    assert "Signing in again does not help." in page.prose


def test_s08_the_page_before_the_login_names_host_tenant_person_company_and_cause() -> None:
    prose = rendered(SCREENS.start(VIEW)).prose

    for word in ("Northwind Data", "drivewell", "Olivia Brandt", "Drivewell Inc", "Drivewell books"):
        assert word in prose
    assert "The sign-in has expired." in prose
    assert all(one in prose for one in QUICKBOOKS.prerequisites)


def test_a_connector_that_was_never_connected_says_that_the_company_is_chosen_at_the_provider() -> None:
    page = rendered(SCREENS.start(replace(VIEW, account=None, failure=Reason.NEVER_CONNECTED)))

    assert page.found["h1"] == ["Connect QuickBooks"]
    assert "You choose it at QuickBooks" in page.prose
    assert "Why it stopped" not in page.prose


def test_credentials_edited_while_healthy_say_that_nothing_is_broken() -> None:
    page = rendered(SCREENS.start(replace(VIEW, failure=None)))

    assert "The connection works." in page.prose
    assert "Why it stopped" not in page.prose


def test_p06_a_wrong_company_names_both() -> None:
    drivewell, acme = Account("1", "Drivewell Inc"), Account("2", "Acme Ltd")
    screen = SCREENS.attempt(ended(Reason.WRONG_ACCOUNT, expected=drivewell, seen=acme), NOW)

    assert screen.words == ("You signed in to Acme Ltd; this connector belongs to Drivewell Inc. Nothing was changed.",)
    assert [(line.label, line.status) for line in screen.lines][:2] == [
        ("Signed in to QuickBooks", "done"),
        ("Not the right company", "failed"),
    ]


def test_the_steps_follow_the_checks() -> None:
    def statuses(step: Step) -> list[str]:
        return [line.status for line in SCREENS.attempt(replace(CHECKING, step=step), NOW).lines]

    assert statuses(Step.RETURNED) == ["done", "now", "waiting", "waiting", "waiting", "waiting"]
    assert statuses(Step.ACCOUNT_CHECKED) == ["done", "done", "now", "waiting", "waiting", "waiting"]
    assert statuses(Step.PERMISSION_CHECKED) == ["done", "done", "done", "now", "waiting", "waiting"]


def test_success_says_that_the_sync_has_started() -> None:
    screen = SCREENS.attempt(SUCCEEDED, NOW)

    assert screen.title == "Connected, your sync has started"
    assert screen.final and screen.outcome == "connected"


def test_a_sync_that_was_asked_for_and_has_not_begun_is_not_said_to_have() -> None:
    asked = replace(SUCCEEDED, step=Step.CREDENTIAL_SAVED, returned_at=NOW)
    screen = SCREENS.attempt(asked, NOW)

    assert screen.title == "Connected, your sync starts soon"
    assert [line.status for line in screen.lines][-3:] == ["done", "now", "waiting"]
    assert not screen.final, "the window watches for it"


def test_the_connected_window_watches_for_the_first_data_and_after_a_while_says_that_it_will_come() -> None:
    returned = replace(SUCCEEDED, returned_at=NOW)
    watching = SCREENS.attempt(returned, NOW + timedelta(seconds=5))
    flowing = SCREENS.attempt(replace(returned, state=State.HEALTHY), NOW + timedelta(seconds=9))
    later = SCREENS.attempt(returned, NOW + WATCHED_FOR)

    assert [(screen.final, screen.lines[-1].status) for screen in (watching, flowing, later)] == [
        *((False, "now"), (True, "done"), (True, "waiting")),
    ]
    assert {screen.outcome for screen in (watching, flowing, later)} == {"connected"}
    assert all(line.status == "done" for screen in (watching, flowing, later) for line in screen.lines[:-1])
    assert flowing.step is Step.DATA_FLOWING and "by itself" in later.words[0]


def test_a_provider_that_does_not_answer_or_takes_its_time_is_named() -> None:
    away = SCREENS.attempt(replace(CHECKING, unavailable=1), NOW)
    slow = SCREENS.attempt(replace(CHECKING, returned_at=NOW - SLOW_AFTER - timedelta(seconds=1)), NOW)

    assert "QuickBooks doesn't answer at the moment; we keep trying." in away.words[0]
    assert "QuickBooks takes its time; nothing is lost." in slow.words[0]
    assert not any(one in SCREENS.attempt(CHECKING, NOW).words[0] for one in ("doesn't answer", "takes its time"))


@pytest.mark.parametrize(
    ("view", "name", "final"),
    [
        (CHECKING, "checking", False),
        (replace(VIEW, step=Step.PROVIDER_PAGE), "waiting", False),
        (replace(VIEW, step=Step.RETURNED), "confirming", False),
        (ended(Reason.CANCELLED, replaced=True), "ended replaced", True),
        (ended(None), "ended replaced", True),
        (ended(Reason.CANCELLED, replaced=True, handed_on="Sam"), "ended handed_on", True),
        (replace(ended(Reason.CANCELLED, repaired=True), state=State.SYNCING), "ended repaired", True),
        (ended(Reason.CANCELLED, repaired=True), "ended cancelled", True),
        (replace(ended(Reason.CANCELLED), state=State.DISCONNECTED, taken_off=True), "ended disconnected", True),
        (replace(ended(Reason.CANCELLED), state=State.DISCONNECTED), "ended cancelled", True),
        (replace(ended(Reason.CANCELLED), state=State.DELETED), "ended removed", True),
        (replace(SUCCEEDED, state=State.DISCONNECTED, taken_off=True), "ended disconnected", True),
        (ended(Reason.CANCELLED), "ended cancelled", True),
    ],
)
def test_each_moment_of_an_attempt_has_its_screen(view: WindowView, name: str, final: bool) -> None:
    screen = SCREENS.attempt(view, NOW)

    assert (screen.name, screen.final) == (name, final)


def test_only_an_interrupted_sign_in_goes_on_by_itself() -> None:
    by_itself = {
        reason
        for reason in Reason
        if (primary := SCREENS.attempt(ended(reason), NOW).primary) is not None and primary.by_itself
    }

    assert by_itself == {Reason.EXCHANGE_INTERRUPTED}


def test_p09_who_came_back_from_nowhere_is_asked_what_the_provider_showed() -> None:
    late = replace(ended(Reason.ATTEMPT_EXPIRED), step=Step.PROVIDER_PAGE)
    screen = SCREENS.attempt(late, NOW)

    assert screen.question is not None
    assert [value for value, _ in screen.question.answers] == [
        "needs_admin",
        "account_inactive",
        "product_missing",
        "provider_refused",
    ]
    assert SCREENS.attempt(replace(late, step=Step.LINK_OFFERED), NOW).question is None, "nobody was at the provider"


def test_p12_who_is_no_admin_hands_it_on_where_a_colleague_may_complete_it_and_else_is_sent_to_the_host() -> None:
    here = SCREENS.attempt(ended(Reason.NEEDS_ADMIN, may_hand_on=True), NOW)
    elsewhere = SCREENS.attempt(ended(Reason.NEEDS_ADMIN, may_hand_on=False), NOW)

    assert here.primary is not None and here.primary.address == f"/connect/attempts/{ATTEMPT}/colleague"
    assert here.secondary is not None and here.secondary.label == "Sign in as another person"
    assert elsewhere.primary is not None and elsewhere.primary.kind == "post"
    assert elsewhere.next is not None and "open Northwind Data" in elsewhere.next


def test_the_link_for_a_colleague_is_in_no_repr() -> None:
    handed = HandedOn("Sam", Secret("https://connect.example.com/connect/h-1"), timedelta(minutes=30), VIEW)

    assert "h-1" not in repr(handed) + repr(SCREENS.handed_on(handed))


def test_s24_what_a_stranger_can_try_leads_to_one_page() -> None:
    pages = {
        PAGES.page(SCREENS.dead(dead)).text for dead in (Dead.UNKNOWN, Dead.EXPIRED, Dead.USED, Dead.NOT_THIS_BROWSER)
    }

    assert len(pages) == 1


@pytest.mark.parametrize("return_url", ["https://app.drivewell.example/other", "//evil.example", "javascript:alert(1)"])
def test_s20_an_address_that_is_not_registered_is_never_a_link(return_url: str) -> None:
    page = rendered(SCREENS.attempt(replace(SUCCEEDED, return_url=return_url), NOW))

    links = [values["href"] or "" for tag, values in page.attributes if tag == "a"]
    assert [link for link in links if not link.startswith(("?lang=", "/connect/attempts/"))] == [
        "https://app.drivewell.example"
    ]


def test_without_any_address_of_the_host_the_window_is_closed_by_hand() -> None:
    screens = Screens(TEXTS, Host("Northwind Data", None, frozenset()))

    page = rendered(screens.attempt(SUCCEEDED, NOW))

    assert len(page.having("data-primary")) == len(page.having("data-close")) == 1
    assert "You can close this window now." in page.prose


def test_s22_outside_texts_are_escaped_cleaned_and_cut() -> None:
    hostile = "<script>alert(1)</script>\u202e{0}{provider.name}\x00" + "x" * 500
    view = replace(
        VIEW, connector_name=hostile, person_name=hostile, tenant=hostile, account=Account("1", hostile), failure=None
    )
    for screen in (
        SCREENS.start(view),
        SCREENS.start(replace(view, failure=Reason.TOKEN_REFUSED)),
        SCREENS.attempt(replace(ended(Reason.WRONG_ACCOUNT, seen=Account("2", hostile)), account=view.account), NOW),
    ):
        text = PAGES.page(screen, FORM).text or ""
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text
        assert "\u202e" not in text and "\x00" not in text
        assert max(len(run) for run in re.findall(r"x+", text)) < MAX_OUTSIDE_TEXT


def test_pages_hold_no_style_or_script_of_their_own_and_nothing_foreign() -> None:
    for screen in (SCREENS.start(VIEW), SCREENS.attempt(CHECKING, NOW), *ENDINGS.values()):
        page = rendered(screen)
        assert not page.having("style") and not page.having("onclick")
        assert "style" not in [tag for tag, _ in page.attributes]
        sources = [values["src"] for _, values in page.having("src")]
        sources += [values["href"] for tag, values in page.having("href") if tag == "link"]
        assert all(source is not None and source.startswith("/connect/assets/") for source in sources)
        assert all(values.get("src") for tag, values in page.attributes if tag == "script")


def test_a_page_with_script_off_looks_again_only_while_something_happens_by_itself() -> None:
    def reloads(view: WindowView) -> bool:
        page = PAGES.page(SCREENS.attempt(view, NOW), FORM, status_address="/status")
        return '<noscript><meta http-equiv="refresh" content="2"></noscript>' in (page.text or "")

    assert reloads(CHECKING)
    assert not reloads(replace(VIEW, step=Step.PROVIDER_PAGE)), "a page with a question must hold still"


def test_the_script_and_the_style_stay_small() -> None:
    assert len(ASSETS.bodies["window.js"]) < 7_000
    assert len(ASSETS.bodies["window.css"]) < 12_000


PAIRS = [
    *[("ink", ground) for ground in ("card", "tint", "ground", "attention-tint")],
    *[
        ("quiet", "card"),
        ("quiet", "attention-tint"),
        ("quiet", "good-tint"),
        ("quiet", "tint"),
        ("on-accent", "accent"),
        ("on-accent", "accent-strong"),
        ("accent", "card"),
    ],
    *[("attention", "card"), ("attention", "attention-tint"), ("good", "good-tint"), ("accent", "tint")],
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_has_a_contrast_of_at_least_four_and_a_half(text: str, ground: str, scheme: int) -> None:
    colours = dict(
        re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", ASSETS.bodies["window.css"].decode().split(":root {")[1 + scheme])
    )

    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_what_can_be_pressed_stands_out_by_at_least_three(scheme: int) -> None:
    colours = dict(
        re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", ASSETS.bodies["window.css"].decode().split(":root {")[1 + scheme])
    )

    assert contrast(colours["field"], colours["card"]) >= 3
    assert contrast(colours["accent"], colours["card"]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
