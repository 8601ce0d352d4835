"""A provider whose every host is one hostile server, as our side sees it."""

from dataclasses import replace

from schemas.ids import ProviderId
from schemas.secret import Secret
from service.oauth.description import ProviderConfig, load_descriptions
from tests.loop import QUICKBOOKS

HOSTS = (
    "oauth.platform.intuit.com",
    "developer.api.intuit.com",
    "quickbooks.api.intuit.com",
    "public.api.intuit.com",
)
ROLES = "com.intuit.identity.user.roles.read"


def provider_at(origin: str, **changes: object) -> ProviderConfig:
    """QuickBooks as a deployment has it that takes `origin` for Intuit, on this machine."""
    config = ProviderConfig(
        load_descriptions()[ProviderId(QUICKBOOKS)],
        "client-of-the-host",
        Secret("a-client-secret"),
        hosts=dict.fromkeys(HOSTS, origin),
        allow_loopback_http=True,
    )
    return replace(config, **changes)  # type: ignore[arg-type]  # of ProviderConfig's own fields


def custom_provider(host: str, port: int) -> ProviderConfig:
    """A provider of a deployment's own description, at a host that somebody else may control."""
    described = load_descriptions()[ProviderId(QUICKBOOKS)].model_copy(
        update={
            "id": ProviderId("custom"),
            "token_endpoint": f"https://{host}:{port}/oauth2/v1/tokens/bearer",
            "revocation_endpoint": f"https://{host}:{port}/v2/oauth2/tokens/revoke",
        }
    )
    return ProviderConfig(described, "client-of-the-host", Secret("a-client-secret"), custom=True)
