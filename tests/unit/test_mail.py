"""E-mail without a server: what a message says in each language, to whom it may go, and when it holds no longer."""

import re
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from itertools import product

import pytest
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPReadTimeoutError,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from pydantic import TypeAdapter, ValidationError

from schemas.contacts import LONGEST_ADDRESS, NewContact, SetContacts
from schemas.contacts import Contact as ShownContact
from schemas.ids import ConnectorId, ProviderId, TenantId
from schemas.lifecycle import Notice, State
from schemas.reasons import Reason, Remedy
from schemas.secret import Secret
from service.mail.asking import Asking, askings_of, why_over
from service.mail.endpoint import MAIL
from service.mail.message import Sender, message
from service.mail.server import _not_taken
from service.oauth.description import ProviderConfig, load_descriptions
from service.settings.model import Name
from service.store.contacts import Contact
from service.store.couriers import LogRow
from service.texts.catalogue import texts
from service.texts.language import ENGLISH, LANGUAGES, Language
from statemachine.connector import Account, Connector
from tests.unit.test_window_languages import _ENGLISH

QUICKBOOKS = ProviderId("quickbooks-online")
PROVIDERS = {QUICKBOOKS: ProviderConfig(load_descriptions()[QUICKBOOKS], "client", Secret("s"))}
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LINK = "https://connect.example.com/reconnect/quickbooks-online/acme.books"
SENDER = Sender("connections@northwind.example", "Northwind Data", "support@northwind.example")
ROBIN = Contact(Secret("robin@drivewell.example"), "en")
FAILED = Connector(
    ConnectorId("acme.books"),
    State.FAILED,
    7,
    TenantId("acme"),
    QUICKBOOKS,
    "Books of Drivewell Inc",
    Account("9130350000001", "Drivewell Inc"),
    reason=Reason.TOKEN_REFUSED,
)
ASKED = Asking(1, FAILED.id, 7, Notice.PERSON_NEEDED, LINK)
REMINDED = replace(ASKED, notice=Notice.REMINDER, version=8)
WARNED = replace(ASKED, notice=Notice.EXPIRING)
ENDING = replace(
    FAILED, state=State.HEALTHY, reason=None, expires_at=NOW + timedelta(days=30), warned=NOW, expires_estimated=True
)

ASKING_REASONS = [r for r in Reason if r.remedy in (Remedy.REAUTHORISE, Remedy.FIX_ACCOUNT)]
every_language = pytest.mark.parametrize("language", LANGUAGES)


def made(asking: Asking = ASKED, now: Connector = FAILED, contact: Contact = ROBIN, sender: Sender = SENDER) -> bytes:
    return message(asking, now, PROVIDERS, contact, sender, NOW)


def read(raw: bytes) -> EmailMessage:
    """As a mail program reads it."""
    parsed = message_from_bytes(raw, policy=default)
    assert isinstance(parsed, EmailMessage) and not parsed.defects
    return parsed


def parts(raw: bytes) -> tuple[str, str]:
    """Its plain text, and its HTML."""
    plain, html = (part.get_content() for part in read(raw).iter_parts())
    return plain, html


