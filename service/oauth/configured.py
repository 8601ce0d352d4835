"""The providers that the settings name, each with its description."""

from schemas.ids import ProviderId
from service.oauth.description import BadDescription, ProviderConfig, Providers, load_descriptions
from service.settings import Settings


def configured_providers(settings: Settings) -> Providers:
    """The providers of a deployment. Raises `BadDescription`, also for a provider or environment without one."""
    descriptions = load_descriptions(*settings.provider_folders)
    ours = load_descriptions()
    configs = {}
    for name, provider in settings.providers.items():
        description = descriptions.get(ProviderId(name))
        if description is None:
            raise BadDescription(f"there is no provider {name}: there are {', '.join(sorted(descriptions))}")
        if provider.environment not in description.environments:
            known = ", ".join(sorted(description.environments))
            raise BadDescription(f"{name} has no environment {provider.environment}: it has {known}")
        configs[ProviderId(name)] = ProviderConfig(
            description,
            provider.client_id,
            provider.client_secret,
            provider.environment,
            provider.hosts,
            provider.allow_loopback_http,
            provider.extra_scopes,
            custom=description.id not in ours,
        )
    return Providers(configs)
