"""The words of a reason, filled in for a connector: the provider's name, the account, what an admin is called there."""

from dataclasses import dataclass

from schemas.reasons import Reason
from service.oauth.description import Providers
from statemachine.connector import Account, Connector

LONGEST = 200


@dataclass(frozen=True, slots=True)
class ReasonWords:
    """A reason as people read it."""

    title: str
    words: str
    next: str


def words_of(providers: Providers, connector: Connector, reason: Reason | None = None) -> ReasonWords:
    """The words for the connector's reason, or for another one."""
    said = reason or connector.reason
    assert said is not None
    config = providers.get(connector.provider)
    if config is None:
        return fill(said, connector.provider, "administrator", connector.account, None, "account")
    words = config.description.words
    return fill(said, words.title, words.admin, connector.account, None, words.account)


def fill(
    reason: Reason,
    provider: str,
    admin: str,
    expected: Account | None,
    seen: Account | None,
    account_word: str,
) -> ReasonWords:
    """The catalogue's words with everything filled in; names from outside are cut."""
    own = _name(expected) or f"your {account_word}"
    filled = {
        "provider": provider,
        "admin": admin,
        "account": own,
        "expected": own,
        "seen": _name(seen) or f"another {account_word}",
    }
    entry = reason.entry
    return ReasonWords(*(text.format(**filled) for text in (entry.title, entry.words, entry.next)))


def _name(account: Account | None) -> str:
    return account.name[:LONGEST] if account else ""
