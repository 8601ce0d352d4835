"""Sign-ins at the console: one-time links and sessions, found by the hashes of their values."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from service.store.pool import Connection

# A new link; those that nobody opened in time go with it, so that no job has to look for them.
LINK = """
with late as (delete from console_link where expires_at < now())
insert into console_link (hash, tenant_id, scopes, person_id, person_name, expires_at)
values ($1, $2, $3, $4, $5, now() + $6::interval)
returning expires_at
"""
LINKED = "select person_name from console_link where hash = $1 and expires_at > now()"

# Of two that spend a link at once, one deletes its row. Sessions that have ended go with it.
SPEND = """
with spent as (delete from console_link where hash = $1 and expires_at > now() returning *),
ended as (delete from console_session where used_at < now() - $3::interval or began_at < now() - $4::interval),
begun as (
    insert into console_session (hash, tenant_id, scopes, person_id, person_name)
    select $2, tenant_id, scopes, person_id, person_name from spent
    returning *
)
insert into audit (what, tenant_id, actor) select 'console_opened', tenant_id, person_id from begun
returning tenant_id
"""

# A session that still counts. Its use is noted once a minute at most: most reads write nothing.
SESSION = """
with found as (
    select * from console_session
    where hash = $1 and used_at > now() - $2::interval and began_at > now() - $3::interval
), used as (
    update console_session s set used_at = now() from found
    where s.hash = found.hash and found.used_at < now() - interval '1 minute'
)
select * from found
"""

END = """
with ended as (delete from console_session where hash = $1 returning tenant_id, person_id)
insert into audit (what, tenant_id, actor) select 'console_left', tenant_id, person_id from ended
"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at the console, and what they may do there."""

    tenant: str
    """`*`: the whole fleet."""
    scopes: frozenset[str]
    person_id: str
    person_name: str


async def link(connection: Connection, hashed: bytes, visitor: Visitor, lifetime: timedelta) -> datetime:
    """Keeps a new link; returns when it ends."""
    expires: datetime = await connection.fetchval(
        LINK, hashed, visitor.tenant, sorted(visitor.scopes), visitor.person_id, visitor.person_name, lifetime
    )
    return expires


async def linked(connection: Connection, hashed: bytes) -> str | None:
    """For whom a link is that still counts. Nothing changes by looking."""
    name: str | None = await connection.fetchval(LINKED, hashed)
    return name


async def spend(connection: Connection, hashed: bytes, session: bytes, idle: timedelta, longest: timedelta) -> bool:
    """Makes a session of a link, once; whether the link still counted."""
    return await connection.fetchval(SPEND, hashed, session, idle, longest) is not None


async def session(connection: Connection, hashed: bytes, idle: timedelta, longest: timedelta) -> Visitor | None:
    """Whose session it is; `None` when it was idle for too long, or has ended."""
    row = await connection.fetchrow(SESSION, hashed, idle, longest)
    return _visitor(row) if row is not None else None


async def end(connection: Connection, hashed: bytes) -> None:
    """Ends a session."""
    await connection.execute(END, hashed)


def _visitor(row: asyncpg.Record) -> Visitor:
    scopes: Collection[str] = row["scopes"]
    return Visitor(row["tenant_id"], frozenset(scopes), row["person_id"], row["person_name"])
