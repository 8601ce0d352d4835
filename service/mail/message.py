"""A message: what happened, who acts, what to do and where to begin, in the contact's language (RFC 5322, 2046).

Names from outside are cleaned and cut before they come into a header, and escaped in the HTML. Nothing in it is loaded
from anywhere, and nothing tells who has read it.

Made with the older half of `email`: the newer one decodes what is put into a header, so that a name that is an encoded
word (RFC 2047) could end the header and begin one of its own.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.charset import BASE64, QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr

from schemas.lifecycle import Notice
from schemas.reasons import Remedy
from service.mail.asking import Asking, reason_of
from service.oauth.description import Providers
from service.oauth.words import names_of, words_of
from service.pages import templates_of
from service.store.contacts import Contact
from service.texts.catalogue import Texts, shown, texts
from service.texts.language import ENGLISH, chosen
from statemachine.connector import Connector

IN_A_SUBJECT = 60
"""The most characters of a name there."""

_LINES = compat32.clone(linesep="\r\n")
_TEMPLATES = templates_of("service.mail")


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom messages come from."""

    address: str
    host: str
    """The host's name, as people know it."""
    reply_to: str | None = None

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Said:
    """What a message says, ready to be laid out."""

    language: str
    direction: str
    subject: str
    title: str
    words: tuple[str, ...]
    facts: tuple[str, ...]
    what_next: str
    steps: tuple[str, ...]
    takes: str
    begin: str
    button: str
    link: str | None
    footer: str


def message(
    asking: Asking, now: Connector, providers: Providers, contact: Contact, sender: Sender, at: datetime
) -> bytes:
    """The message for a contact. The same one has the same Message-ID, whenever it is made."""
    said = say(asking, now, providers, texts(chosen(contact.language) or ENGLISH), sender.host)
    made = MIMEMultipart("alternative")
    made["From"] = _named(shown(sender.host), sender.address)
    made["To"] = contact.address.reveal()
    if sender.reply_to is not None:
        made["Reply-To"] = sender.reply_to
    made["Subject"] = _header("Subject", said.subject)
    made["Date"] = format_datetime(at.astimezone(UTC))
    made["Message-ID"] = message_id(asking, contact, sender)
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834 5
    made["Content-Language"] = said.language
    for kind, file in (("plain", "message.txt"), ("html", "message.html")):
        made.attach(_part(_TEMPLATES.get_template(file).render(said=said), kind))
    return made.as_bytes(policy=_LINES)


def message_id(asking: Asking, contact: Contact, sender: Sender) -> str:
    """Made from connector, version and contact: whoever gets a repeat can tell."""
    named = "\n".join((asking.connector, str(asking.version), contact.address.reveal().lower()))
    return f"<{hashlib.sha256(named.encode()).hexdigest()[:40]}@{sender.domain}>"


def say(asking: Asking, now: Connector, providers: Providers, t: Texts, host: str) -> Said:
    """What is said in that language."""
    reason, names = reason_of(asking, now), names_of(providers, now, t.language)
    words = words_of(providers, now, reason, t.language)
    reminded = (t.say("mail.reminder"),) if asking.notice is Notice.REMINDER else ()
    return Said(
        language=t.language,
        direction=t.say("direction"),
        subject=_subject(asking, now, names["provider"], reason.remedy, t),
        title=words.title,
        words=(words.words, *reminded),
        facts=tuple(_facts(asking, now, names["company"], reason.remedy, t)),
        what_next=t.say("what_next"),
        steps=words.steps,
        takes=_line(t, t.say("help.takes"), words.takes),
        begin=t.say("mail.begin", host=host),
        button=t.say("start.connect", provider=names["provider"]),
        link=asking.link,
        footer=t.say("mail.footer", host=host),
    )


def _subject(asking: Asking, now: Connector, provider: str, remedy: Remedy, t: Texts) -> str:
    if asking.notice is Notice.EXPIRING:
        kind = "expiring"
    else:
        kind = "sign_in" if remedy is Remedy.REAUTHORISE else "account"
        kind += "_reminder" if asking.notice is Notice.REMINDER else ""
    account = _cut(now.account.name) if now.account else ""
    connection = f"{_cut(now.name)} ({account})" if account else _cut(now.name)
    return t.say(f"mail.subject.{kind}", provider=_cut(provider), connection=connection)


def _facts(asking: Asking, now: Connector, company: str, remedy: Remedy, t: Texts) -> list[str]:
    facts = [_line(t, t.say("start.connection"), t.isolated(now.name))]
    if now.account is not None and now.account.name:
        label = t.say("start.company", company=company, Company=company[:1].upper() + company[1:])
        facts.append(_line(t, label, t.isolated(now.account.name)))
    facts.append(_line(t, t.say("help.who_acts"), t.say(f"help.who.{remedy}")))
    if asking.notice is Notice.EXPIRING and now.expires_at is not None:
        ends = t.say("mail.ends_estimated" if now.expires_estimated else "mail.ends")
        facts.append(_line(t, ends, f"{now.expires_at.astimezone(UTC):%Y-%m-%d} (UTC)"))
    return facts


def _line(t: Texts, label: str, value: str) -> str:
    return t.unfilled["mail.line"].format(label=label, value=value)


def _cut(name: str) -> str:
    plain = shown(name)
    return plain if len(plain) <= IN_A_SUBJECT else plain[: IN_A_SUBJECT - 1].rstrip() + "…"


def _header(name: str, text: str) -> str:
    """Encoded wherever it could be read as anything but itself."""
    plain = text.isascii() and "=?" not in text
    return Header(text, "us-ascii" if plain else "utf-8", header_name=name).encode()


def _named(name: str, address: str) -> str:
    encoded = _header("From", name)
    return formataddr((name, address)) if encoded == name else f"{encoded} <{address}>"


def _part(text: str, kind: str) -> MIMEText:
    """Lines of 7-bit characters, which any server takes as they are."""
    charset = Charset("utf-8")
    charset.body_encoding = BASE64 if sum(not c.isascii() for c in text) * 6 > len(text) else QP
    return MIMEText(text, kind, charset)  # type: ignore[arg-type]  # it takes a Charset, too
