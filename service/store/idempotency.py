"""Idempotency keys: a POST that is repeated with its key is done once. Kept for 24 hours."""

from dataclasses import dataclass

from schemas.ids import TenantId
from service.store.pool import Connection

# Of two that come at once, one inserts. An old or abandoned one is taken over.
CLAIM = """
insert into idempotency (tenant_id, key, request_hash) values ($1, $2, $3)
on conflict (tenant_id, key) do update set request_hash = excluded.request_hash, began_at = now(), status = null
where idempotency.began_at < now() - interval '24 hours'
   or (idempotency.status is null and idempotency.began_at < now() - interval '1 minute')
returning tenant_id
"""
KNOWN = "select request_hash, status, headers, body from idempotency where tenant_id = $1 and key = $2"
KEEP = "update idempotency set status = $3, headers = $4, body = $5 where tenant_id = $1 and key = $2"
FORGET = "delete from idempotency where tenant_id = $1 and key = $2"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a key."""

    request_hash: bytes
    status: int | None
    """`None` while the first request still runs."""
    headers: str | None
    body: bytes | None


async def claim(connection: Connection, tenant: TenantId, key: str, request_hash: bytes) -> Known | None:
    """`None`: the key is the caller's now; else what is known of it."""
    if await connection.fetchval(CLAIM, tenant, key, request_hash) is not None:
        return None
    row = await connection.fetchrow(KNOWN, tenant, key)
    return Known(row["request_hash"], row["status"], row["headers"], row["body"]) if row else None


async def keep(connection: Connection, tenant: TenantId, key: str, status: int, headers: str, body: bytes) -> None:
    """Keeps the answer, for the next who comes with the key."""
    await connection.execute(KEEP, tenant, key, status, headers, body)


async def forget(connection: Connection, tenant: TenantId, key: str) -> None:
    """The request came to nothing: it may be tried again under the same key."""
    await connection.execute(FORGET, tenant, key)
