"""Lists of connectors over all tenants: which are wanted, and the page of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from schemas.acting import WhoActs, who_acts
from schemas.ids import ProviderId, TenantId
from schemas.lifecycle import State
from schemas.reasons import Origin, Reason
from service.insight.entries import connector_of_record
from service.insight.travel import check_reach
from service.store import fleet as fleet_store
from service.store import listing as store
from service.store.listing import Chosen, Moved
from service.store.pool import Connection, Pool
from statemachine.connector import Connector

LOOKED_AT_NOW = 20_000
"""So many for one of the present, where no index leaves out those that don't fit."""
LOOKED_AT = 1000
"""So many connectors are looked at for a page of the past: where few of them fit, it is short, and goes on."""
FIRST = " "
"""Before every id: behind the page that shows the connector whose id was asked for."""
_EXISTING = tuple(state for state in State if state not in (State.ABSENT, State.DELETED))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for."""

    tenant: TenantId | None
    state: State | None = None
    provider: ProviderId | None = None
    reason: Reason | None = None
    origin: Origin | None = None
    acts: WhoActs | None = None
    text: str | None = None
    moved_from: Sequence[State] | None = None
    moved_to: State | None = None

    @property
    def moved(self) -> Moved | None:
        """Which transitions they made lately, where that is asked."""
        if self.moved_from is None and self.moved_to is None:
            return None
        sources = [state.value for state in self.moved_from] if self.moved_from is not None else None
        return Moved(sources, self.moved_to.value if self.moved_to else None)

    def chosen(self) -> Chosen:
        """The same, as the store is asked."""
        states = [self.state] if self.state else None
        reasons = [r for r in Reason if self.reason in (None, r) and self.origin in (None, r.origin)]
        narrow = self.reason is not None or self.origin is not None
        failed_for = None
        if narrow and states is None:  # a healthy connector has none
            states = [state for state in _EXISTING if state is not State.HEALTHY]
        if self.acts is not None:
            failed_for = [r.value if r else "" for r in (None, *Reason) if who_acts(State.FAILED, r) is self.acts]
            states = [s for s in states or _EXISTING if s is State.FAILED or who_acts(s, None) is self.acts]
        return Chosen(
            tenant=self.tenant,
            states=states,
            provider=self.provider,
            reasons=[r.value for r in reasons] if narrow else None,
            failed_for=failed_for,
            text=self.text.lower() if self.text else None,
            moved=self.moved,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Connectors, and the id behind which the next page begins, if there is one."""

    connectors: list[Connector]
    next: str | None


async def page(connection: Connection, wanted: Wanted, after: str, limit: int) -> Page:
    """A page of the connectors as they stand. Whose id is the text that is looked for comes first, and alone."""
    chosen, until = wanted.chosen(), None
    if chosen.may_look_at_many:
        if wanted.text and (one := await store.with_id(connection, wanted.text)) and _fits(one, chosen):
            if not after:
                return Page([one], FIRST)
            chosen = replace(chosen, but=one.id)
        until = await store.bound(connection, after, LOOKED_AT_NOW)
    found, more = await store.connectors(connection, chosen, after, until, limit)
    return Page(found, found[-1].id if more else until)


async def page_then(pool: Pool, wanted: Wanted, then: datetime, after: str, limit: int) -> Page:
    """A page of the connectors as they stood. Raises `BeforeTheLog`."""
    chosen = wanted.chosen()
    async with pool.acquire() as connection, fleet_store.snapshot(connection):
        await check_reach(connection, then)
        if wanted.moved is not None:
            ids = await store.next_moved_ids(connection, wanted.moved, wanted.tenant, then, after, LOOKED_AT)
        else:
            ids = await store.next_ids(connection, wanted.tenant, after, LOOKED_AT)
        records = await store.stood(connection, [pk for pk, _ in ids], then, chosen.states)
    told = [connector_of_record(orjson.loads(record)["connector"]) for record in records]
    found = sorted((one for one in told if _fits(one, chosen)), key=lambda one: one.id.encode())
    if len(found) > limit:
        return Page(found[:limit], found[limit - 1].id)
    return Page(found, ids[-1][1] if len(ids) == LOOKED_AT else None)


def _fits(one: Connector, chosen: Chosen) -> bool:
    reason = one.reason.value if one.reason else ""
    account = (one.account.id, one.account.name) if one.account else ()
    return (
        (chosen.states is None or one.state in chosen.states)
        and chosen.provider in (None, one.provider)
        and (chosen.reasons is None or reason in chosen.reasons)
        and (chosen.failed_for is None or one.state is not State.FAILED or reason in chosen.failed_for)
        and (chosen.text is None or chosen.text in " ".join((one.id, one.name, *account)).lower())
    )