class Tags(HTMLParser):
    """What a page holds beside its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str | None] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src", "background", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


# What it says.


@every_language
def test_p28_every_reason_is_a_whole_message_in_every_language(language: Language) -> None:
    for reason, notice in product(ASKING_REASONS, (Notice.PERSON_NEEDED, Notice.REMINDER)):
        link = LINK if reason.offers_login else None
        asking, now = replace(ASKED, notice=notice, link=link), replace(FAILED, reason=reason)
        raw = made(asking, now, Contact(ROBIN.address, language))
        told, (plain, html) = read(raw), parts(raw)
        tags = Tags(html)
        assert told["Content-Language"] == language
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in html
        for text in (told["Subject"], plain, tags.text):
            assert not re.search(r"[{}]|None|&\w+;", text)
            assert "Drivewell Inc" in text and "Books of Drivewell Inc" in text
            bare = re.sub(r"Books of Drivewell Inc|Drivewell Inc|Northwind Data|QuickBooks|https:\S+", "", text)
            assert bool(_ENGLISH.search(bare)) == (language == ENGLISH), text
        words = texts(language)
        for text in (plain, tags.text):
            assert words.say(f"help.who.{reason.remedy}") in text, "who acts"
            assert (words.say("mail.reminder") in text) == (notice is Notice.REMINDER)
        assert (LINK in plain) == (LINK in tags.addresses) == reason.offers_login


@every_language
def test_p28_a_warning_names_the_day_in_every_language(language: Language) -> None:
    plain, html = parts(made(WARNED, ENDING, Contact(ROBIN.address, language)))
    for text in (plain, Tags(html).text):
        assert "2026-12-24 (UTC)" in text
        assert texts(language).say("mail.ends_estimated") in text


def test_a_message_reads_like_a_letter() -> None:
    plain, _ = parts(made(REMINDED))
    assert plain.splitlines() == [
        "The sign-in has expired",
        "",
        "QuickBooks no longer accepts the saved sign-in for Drivewell Inc.",
        "",
        "This is a reminder; nothing has changed since the message before.",
        "",
        "Connection: Books of Drivewell Inc",
        "Company: Drivewell Inc",
        "Who acts: An administrator of the connected company signs in again.",
        "",
        "What to do now",
        "1. Sign in to QuickBooks again as Organization Admin.",
        "2. There choose Drivewell Inc, and leave every permission ticked.",
        "3. Nothing more: the sync then starts by itself.",
        "How long it takes: About two minutes, with the sign-in to QuickBooks at hand.",
        "",
        "Begin here; the way leads through Northwind Data, where you sign in as usual:",
        LINK,
        "",
        "-- ",
        "Northwind Data sends this by itself to the contacts of the connection. To receive it no longer, ask Northwind"
        " Data to take your address off.",
    ]


def test_its_headers_are_those_of_a_message_that_a_program_sent() -> None:
    told = read(made())
    assert str(told["From"]) == "Northwind Data <connections@northwind.example>"
    assert str(told["To"]) == "robin@drivewell.example"
    assert str(told["Reply-To"]) == "support@northwind.example"
    assert told["Subject"] == "Please sign in to QuickBooks again: Books of Drivewell Inc (Drivewell Inc)"
    assert told["Auto-Submitted"] == "auto-generated"
    assert told["Date"].datetime == NOW
    assert told.get_content_type() == "multipart/alternative"


def test_a_repeat_has_the_same_message_id_and_nothing_else_has() -> None:
    def id_of(asking: Asking = ASKED, address: str = "robin@drivewell.example") -> str:
        return str(read(made(asking, contact=Contact(Secret(address), "de")))["Message-ID"])

    assert id_of() == id_of() == id_of(address="Robin@Drivewell.example")
    others = [id_of(REMINDED), id_of(replace(ASKED, connector=ConnectorId("acme.other"))), id_of(address="a@b.example")]
    assert len({id_of(), *others}) == 4
    assert re.fullmatch(r"<[0-9a-f]{40}@northwind\.example>", id_of())


def test_a_language_without_texts_is_english_and_a_region_counts_as_its_language() -> None:
    for tag, language in (("nl", "en"), ("de-AT", "de"), ("AR", "ar")):
        assert read(made(contact=Contact(ROBIN.address, tag)))["Content-Language"] == language


def test_a_connector_of_a_provider_that_was_taken_out_still_asks() -> None:
    plain, _ = parts(message(ASKED, FAILED, {}, ROBIN, SENDER, NOW))
    assert "quickbooks-online" in plain


def test_without_an_account_none_is_named() -> None:
    raw = made(now=replace(FAILED, account=None))
    assert read(raw)["Subject"] == "Please sign in to QuickBooks again: Books of Drivewell Inc"
    assert "Company:" not in parts(raw)[0]


# Hostile names.

ENCODED = "=?utf-8?q?=0D=0ABcc=3A_all=40example=2Ecom?="
HOSTILE = [
    "A\r\nBcc: everybody@example.com\r\n\r\n<b>",
    "A\nX: y",
    "A\u2028B\u0085C\x0bD\x00E",
    ENCODED,
    '"><img src="https://evil.example/x.png"><script>alert(1)</script>',
    "<style>*{display:none}</style>",
    "a" * 500,
    "\u202eevil\u202c \u2066x",
    "{provider} {0} {{ 7*7 }} %s",
    "<https://evil.example> , x@evil.example;",
    "كتب الشركة (1)",
]


@every_language
def test_s22_no_name_brings_a_header_or_a_tag_of_its_own(language: Language) -> None:
    contact = Contact(ROBIN.address, language)
    plain_one = made(contact=contact)
    expected = Tags(parts(plain_one)[1])
    for hostile in HOSTILE:
        now = replace(FAILED, name=hostile, account=Account("1", hostile))
        raw = made(now=now, contact=contact, sender=replace(SENDER, host=hostile))
        told, tags = read(raw), Tags(parts(raw)[1])
        assert told.keys() == read(plain_one).keys()
        assert told["To"].addresses[0].addr_spec == "robin@drivewell.example" and len(told["To"].addresses) == 1
        assert told["From"].addresses[0].addr_spec == "connections@northwind.example"
        assert len(told["From"].addresses) == 1
        assert all(len(line) <= 998 and line.isascii() for line in raw.decode().split("\r\n"))
        assert not re.search(r"[\r\n\x00\u202e]", str(told["Subject"])) and len(str(told["Subject"])) < 300
        assert (tags.tags, tags.addresses) == (expected.tags, expected.addresses)


def test_s22_a_name_that_looks_encoded_stands_there_as_it_is() -> None:
    told = read(made(now=replace(FAILED, name=ENCODED), sender=replace(SENDER, host=ENCODED)))
    assert ENCODED in told["Subject"]
    assert told["From"].addresses[0].display_name == ENCODED


def test_nothing_is_loaded_and_nobody_is_followed() -> None:
    tags = Tags(parts(made())[1])
    assert {"img", "script", "link", "iframe", "form"}.isdisjoint(tags.tags)
    assert tags.addresses == [LINK]


# To whom.


@pytest.mark.parametrize(
    "address",
    [
        "robin@example.com",
        "r.o'b+x@sub.example.co.uk",
        "R@xn--bcher-kva.example",
        "a#b@1-2.example",
        f"{'a' * 242}@example.com",
    ],
)
def test_plain_addresses_are_taken(address: str) -> None:
    assert NewContact(address=Secret(address)).address.reveal() == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "quentin",
        "quentin@localhost",
        "@example.com",
        "quentin@@example.com",
        "a@b@example.com",
        "quentin@example.com\n",
        "quentin@example.com\r\nBcc: all@example.com",
        "quentin @example.com",
        " quentin@example.com",
        "Robin <quentin@example.com>",
        "<quentin@example.com>",
        '"quentin"@example.com',
        "quentin@[127.0.0.1]",
        "quentin@127.0.0.1",
        "quentin@example.com,all@example.com",
        "quentin%example.com@relay.example",
        "relay.example!quentin@example.com",
        ".quentin@example.com",
        "quentin.@example.com",
        "ro..bin@example.com",
        "quentin@-example.com",
        "quentin@example-.com",
        "quentin@example..com",
        "quentin@example.com.",
        "r\u00f6bin@example.com",
        "quentin@ex\u00e4mple.com",
        "quentin@example.\u0441om",
        "quentin\x00@example.com",
        f"{'a' * 243}@example.com",
    ],
)
def test_whatever_isnt_one_plain_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SetContacts.model_validate_json(f'{{"contacts": [{{"address": {_json(address)}}}]}}')
    assert "quentin" not in str(refused.value)


def _json(text: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"'


def test_there_are_five_contacts_at_most() -> None:
    six = [{"address": f"r{n}@example.com"} for n in range(6)]
    with pytest.raises(ValidationError):
        SetContacts.model_validate({"contacts": six})
    assert len(SetContacts.model_validate({"contacts": six[:5]}).contacts) == 5


def test_s25_no_repr_shows_an_address() -> None:
    told = ShownContact(address="robin@drivewell.example", language="en", refused_at=None)
    asked = NewContact(address=ROBIN.address)
    shown = " ".join(map(repr, (ROBIN, told, asked, SetContacts(contacts=[asked]), [ROBIN])))
    assert "robin" not in shown + f"{ROBIN.address}{ROBIN}"
    assert LONGEST_ADDRESS == 254


# Whether it holds.


def row(notice: str | None = "person_needed", tenant: str = "acme") -> LogRow:
    named = f'"{notice}"' if notice else "null"
    record = f'{{"notice":{named},"link":null,"x":"\\"notice\\":\\"person_needed\\""}}'
    return LogRow(1, 2, FAILED.id, TenantId(tenant), 7, NOW, record, None, None)


def test_no_webhook_can_have_the_name_of_mail() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(MAIL)


@pytest.mark.parametrize("notice", [*Notice, None])
def test_p28_only_what_asks_the_owner_is_a_message(notice: Notice | None) -> None:
    asks = notice in (Notice.PERSON_NEEDED, Notice.REMINDER, Notice.EXPIRING)
    assert [one.notice for one in askings_of(row(notice), frozenset())] == ([notice] if asks else [])


def test_only_the_tenants_that_are_wanted_are_written_to() -> None:
    assert [len(list(askings_of(row(tenant=t), frozenset({TenantId("acme")})))) for t in ("acme", "other")] == [1, 0]


@pytest.mark.parametrize("state", [s for s in State if s not in (State.FAILED, State.AWAITING_AUTH)])
def test_p28_nobody_is_asked_once_it_was_repaired_is_being_checked_or_was_taken_off(state: State) -> None:
    now = replace(FAILED, state=state, fallback=State.FAILED if state is State.VERIFYING else None)
    assert why_over(ASKED, now, has_newer=False) == f"it is {state} now"


def test_p28_what_an_open_attempt_returns_to_counts() -> None:
    opened = replace(FAILED, state=State.AWAITING_AUTH, fallback=State.FAILED)
    assert why_over(ASKED, opened, has_newer=False) is None
    assert why_over(ASKED, replace(opened, fallback=State.HEALTHY, reason=None), has_newer=False)
    assert why_over(WARNED, replace(ENDING, state=State.AWAITING_AUTH, fallback=State.HEALTHY), has_newer=False) is None


def test_p28_a_newer_notice_takes_the_place_of_an_older_one() -> None:
    assert why_over(ASKED, FAILED, has_newer=True) == "a newer notice counts"
    assert why_over(ASKED, FAILED, has_newer=False) is None


def test_p28_what_the_operator_has_to_mend_asks_no_owner() -> None:
    assert why_over(ASKED, replace(FAILED, reason=Reason.CLIENT_REJECTED), has_newer=False)
    assert why_over(ASKED, replace(FAILED, reason=Reason.ACCOUNT_INACTIVE), has_newer=False) is None


def test_p28_a_warning_holds_as_long_as_its_end_does() -> None:
    assert why_over(WARNED, ENDING, has_newer=False) is None
    assert why_over(WARNED, replace(ENDING, warned=None), has_newer=False) == "its end has moved"
    assert why_over(WARNED, replace(FAILED, warned=NOW), has_newer=False)


# What a server's refusals mean.

SAYS = "5.1.1 <robin@drivewell.example>: no such mailbox"


@pytest.mark.parametrize(
    ("error", "of_the_address", "for_good"),
    [
        (SMTPRecipientsRefused([SMTPRecipientRefused(550, SAYS, "robin@drivewell.example")]), True, True),
        (
            SMTPRecipientsRefused([SMTPRecipientRefused(450, "4.2.0 greylisted", "robin@drivewell.example")]),
            True,
            False,
        ),
        (SMTPRecipientsRefused([SMTPRecipientRefused(554, "5.7.1 relay denied", "robin@x.example")]), True, False),
        (SMTPRecipientsRefused([SMTPRecipientRefused(421, "too many", "robin@drivewell.example")]), False, False),
        (SMTPRecipientsRefused([SMTPRecipientRefused(530, "5.7.0 sign in first", "robin@x.example")]), False, False),
        (SMTPDataError(500, SAYS), False, False),
        (SMTPDataError(552, "5.2.2 mailbox of robin@drivewell.example is full"), True, True),
        (SMTPDataError(451, "4.3.0 later"), True, False),
        (SMTPSenderRefused(550, SAYS, "robin@drivewell.example"), False, False),
        (SMTPAuthenticationError(535, f"5.7.8 {SAYS}"), False, False),
        (SMTPServerDisconnected(SAYS), False, False),
        (SMTPReadTimeoutError(SAYS), False, False),
        (SMTPException(SAYS), False, False),
        (OSError(SAYS), False, False),
        (UnicodeError(SAYS), False, False),
        (ValueError(SAYS), True, False),
        (ssl.SSLCertVerificationError(1, SAYS), False, False),
    ],
    ids=lambda given: type(given).__name__,
)
def test_s25_a_refusal_says_whose_fault_it_is_and_nothing_that_the_server_said(
    error: Exception, of_the_address: bool, for_good: bool
) -> None:
    told = _not_taken(error)
    assert (told.address, told.for_good) == (of_the_address, for_good)
    assert not re.search(r"robin|mailbox|@", f"{told!r}{told.what}")
