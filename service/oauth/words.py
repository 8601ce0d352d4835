"""The words of a connector's reason, filled in: the provider's name, the account, what an admin is called there."""

from dataclasses import dataclass

from schemas.reasons import Reason
from service.oauth.description import Providers
from statemachine.connector import Connector

LONGEST = 200


@dataclass(frozen=True, slots=True)
class ReasonWords:
    """A reason as people read it."""

    title: str
    words: str
    next: str


def words_of(providers: Providers, connector: Connector, reason: Reason) -> ReasonWords:
    """The words for a reason of this connector. Names from outside are cut."""
    config = providers.get(connector.provider)
    words = config.description.words if config else None
    account_word = words.account if words else "account"
    own = connector.account.name[:LONGEST] if connector.account else f"your {account_word}"
    filled = {
        "provider": words.title if words else connector.provider,
        "admin": words.admin if words else "administrator",
        "account": own,
        "expected": own,
        "seen": f"another {account_word}",
    }
    entry = reason.entry
    return ReasonWords(*(text.format(**filled) for text in (entry.title, entry.words, entry.next)))
