"""All data keys together: under which key-encryption keys they are, and how they come under another one."""

from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.store.credentials import DataKey
from service.store.pool import Connection, Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LOCK = 0x7265_7772_6170  # "rewrap"

# Index data_key_number.
COUNTS = "select key_number, count(*) from data_key group by key_number order by key_number"
RETIRED = "select number from retired_key order by number"
ANY_LEFT = "select exists (select from data_key where key_number < $1 or key_number > $1)"
# A pass goes through them by id, so that one that can't be wrapped anew doesn't stop it.
NEXT = "select id, wrapped from data_key where id > $1 and key_number <> $2 order by id limit $3"
# Only what is still as it was read, under a key that isn't retired. A row that somebody holds is left for the next
# pass: waiting for it could wait in a circle.
REWRAP = """
with free as (
    select id from data_key where id = any($1::bigint[]) order by id for update skip locked
)
update data_key set wrapped = made.wrapped
from unnest($1::bigint[], $2::bytea[], $3::bytea[]) as made(id, former, wrapped)
where data_key.id in (select id from free) and data_key.id = made.id and data_key.wrapped = made.former
  and not exists (select from retired_key where number = wrapping_key(made.wrapped))
"""
OWNERS = """
select c.connector_id from data_key d join connector c on c.id = d.connector where d.id = any($1) order by 1
"""
# Against ADD_DATA_KEY and REWRAP: nothing can come under the key between the look and the mark.
CLOSE_FOR_WRITING = "lock table data_key in share mode"
LEFT_UNDER = "select count(*) from data_key where key_number = $1"
MARK_RETIRED = "insert into retired_key (number) values ($1) on conflict do nothing"


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """A data key, as it was and as it shall be."""

    id: int
    former: bytes
    wrapped: bytes


async def counts(connection: Connection) -> dict[int, int]:
    """How many data keys each key-encryption key wraps, by number; 0 is what is no wrapped key at all."""
    return {row["key_number"]: row["count"] for row in await connection.fetch(COUNTS)}


async def retired(connection: Connection) -> list[int]:
    """The numbers that nothing may be wrapped by any more."""
    return [row["number"] for row in await connection.fetch(RETIRED)]


async def any_left(connection: Connection, current: int) -> bool:
    """Whether a data key is under another key than this one."""
    left: bool = await connection.fetchval(ANY_LEFT, current)
    return left


async def next_left(connection: Connection, after: int, current: int, limit: int) -> list[DataKey]:
    """The next data keys, by id, that are under another key than the current one."""
    rows = await connection.fetch(NEXT, after, current, limit)
    return [DataKey(row["id"], row["wrapped"]) for row in rows]


async def rewrap(connection: Connection, made: Sequence[Rewrapped]) -> int:
    """Stores data keys that were wrapped anew, unless they changed meanwhile; returns how many."""
    former, wrapped = [m.former for m in made], [m.wrapped for m in made]
    done: str = await connection.execute(REWRAP, [m.id for m in made], former, wrapped)
    return int(done.split()[1])


async def owners(connection: Connection, ids: Sequence[int]) -> list[str]:
    """Whose data keys these are."""
    return [row["connector_id"] for row in await connection.fetch(OWNERS, list(ids))]


async def retire(connection: Connection, number: int) -> int:
    """Lets nothing be wrapped by this key any more; returns how many data keys need it: then nothing is done."""
    async with connection.transaction():
        await connection.execute(CLOSE_FOR_WRITING)
        left: int = await connection.fetchval(LEFT_UNDER, number)
        if left == 0:
            await connection.execute(MARK_RETIRED, number)
        return left


@asynccontextmanager
async def only_one(pool: Pool) -> "AsyncIterator[bool]":
    """Whether nobody else rewraps now: one at a time over all processes. The lock dies with the process."""
    async with pool.acquire() as connection:
        mine: bool = await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK)
        try:
            yield mine
        finally:
            if mine and not connection.is_closed():
                await connection.execute("select pg_advisory_unlock($1)", _LOCK)
