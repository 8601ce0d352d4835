"""How long re-authorising took, and who took how much of it."""

from collections.abc import Sequence
from datetime import datetime

from schemas import fleet as api
from schemas.ids import ProviderId, TenantId
from service.insight.counting import Counter
from service.store import funnel as store
from service.store.pool import Pool
from service.store.rows import Row


def shaped(rows: Sequence[Row], since: datetime, until: datetime, counted: bool) -> api.Times:
    """The answer, made from its rows; without any attempt there is nothing to time."""
    shown = [_provider(row) for row in rows if row["connected"]]
    return api.Times(since=since, until=until, providers=shown, counted=counted)


def _provider(row: Row) -> api.ProviderTimes:
    return api.ProviderTimes(
        provider=row["provider"],
        connected=row["connected"],
        whole=_span(row, "whole"),
        owner=_span(row, "owner"),
        regrant=_span(row, "regrant"),
        provider_took=_span(row, "provider_took"),
        host=_span(row, "host"),
        without_support=row["without_support"],
        share_without_support=row["without_support"] / row["connected"],
    )


def _span(row: Row, part: str) -> api.Span:
    return api.Span(mean_s=round(row[f"{part}_mean"], 3), median_s=round(row[f"{part}_median"], 3))


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
    async with pool.acquire() as connection:
        rows = await store.times(connection, since, until, provider, tenant)
    return shaped(rows, since, until, counted)
