"""The funnel: how far the attempts of a time came, and why those stopped that got no further."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from schemas import fleet as api
from schemas.ids import ProviderId, TenantId
from schemas.lifecycle import Step
from schemas.reasons import Reason
from service.insight.counting import CONNECTED, REPLACED, STEPS, STOPPED
from service.insight.counting import Counter as LogCounter
from service.store import fleet as fleet_store
from service.store import funnel as store
from service.store.fleet import Stretch
from service.store.pool import Pool
from service.store.rows import Row


def shaped(
    rows: Sequence[Row], failures: Mapping[str, int], since: datetime, until: datetime, counted: bool
) -> api.Funnel:
    """The answer, made from how many attempts ended, or are, at each step."""
    steps = [_failures(failures)]
    for place, step in enumerate(STEPS):
        if step is not Step.FAILURE_SEEN:
            there = [row for row in rows if row["step"] == place]
            steps.append(_step(step, sum(row["number"] for row in rows if row["step"] >= place), there))
    return api.Funnel(
        since=since,
        until=until,
        attempts=sum(row["number"] for row in rows),
        troubles=sum(row["firsts"] for row in rows),
        steps=steps,
        providers=_providers(rows),
        counted=counted,
    )


def _failures(failures: Mapping[str, int]) -> api.FunnelStep:
    """What comes before any attempt: nobody has tried anything yet, so nothing stops here."""
    seen = sum(failures.values())
    return api.FunnelStep(step=Step.FAILURE_SEEN, reached=seen, stopped=0, replaced=0, under_way=0, drops=[])


def _step(step: Step, reached: int, there: Iterable[Row]) -> api.FunnelStep:
    drops: Counter[tuple[str, Reason | None]] = Counter()
    endings: Counter[str | None] = Counter()
    for row in there:
        endings[row["ending"]] += row["number"]
        if row["ending"] in (STOPPED, REPLACED):
            drops[row["provider"], Reason(row["reason"]) if row["reason"] else None] += row["number"]
    return api.FunnelStep(
        step=step,
        reached=reached,
        stopped=endings[STOPPED],
        replaced=endings[REPLACED],
        under_way=endings[None],
        drops=[
            api.Drop(provider=provider, reason=reason, count=number)
            for (provider, reason), number in sorted(drops.items(), key=lambda d: (-d[1], d[0][0], d[0][1] or ""))
        ],
    )


def _providers(rows: Iterable[Row]) -> list[api.ProviderFunnel]:
    found: dict[str, Counter[str | None]] = {}
    for row in rows:
        found.setdefault(row["provider"], Counter())[row["ending"]] += row["number"]
    return [
        api.ProviderFunnel(
            provider=provider,
            attempts=endings.total(),
            connected=endings[CONNECTED],
            stopped=endings[STOPPED],
            replaced=endings[REPLACED],
            under_way=endings[None],
        )
        for provider, endings in sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))
    ]


async def funnel(
    pool: Pool,
    counter: LogCounter,
    tenant: TenantId | None,
    provider: ProviderId | None,
    since: datetime,
    until: datetime,
) -> api.Funnel:
    """The attempts of a tenant's connectors, or (`None`) of all, that were opened in that time."""
    counted = await counter.count_up()
    async with pool.acquire() as connection, fleet_store.snapshot(connection):
        rows = await store.reached(connection, Stretch(since, until), provider, tenant)
        failures = await fleet_store.failures(connection, tenant, Stretch(since, until))
    seen = {name: number for name, number in failures.items() if provider in (None, name)}
    return shaped(rows, seen, since, until, counted)
