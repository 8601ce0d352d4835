"""The fleet in numbers: how all connectors stand, or stood, who must act, and what moves."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from schemas import fleet as api
from schemas.acting import WhoActs, who_acts
from schemas.ids import TenantId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.insight.counting import Counter as LogCounter
from service.insight.travel import check_reach
from service.store import fleet as store
from service.store.fleet import Stretch
from service.store.pool import Pool
from service.store.rows import Row

Standing: TypeAlias = tuple[str, State, Reason | None]
"""Provider, state, reason."""

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_NEEDED: dict[str, tuple[WhoActs, ...]] = {
    "an administrator of the customer": (WhoActs.OWNER, WhoActs.PERSON),
    "you": (WhoActs.OPERATOR,),
}


def sentence(standing: Mapping[Standing, int]) -> str:
    """What matters about so many connectors."""
    total, acts = sum(standing.values()), acting(standing)
    if not total:
        return "There are no connectors."
    needed = {words: number for words, who in _NEEDED.items() if (number := sum(acts[one] for one in who))}
    under_way = acts.total() - sum(needed.values())
    if not needed:
        said = f"Nobody is needed: nothing is wrong with {_many(total)}"
    else:
        parts = ", ".join(f"{number:,} {words}" for words, number in needed.items())
        many = sum(needed.values())
        said = f"{many:,} of {_many(total)} {'needs' if many == 1 else 'need'} somebody: {parts}"
    goes_on = "goes on by itself" if under_way == 1 else "go on by themselves"
    return f"{said}; {under_way:,} {goes_on}." if under_way else f"{said}."


def _many(total: int) -> str:
    return f"{total:,} connector{'' if total == 1 else 's'}"


def acting(standing: Mapping[Standing, int]) -> Counter[WhoActs]:
    """How many wait for whom."""
    acts: Counter[WhoActs] = Counter()
    for (_, state, reason), number in standing.items():
        if (who := who_acts(state, reason)) is not WhoActs.NOBODY:
            acts[who] += number
    return acts


def undone(standing: Mapping[Standing, int], moves: Iterable[Row]) -> dict[Standing, int]:
    """How connectors stood before these moves: each is taken back."""
    then = Counter(dict(standing))
    for move in moves:
        then[_standing(move["provider"], move["to_state"], move["to_reason"])] -= move["number"]
        then[_standing(move["provider"], move["from_state"], move["from_reason"])] += move["number"]
    return {at: number for at, number in then.items() if number and at[1] not in (State.ABSENT, State.DELETED)}


def standing_of(rows: Iterable[Row]) -> dict[Standing, int]:
    return {_standing(row["provider"], row["state"], row["reason"]): row["number"] for row in rows}


def _standing(provider: str, state: str, reason: str | None) -> Standing:
    return provider, State(state), Reason(reason) if reason else None


def arrows(of_hour: Iterable[Row], of_day: Iterable[Row]) -> list[api.Arrow]:
    """What moves, the busiest first."""
    hour = {(row["from_state"], row["to_state"]): row["number"] for row in of_hour}
    day = {(row["from_state"], row["to_state"]): row["number"] for row in of_day}
    shown = [
        api.Arrow.model_validate(
            {
                "from": source,
                "to": to,
                "last_hour": hour.get((source, to), 0),
                "last_day": number,
                "per_minute": round(hour.get((source, to), 0) / 60, 2),
            }
        )
        for (source, to), number in day.items()
    ]
    return sorted(shown, key=lambda one: (-one.last_day, one.from_, one.to))


def shaped(standing: Mapping[Standing, int], moved: list[api.Arrow], at: datetime, counted: bool) -> api.Fleet:
    """The answer, made from its parts."""
    acts = acting(standing)
    states: Counter[tuple[str, State]] = Counter()
    for (provider, state, _), number in standing.items():
        states[provider, state] += number
    failed = {(p, r): n for (p, state, r), n in standing.items() if state is State.FAILED and r is not None}
    return api.Fleet(
        sentence=sentence(standing),
        as_of=at,
        connectors=sum(standing.values()),
        acting=[api.ActingCount(who_acts=who, count=acts[who]) for who in WhoActs if acts[who]],
        states=[api.StateCount(provider=p, state=s, count=n) for (p, s), n in sorted(states.items())],
        reasons=[
            api.ReasonCount(
                provider=provider,
                reason=reason,
                origin=reason.origin,
                remedy=reason.remedy,
                who_acts=who_acts(State.FAILED, reason),
                count=number,
            )
            for (provider, reason), number in sorted(failed.items(), key=lambda item: (-item[1], item[0]))
        ],
        arrows=moved,
        counted=counted,
    )


async def fleet(pool: Pool, counter: LogCounter, tenant: TenantId | None, then: datetime | None) -> api.Fleet:
    """The connectors of a tenant, or (`None`) of all, now or as they stood. Raises `BeforeTheLog`."""
    counted = await counter.count_up()
    async with pool.acquire() as connection, store.snapshot(connection) as now:
        at = min(then or now, now)
        if then is not None:
            await check_reach(connection, then)
        if then is not None and tenant is not None:
            standing = standing_of(await store.states_of_tenant_then(connection, tenant, then))
        else:
            standing = standing_of(await store.states(connection, tenant, counted))
            if then is not None:
                standing = undone(standing, await store.moves_since(connection, then))
        hour = await store.arrows(connection, tenant, Stretch(at - HOUR, at))
        day = await store.arrows(connection, tenant, Stretch(at - DAY, at))
    return shaped(standing, arrows(hour, day), at, counted)
