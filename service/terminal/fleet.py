"""`regrant funnel` and `regrant errors`: what many connectors tell together, counted from the log."""

from datetime import UTC, datetime, timedelta

from schemas import fleet as bodies
from schemas.ids import ProviderId, TenantId
from service.insight.counting import Counter
from service.insight.errors import errors
from service.insight.funnel import funnel
from service.settings import Settings
from service.store.pool import open_pool
from service.terminal.tables import bold, table, when, wrapped

MOST_DROPS = 3
STILL_COUNTED = "the log is still being counted: these are fewer than there were"


async def asked_funnel(settings: Settings, days: int, provider: str | None, tenant: str | None) -> bodies.Funnel:
    """The attempts that were opened in the last days."""
    until = datetime.now(UTC)
    async with await open_pool(settings.database.dsn.reveal(), size=2) as pool:
        given = TenantId(tenant) if tenant else None
        named = ProviderId(provider) if provider else None
        return await funnel(pool, Counter(pool), given, named, until - timedelta(days=days), until)


async def asked_errors(settings: Settings, days: int, provider: str | None, tenant: str | None) -> bodies.Errors:
    """What providers answered in the last days."""
    until = datetime.now(UTC)
    async with await open_pool(settings.database.dsn.reveal(), size=2) as pool:
        given = TenantId(tenant) if tenant else None
        named = ProviderId(provider) if provider else None
        return await errors(pool, Counter(pool), given, named, until - timedelta(days=days), until)


def printed_funnel(told: bodies.Funnel) -> list[str]:
    """A line a step: how many came as far, and why the others stopped there."""
    head = ("step", "reached", "stopped", "replaced", "under way", "mostly because of")
    rows = [
        (
            step.step,
            str(step.reached),
            *(str(number) if number else "-" for number in (step.stopped, step.replaced, step.under_way)),
            ", ".join(f"{d.reason or 'a newer attempt'} ({d.count})" for d in step.drops[:MOST_DROPS]) or "-",
        )
        for step in told.steps
    ]
    counted = [] if told.counted else [STILL_COUNTED, ""]
    lead = f"{told.attempts} attempts for {told.troubles} troubles, {when(told.since)} to {when(told.until)}"
    of_providers = [
        (p.provider, *map(str, (p.attempts, p.connected, p.stopped, p.replaced, p.under_way))) for p in told.providers
    ]
    below = table(("provider", "attempts", "connected", "stopped", "replaced", "under way"), of_providers)
    return [*counted, bold(lead), "", *table(head, rows), *(["", *below] if of_providers else [])]


def printed_errors(told: bodies.Errors) -> list[str]:
    """A line a kind of answer, the most frequent first."""
    counted = [] if told.counted else [STILL_COUNTED, ""]
    if not told.errors:
        return [*counted, *wrapped("no provider answered with an error in that time")]
    head = ("times", "provider", "call", "status", "code", "taken for", "last", "a request")
    rows = [
        (
            str(one.count),
            one.provider,
            one.at,
            str(one.status or "-"),
            one.code or "-",
            one.reason or "-",
            when(one.last_at),
            one.request_id or "-",
        )
        for one in told.errors
    ]
    return [*counted, *table(head, rows)]
