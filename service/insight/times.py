"""How long re-authorising took, and who took how much of it."""

from collections.abc import Sequence
from datetime import datetime

from schemas import fleet as api
from schemas.ids import ProviderId, TenantId
from service.insight.counting import Counter
from service.store import fleet as fleet_store
from service.store import funnel as store
from service.store.fleet import Stretch
from service.store.pool import Pool
from service.store.rows import Row


def shaped(rows: Sequence[Row], since: datetime, until: datetime, counted: bool) -> api.Times:
    """The answer, made from a row for each part at each provider; without any attempt there is nothing to time."""
    parts: dict[str | None, dict[str, Row]] = {}
    for row in rows:
        parts.setdefault(row["provider"], {})[row["part"]] = row
    shown = [_provider(provider, of_one) for provider, of_one in parts.items()]
    return api.Times(since=since, until=until, providers=shown, counted=counted)


def _provider(provider: str | None, parts: dict[str, Row]) -> api.ProviderTimes:
    whole = parts["whole"]
    return api.ProviderTimes(
        provider=provider,
        connected=whole["connected"],
        whole=_span(whole),
        owner=_span(parts["owner"]),
        regrant=_span(parts["regrant"]),
        provider_took=_span(parts["provider_took"]),
        host=_span(parts["host"]),
        without_support=whole["without_support"],
        share_without_support=whole["without_support"] / whole["connected"],
    )


def _span(row: Row) -> api.Span:
    return api.Span(mean_s=round(row["mean"], 3), median_s=round(row["median"], 3))


async def times(
    pool: Pool,
    counter: Counter,
    tenant: TenantId | None,
    provider: ProviderId | None,
    since: datetime,
    until: datetime,
) -> api.Times:
    """Of a tenant's connectors, or (`None`) of all: the attempts that ended with data flowing in that time."""
    counted = await counter.count_up()
    async with pool.acquire() as connection, fleet_store.snapshot(connection):
        rows = await store.times(connection, Stretch(since, until), provider, tenant)
    return shaped(rows, since, until, counted)
