"""Which environment of a provider the database's accounts belong to: sandbox and production can't be mixed (S18).

An account id, a grant and a token mean something in one environment only. A deployment whose settings name another one
than its connectors were connected in would send tokens where they don't belong, so it doesn't start.
"""

from collections.abc import Mapping

from schemas.ids import ProviderId
from service.store.pool import Connection

# The first process notes it; later ones may change it only while no account depends on it.
SETTLE = """
insert into provider_environment as known (provider, environment) values ($1, $2)
on conflict (provider) do update set environment = excluded.environment
where not exists (
    select from connector c
    where c.provider = known.provider and c.account_id is not null and c.state <> 'deleted'
)
"""
KNOWN = "select environment from provider_environment where provider = $1"


class EnvironmentChanged(Exception):
    """The settings name another environment of a provider than its connectors were connected in."""

    def __init__(self, provider: ProviderId, was: str, now: str) -> None:
        super().__init__(
            f"the connectors of {provider} were connected in its environment {was}, the settings say {now}: "
            "use another database for the other environment, or delete these connectors first"
        )


async def settle_environments(connection: Connection, environments: Mapping[ProviderId, str]) -> None:
    """Notes each provider's environment. Raises `EnvironmentChanged` where accounts of another one are there."""
    for provider, environment in sorted(environments.items()):
        await connection.execute(SETTLE, provider, environment)
        known = await connection.fetchval(KNOWN, provider)
        if known != environment:
            raise EnvironmentChanged(provider, known, environment)
