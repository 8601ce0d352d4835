"""Every screen of the window from values, in any language: what tests render, read and look at without a platform."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from schemas.ids import AttemptId, ProviderId
from schemas.lifecycle import State, Step
from schemas.reasons import Reason
from schemas.secret import Secret
from service.oauth.description import load_descriptions
from service.oauth.window import SHOWN_BY_PROVIDERS, Dead, HandedOn, WindowView
from service.oauth.words import provider_words
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, Language
from service.web.browser import Browser
from service.web.pages import Form, Pages
from service.web.screen import Host, Screen
from service.web.screens import Screens
from statemachine.connector import Account

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RETURN_URL = "https://app.drivewell.example/connections"
HOST = Host("Northwind Data", "https://app.drivewell.example", frozenset({RETURN_URL}))
FORM = Form("c5rf", None)
LINK = Secret("https://connect.example.com/connect/4f7e9b1c2e0d4a4f7e9b1c2e0d4a4f7e9b1c2e0d4a")
DRIVEWELL, ACME = Account("9130350000001", "Drivewell Inc"), Account("9130350000002", "Acme Ltd. (2)")

VIEW = WindowView(
    attempt=AttemptId(UUID("6f9b1c2e-0d4a-4f7e-9b1c-2e0d4a4f7e9b")),
    connector_name="Books of Drivewell Inc",
    tenant="drivewell",
    provider=provider_words(load_descriptions()[ProviderId("quickbooks-online")]),
    account=DRIVEWELL,
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
    expires_at=NOW + timedelta(minutes=10),
)
WAITING = replace(VIEW, step=Step.PROVIDER_PAGE)
CHECKING = replace(VIEW, state=State.VERIFYING, step=Step.ACCOUNT_CHECKED, returned_at=NOW)
SUCCEEDED = replace(VIEW, live=False, succeeded=True, state=State.SYNCING, failure=None, step=Step.SYNC_STARTED)


def ended(reason: Reason | None) -> WindowView:
    """An attempt that ended so, in another company than the connector's."""
    failed = replace(VIEW, live=False, ending=reason, state=State.FAILED, step=Step.EXCHANGED)
    return replace(failed, expected=DRIVEWELL, seen=ACME)


def screens_in(language: Language = ENGLISH) -> Screens:
    return Screens(texts(language), HOST)


@cache
def pages_in(language: Language = ENGLISH) -> Pages:
    browser = Browser("https://connect.example.com", development=False)
    return Pages(texts(language), HOST, browser, frame_ancestors=(), development=False)


@cache
def every_screen(language: Language = ENGLISH) -> dict[str, Screen]:
    """Every screen by a name that says what led to it."""
    return dict(_every_screen(screens_in(language), language))


def _every_screen(screens: Screens, language: Language) -> Iterator[tuple[str, Screen]]:
    yield "start-first", screens.start(replace(VIEW, account=None, failure=Reason.NEVER_CONNECTED))
    yield "start-working", screens.start(replace(VIEW, failure=None))
    for reason in Reason:
        yield f"start-{reason}", screens.start(replace(VIEW, failure=reason))
        yield f"ended-{reason}", screens.attempt(ended(reason), NOW)
    yield "ended-unnamed", screens.attempt(replace(ended(Reason.WRONG_ACCOUNT), account=None, expected=None), NOW)
    for reason in SHOWN_BY_PROVIDERS:
        yield f"told-{reason}", screens.attempt(replace(ended(reason), may_hand_on=True), NOW)
    late = replace(ended(Reason.ATTEMPT_EXPIRED), step=Step.PROVIDER_PAGE)
    yield "late", screens.attempt(late, NOW)
    yield "replaced", screens.attempt(replace(ended(Reason.CANCELLED), replaced=True), NOW)
    yield "repaired", screens.attempt(replace(ended(None), repaired=True, state=State.HEALTHY), NOW)
    yield "taken-off", screens.attempt(replace(ended(None), taken_off=True, state=State.DISCONNECTED), NOW)
    yield "removed", screens.attempt(replace(ended(Reason.CANCELLED), state=State.DELETED), NOW)
    yield "waiting", screens.attempt(WAITING, NOW)
    yield "shown", screens.what_was_shown(WAITING)
    yield "hand-on", screens.hand_on(replace(WAITING, may_hand_on=True))
    yield "hand-on-elsewhere", screens.hand_on(WAITING)
    yield "handed-on", screens.handed_on(HandedOn("Sam Fields", LINK, timedelta(minutes=30), WAITING))
    given = replace(ended(Reason.CANCELLED), handed_on="Sam Fields", may_hand_on=True)
    yield "given-away", screens.attempt(given, NOW)
    yield "confirming", screens.attempt(replace(VIEW, step=Step.RETURNED), NOW)
    yield "checking", screens.attempt(CHECKING, NOW)
    yield "checking-slow", screens.attempt(replace(CHECKING, unavailable=1), NOW)
    yield "checking-long", screens.attempt(replace(CHECKING, returned_at=NOW - timedelta(minutes=1)), NOW)
    yield "watched", screens.attempt(replace(SUCCEEDED, returned_at=NOW), NOW)
    yield "connected", screens.attempt(SUCCEEDED, NOW)
    yield "saved", screens.attempt(replace(SUCCEEDED, step=Step.CREDENTIAL_SAVED), NOW)
    yield "flowing", screens.attempt(replace(SUCCEEDED, state=State.HEALTHY), NOW)
    for dead in Dead:
        yield f"dead-{dead}", screens.dead(dead)
    for kind in sorted({key.split(".")[1] for key in texts(language).unfilled if key.startswith("trouble.")}):
        yield f"trouble-{kind}", screens.trouble(kind)
    yield "reconnect", screens.way_in("reconnect")
    yield "disconnected", screens.way_in("disconnected")
