"""`regrant expiring`: whose sign-in ends soon, over all tenants, and whether its owner was told."""

from dataclasses import asdict
from datetime import datetime, timedelta

import orjson

from service.settings import Settings
from service.store import reads
from service.store.pool import open_pool
from service.store.reads import NearEnd

MOST = 1000
"""So many are shown, the nearest ends first."""
HEAD = ("ends", "which is", "tenant", "connector", "provider", "state", "last warning")


async def expiring(settings: Settings, within: timedelta) -> list[NearEnd]:
    """Those that end within that time, the nearest first: one more than are shown, where there are more."""
    pool = await open_pool(settings.database.dsn.reveal(), size=1)
    try:
        async with pool.acquire() as connection:
            return await reads.endings(connection, within, MOST + 1)
    finally:
        await pool.close()


def printed(found: list[NearEnd]) -> list[str]:
    """A table for people, a line each."""
    if not found:
        return ["nothing ends that soon"]
    rows = [HEAD, *(_row(one) for one in found[:MOST])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, f"… and more: only the nearest {MOST} are shown"] if len(found) > MOST else lines


def as_json(found: list[NearEnd]) -> str:
    return orjson.dumps([asdict(one) for one in found[:MOST]], option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()


def _row(one: NearEnd) -> tuple[str, ...]:
    estimated = "estimated" if one.estimated else "told"
    return (_day(one.ends_at), estimated, one.tenant, one.connector, one.provider, one.state, _day(one.warned))


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z" if at else "-"
