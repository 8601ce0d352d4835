"""Input partitions: who owns each, and how far it was consumed. The consumed offset is the fence."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.store.pool import Connection

# A new owner raises the epoch: whatever the former one still tries to store, fails at the fence.
CLAIM_PARTITION = """
insert into input_partition (topic, partition, owner_epoch) values ($1, $2, 1)
on conflict (topic, partition) do update set owner_epoch = input_partition.owner_epoch + 1
returning owner_epoch, next_offset
"""

CLAIM_PATIENCE = "set local lock_timeout = '1s'"

POSITION = "select owner_epoch, next_offset from input_partition where topic = $1 and partition = $2"


@dataclass(frozen=True, slots=True)
class Position:
    """An owner's epoch, and the next offset to consume (or the last number that was published)."""

    epoch: int
    at: int


@dataclass(frozen=True, slots=True)
class OffsetMove:
    """Inputs `first` to `next_` - 1 of a partition are consumed by this batch, by the owner of `epoch`."""

    topic: str
    partition: int
    epoch: int
    first: int
    next_: int


class FenceLost(Exception):
    """The partition belongs to a newer owner, or its inputs were stored before."""

    def __init__(self, moves: Sequence[OffsetMove]) -> None:
        super().__init__(", ".join(f"{m.topic}[{m.partition}] from {m.first}" for m in moves))
        self.moves = tuple(moves)


async def claim_partition(connection: Connection, topic: str, partition: int) -> Position:
    """Makes the caller the partition's owner; the former one's writes fail from now on.

    Raises `LockNotAvailableError` where a transaction of the former owner holds on to it.
    """
    async with connection.transaction():
        await connection.execute(CLAIM_PATIENCE)
        row = await connection.fetchrow(CLAIM_PARTITION, topic, partition)
    assert row is not None
    return Position(row["owner_epoch"], row["next_offset"])


async def position(connection: Connection, topic: str, partition: int) -> Position:
    """The partition's epoch and next offset; zeros for one that nobody has claimed."""
    row = await connection.fetchrow(POSITION, topic, partition)
    return Position(row["owner_epoch"], row["next_offset"]) if row else Position(0, 0)
