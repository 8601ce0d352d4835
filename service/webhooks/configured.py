"""From the settings to endpoints. A secret that can't sign is no start."""

from collections.abc import Mapping

from yarl import URL

from schemas.ids import TenantId
from service.couriers.endpoint import count_from_nothing
from service.settings.model import Webhook
from service.webhooks.endpoint import Poster, SignedEndpoint
from service.webhooks.events import Wanted
from service.webhooks.signing import secret_of


def check_secrets(webhooks: Mapping[str, Webhook]) -> None:
    """Raises `BadSecret` where one can't sign."""
    for webhook in webhooks.values():
        for path in webhook.secret_files:
            secret_of(path)


def configured_endpoints(webhooks: Mapping[str, Webhook], poster: Poster) -> list[SignedEndpoint]:
    """The endpoints of the settings, each counted from nothing."""
    for name in webhooks:
        count_from_nothing(name)
    return [
        SignedEndpoint(
            name,
            URL(webhook.url),
            webhook.secret_files,
            Wanted(frozenset(webhook.kinds), frozenset(map(TenantId, webhook.tenants))),
            webhook.private,
            poster,
        )
        for name, webhook in webhooks.items()
    ]
