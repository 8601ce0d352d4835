"""The words of a connector's reason, filled in: the provider's name, the account, what an admin is called there."""

from schemas.reasons import Reason
from service.oauth.description import Description, Providers
from service.oauth.window import ProviderWords
from service.texts.catalogue import ReasonWords, texts
from service.texts.language import ENGLISH, Language
from statemachine.connector import Connector


def provider_words(description: Description) -> ProviderWords:
    """How to speak of a provider, in every language of its description."""
    words = description.words
    others = {
        language: ProviderWords(words.title, other.account, other.admin, other.prerequisites)
        for language, other in words.in_.items()
    }
    return ProviderWords(words.title, words.account, words.admin, words.prerequisites, others)


def words_of(providers: Providers, connector: Connector, reason: Reason, language: Language = ENGLISH) -> ReasonWords:
    """The words for a reason of this connector. Names from outside are cut."""
    return texts(language).reason(reason, **names_of(providers, connector, language))


def names_of(providers: Providers, connector: Connector, language: Language) -> dict[str, str]:
    """What stands in the braces of a reason's words, for this connector; and `company`, what its account is called."""
    said, config = texts(language), providers.get(connector.provider)
    if config is not None:
        words = provider_words(config.description).spoken(language)
    else:
        words = ProviderWords(connector.provider, said.say("unknown.company"), said.say("general.admin"), ())
    own = connector.account.name if connector.account else said.say("unknown.account", company=words.account)
    return {
        "provider": words.name,
        "admin": words.admin,
        "company": words.account,
        "account": own,
        "expected": own,
        "seen": said.say("unknown.seen", company=words.account),
    }
