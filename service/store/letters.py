"""Dead letters for people: lists, and what somebody decides of one. The letter itself is never changed.

A replay is decided in one transaction with its audit row, and carried out by a worker: at least once, since a worker
may die between Kafka's word and the note of it. Inputs may come twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from service.store.pool import Connection

_VIEW = """
select d.*, f.fate, f.decided_at, f.decided_by, f.sent_at
from dead_letter d left join dead_letter_fate f on f.shard = d.shard and f.seq = d.seq
"""
# The newest first, behind a place. Index dead_letter_at.
LETTERS = f"""
{_VIEW}
where (d.at, d.shard, d.seq) < ($1, $2, $3) and ($4::text is null or d.topic = $4)
  and ($5::text is null or $5 = case when f.fate is null then 'waiting' when f.fate = 'drop' then 'dropped'
    when f.sent_at is null then 'replaying' else 'replayed' end)
order by d.at desc, d.shard desc, d.seq desc limit $6
"""
LETTER = f"{_VIEW} where d.shard = $1 and d.seq = $2"

# Of two who decide at once one gets the row, and its audit row with it.
DECIDE = """
with decided as (
    insert into dead_letter_fate (shard, seq, fate, decided_by)
    select shard, seq, $3, $4 from dead_letter where shard = $1 and seq = $2
    on conflict (shard, seq) do nothing returning fate
)
insert into audit (what, actor, detail) select 'dead_letter_' || fate, $4, $5 from decided returning what
"""

# Replays that Kafka doesn't have yet: the rows stay the caller's to the end of its transaction. Index
# dead_letter_to_send.
TO_SEND = """
select d.*, f.fate, f.decided_at, f.decided_by, f.sent_at
from dead_letter_fate f join dead_letter d on d.shard = f.shard and d.seq = f.seq
where f.fate = 'replay' and f.sent_at is null order by f.decided_at limit $1 for update of f skip locked
"""
ARE_TO_SEND = "select exists (select from dead_letter_fate where fate = 'replay' and sent_at is null)"
SENT = "update dead_letter_fate set sent_at = now() where shard = $1 and seq = $2"


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter with what was decided of it."""

    shard: int
    seq: int
    at: datetime
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    code: str
    detail: str
    fate: str | None
    decided_at: datetime | None
    decided_by: str | None
    sent_at: datetime | None


async def letters(
    connection: Connection, before: tuple[datetime, int, int], topic: str | None, status: str | None, limit: int
) -> tuple[list[LetterRow], bool]:
    """A page of letters older than a place, and whether there are more."""
    rows = await connection.fetch(LETTERS, *before, topic, status, limit + 1)
    return [_row(row) for row in rows[:limit]], len(rows) > limit


async def letter(connection: Connection, shard: int, seq: int) -> LetterRow | None:
    row = await connection.fetchrow(LETTER, shard, seq)
    return _row(row) if row else None


async def decide(connection: Connection, shard: int, seq: int, fate: str, who: str) -> bool:
    """Notes what becomes of a letter, and who said so; false when that was decided before, or there is none."""
    detail = orjson.dumps({"letter": f"{shard}-{seq}"}).decode()
    return await connection.fetchval(DECIDE, shard, seq, fate, who, detail) is not None


async def are_to_send(connection: Connection) -> bool:
    """Whether there are replays that Kafka doesn't have yet."""
    return bool(await connection.fetchval(ARE_TO_SEND))


async def to_send(connection: Connection, limit: int) -> list[LetterRow]:
    """Takes replays that are still to be sent; to be called inside the transaction that notes them as sent."""
    return [_row(row) for row in await connection.fetch(TO_SEND, limit)]


async def sent(connection: Connection, shard: int, seq: int) -> None:
    """Kafka has the letter's record again."""
    await connection.execute(SENT, shard, seq)


def _row(row: asyncpg.Record) -> LetterRow:
    return LetterRow(
        shard=row["shard"],
        seq=row["seq"],
        at=row["at"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        key=row["record_key"],
        value=row["record_value"],
        headers=[(n.decode(), v) for n, v in zip(row["header_names"], row["header_values"], strict=True)],
        code=row["code"],
        detail=row["detail"],
        fate=row["fate"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        sent_at=row["sent_at"],
    )
