"""`regrant expiring`: whose sign-in ends soon, over all tenants, and whether its owner was told."""

from dataclasses import asdict
from datetime import timedelta

import orjson

from service.settings import Settings
from service.store import reads
from service.store.reads import NearEnd
from service.terminal.database import connected
from service.terminal.tables import table, when

MOST = 1000
"""So many are shown, the nearest ends first."""
HEAD = ("ends", "which is", "tenant", "connector", "provider", "state", "last warning")


async def expiring(settings: Settings, within: timedelta) -> list[NearEnd]:
    """Those that end within that time, the nearest first: one more than are shown, where there are more."""
    async with connected(settings) as connection:
        return await reads.endings(connection, within, MOST + 1)


def printed(found: list[NearEnd]) -> list[str]:
    """A table for people, a line each."""
    if not found:
        return ["nothing ends that soon"]
    lines = table(HEAD, [_row(one) for one in found[:MOST]])
    return [*lines, f"… and more: only the nearest {MOST} are shown"] if len(found) > MOST else lines


def as_json(found: list[NearEnd]) -> str:
    return orjson.dumps([asdict(one) for one in found[:MOST]], option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()


def _row(one: NearEnd) -> tuple[str, ...]:
    estimated = "estimated" if one.estimated else "told"
    return (when(one.ends_at), estimated, one.tenant, one.connector, one.provider, one.state, when(one.warned))
