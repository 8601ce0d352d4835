"""A provider as a support bundle names it: its words, its environment, and a digest of its description."""

import hashlib

from schemas.bundle import BundleProvider
from schemas.ids import ProviderId
from service.oauth.description import Providers


def described(providers: Providers, id_: ProviderId) -> BundleProvider:
    """What is told of a provider; of one that was taken from the settings, its id."""
    config = providers.get(id_)
    if config is None:
        return BundleProvider(
            id=id_, title=id_, account_word="account", admin_word="administrator", environment=None, description=None
        )
    said = config.description
    return BundleProvider(
        id=id_,
        title=said.words.title,
        account_word=said.words.account,
        admin_word=said.words.admin,
        environment=config.environment,
        description=hashlib.sha256(said.model_dump_json().encode()).hexdigest()[:12],
        status_page=said.support.status_page,
    )
