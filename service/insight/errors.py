"""What providers answered that was no success, counted by kind."""

from datetime import datetime

from schemas import fleet as api
from schemas.ids import ProviderId, TenantId
from schemas.reasons import Reason
from service.insight.counting import Counter
from service.store import errors as store
from service.store import fleet as fleet_store
from service.store.fleet import Stretch
from service.store.pool import Pool
from service.store.rows import Row


def shaped(row: Row) -> api.ErrorCount:
    """One kind of answer."""
    return api.ErrorCount(
        provider=row["provider"],
        at=row["place"],
        status=row["status"],
        code=row["code"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        count=row["number"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        request_id=row["request_id"] or None,
    )


async def errors(
    pool: Pool,
    counter: Counter,
    tenant: TenantId | None,
    provider: ProviderId | None,
    since: datetime,
    until: datetime,
) -> api.Errors:
    """About a tenant's connectors, or (`None`) about all."""
    counted = await counter.count_up() and await counter.count_notes()
    async with pool.acquire() as connection, fleet_store.snapshot(connection):
        rows = await store.errors(connection, Stretch(since, until), provider, tenant)
    return api.Errors(since=since, until=until, errors=[shaped(row) for row in rows], counted=counted)
