"""What the engine, the consumer and the relay ask of the database. PostgreSQL answers in the service (`postgres.py`).

Each asks for its own part. The tests hold an in-memory store behind the same protocols against PostgreSQL.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from schemas.ids import AttemptId, ConnectorId, Shard
from schemas.lifecycle import Step
from service.store.batch import Batch, Loaded, ShardOf
from service.store.due import Due, Job
from service.store.log import Entry
from service.store.partitions import Position


class ConnectorStore(Protocol):
    """What the door works on."""

    async def load(self, ids: Collection[ConnectorId], shard_of: ShardOf) -> tuple[datetime, dict[ConnectorId, Loaded]]:
        """The database's time, and the connectors named; one that doesn't exist is absent, of its id's shard."""
        ...

    async def steps(self, attempts: Collection[AttemptId]) -> dict[AttemptId, Step]:
        """How far these attempts came; one that isn't known is left out."""
        ...

    async def store(self, batch: Batch, now: datetime) -> None:
        """Stores a batch, whole or not at all, and numbers the entries of its log.

        Raises `Conflict`, `FenceLost` or `LeasesLost`, after which nothing was stored; or what is `TRANSIENT`, after
        which the batch may have been stored: the fence and the revisions tell at the next try.
        """
        ...


class PartitionStore(Protocol):
    """Who owns an input partition."""

    async def claim_partition(self, topic: str, partition: int) -> Position:
        """Makes the caller the owner, from the next offset on that is returned; a former owner's writes fail."""
        ...

    async def position(self, topic: str, partition: int) -> Position:
        """The partition's epoch and next offset."""
        ...


class LogStore(Protocol):
    """A shard's log, for its relay."""

    async def claim_relay(self, shard: Shard) -> Position:
        """Makes the caller the relay, behind the watermark that is returned."""
        ...

    async def unpublished(self, shard: Shard, after: int, limit: int) -> list[Entry]:
        """The next entries after a number, in order, at most `limit`."""
        ...

    async def move_watermark(self, shard: Shard, epoch: int, seq: int) -> bool:
        """Remembers how far the log is published; false when somebody else is the relay now."""
        ...

    async def listen(self, heard: Callable[[Shard], None]) -> None:
        """Tells of shards whose log another process added to, until the connection is lost. Telling is a courtesy."""
        ...


class DueStore(Protocol):
    """What is due by the database's clock."""

    async def due(self, own: Sequence[Shard], lateness: timedelta, limit: int) -> list[Due]:
        """Deadlines that have passed; of shards that aren't `own` only when they are late by `lateness`."""
        ...

    async def lease_jobs(self, limit: int, lease: timedelta) -> list[Job]:
        """Takes at most `limit` jobs that are due; they are the caller's for the time of the lease."""
        ...

    async def renew(self, job: Job, lease: timedelta) -> None:
        """Holds the lease for longer, if it is still held."""
        ...

    async def postpone(self, job: Job, pause: timedelta) -> None:
        """Gives the lease back, to be tried again after a pause."""
        ...


class Store(ConnectorStore, PartitionStore, LogStore, DueStore, Protocol):
    """All of it."""
