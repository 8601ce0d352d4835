"""How things are called in a story: instants, actors, accounts and what a provider said, in words for support."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from schemas.lifecycle import ActorKind
from schemas.reasons import Reason
from service.insight.clauses import CLAUSES
from service.insight.entries import Actor, Evidence
from statemachine.connector import Account, Connector

LONGEST = 120
"""The most characters that are shown of a name from outside."""


@dataclass(frozen=True, slots=True)
class ProviderNames:
    """What a provider is called, what it calls an account, and who may connect one; from its description."""

    title: str
    account: str = "account"
    admin: str = "administrator"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one connector's story."""

    provider: str
    account: str
    """The connector's account, or words for the one that it doesn't have yet."""
    account_word: str
    admin: str
    connector: str

    @classmethod
    def of(cls, connector: Connector, provider: ProviderNames) -> "Names":
        account = cut(connector.account.name or connector.account.id) if connector.account else ""
        return cls(
            provider=provider.title,
            account=account or f"the connector's {provider.account}",
            account_word=provider.account,
            admin=provider.admin,
            connector=cut(connector.name),
        )

    @property
    def quoted(self) -> str:
        """The connector's name, to begin a sentence with."""
        return f"“{self.connector}”" if self.connector else "The connector"

    @property
    def an_admin(self) -> str:
        return f"{_article(self.admin)} {self.admin}"

    def because(self, reason: Reason, expected: Account | None = None, seen: Account | None = None) -> str:
        """A reason as a clause, to stand behind "because" or a colon."""
        return CLAUSES[reason].format(
            provider=self.provider,
            account=self.account,
            account_word=self.account_word,
            admin=self.admin,
            an_admin=self.an_admin,
            expected=self.account_of(expected) or self.account,
            seen=self.account_of(seen) or f"another {self.account_word}",
        )

    def account_of(self, account: Account | None) -> str:
        """An account by its name and its id, which tells two of one name apart."""
        if account is None:
            return ""
        name, id_ = cut(account.name), cut(account.id)
        return f"{name} (id {id_})" if name and name != id_ else f"the {self.account_word} {id_}"

    def actor(self, actor: Actor) -> str:
        id_ = cut(actor.id or "")
        match actor.kind:
            case ActorKind.HOST:
                return f"the host ({id_})" if id_ else "the host"
            case ActorKind.SYNC_ENGINE:
                return "the sync engine"
            case ActorKind.PERSON:
                return f"the person in the window ({id_})" if id_ else "the person in the window"
            case ActorKind.PROVIDER:
                return self.provider
            case ActorKind.REGRANT:
                return "regrant"
            case ActorKind.OPERATOR:
                return f"an operator ({id_})" if id_ else "an operator"

    def said(self, evidence: Evidence | None) -> str:
        """What the provider said, as a clause without its end; empty where nothing is known."""
        if evidence is None:
            return ""
        facts = [
            f"HTTP {evidence.status}" if evidence.status else "",
            f"code {cut(evidence.code)}" if evidence.code else "",
            f"request id {cut(evidence.request_id)}" if evidence.request_id else "",
        ]
        listed = ", ".join(fact for fact in facts if fact)
        match evidence.at:
            case "network":
                return "no answer came" + (f": {listed}" if listed else "")
            case "token":
                return f"its token endpoint answered {listed}" if listed else "its token endpoint said so"
            case "callback":
                return f"it sent the person back with {listed}" if listed else "it sent the person back with that"
            case _:
                return f"its API answered {listed}" if listed else "its API said so"


def moment(at: datetime) -> str:
    """An instant for people, to the minute: "24 November 2026 at 08:30 UTC"."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year} at {clock(at)}"


def clock(at: datetime) -> str:
    """Its time of the day."""
    return f"{at.astimezone(UTC):%H:%M} UTC"


def day(at: datetime) -> date:
    """Its day, in UTC."""
    return at.astimezone(UTC).date()


_MONTHS = (  # not by the locale
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def capital(text: str) -> str:
    """The text with a capital in front."""
    return text[:1].upper() + text[1:]


def times(number: int) -> str:
    """ "once", "twice", "3 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def cut(text: str, longest: int = LONGEST) -> str:
    """A text from outside on one line, without what could disturb ours, and cut."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"


def _article(word: str) -> str:
    spoken = word.lower()
    return "an" if spoken.startswith(tuple("aeio")) or (spoken.startswith("u") and spoken[:2] != "us") else "a"
