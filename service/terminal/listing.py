"""`regrant list`: connectors of all tenants, or those that are looked for."""

from dataclasses import dataclass

import orjson

from schemas.acting import who_acts
from schemas.ids import ProviderId, TenantId
from schemas.lifecycle import State
from service.engine import records
from service.insight.listing import Wanted, page
from service.settings import Settings
from service.terminal.database import connected
from service.terminal.tables import table, when
from statemachine.connector import Connector

HEAD = ("tenant", "connector", "name", "provider", "state", "since", "reason", "who acts")


@dataclass(frozen=True, slots=True)
class Listed:
    """Connectors in the order of their ids, and whether there are more."""

    connectors: list[Connector]
    more: bool


async def listed(
    settings: Settings, state: State | None, provider: str | None, tenant: str | None, most: int
) -> Listed:
    """The first `most` that fit."""
    wanted = Wanted(
        tenant=TenantId(tenant) if tenant else None, state=state, provider=ProviderId(provider) if provider else None
    )
    async with connected(settings) as connection:
        found, after = list[Connector](), ""
        while len(found) < most:  # a page may be short, and still have a next one
            part = await page(connection, wanted, after, most - len(found))
            found += part.connectors
            if part.next is None:
                return Listed(found, False)
            after = part.next
    return Listed(found, True)


def printed(found: Listed) -> list[str]:
    """A table for people, a line each."""
    if not found.connectors:
        return ["no connector fits"]
    lines = table(HEAD, [_row(one) for one in found.connectors])
    return [*lines, f"… and more: only the first {len(found.connectors)} are shown"] if found.more else lines


def as_json(found: Listed) -> str:
    told = [{**records.connector_state(one), "who_acts": _acts(one)} for one in found.connectors]
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z, default=str).decode()


def _row(c: Connector) -> tuple[str, ...]:
    return (c.tenant, c.id, c.name, c.provider, c.state, when(c.since), c.reason or "-", _acts(c))


def _acts(c: Connector) -> str:
    warned = c.state is State.HEALTHY and c.warned is not None
    return who_acts(c.state, c.reason, warned=warned, unavailable=c.unavailable > 0)
