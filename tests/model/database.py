"""The database as the protocol sees it: five statements, each one step, since each is one transaction.

A transaction that stores locks the partition's row, then the shard's, so no other store comes between its first and its
last statement. `test_r03_model_is_the_code.py` runs the same statements on PostgreSQL.
"""

from typing import NamedTuple

from tests.model.guards import Guards
from tests.model.lifecycle import IGNORED, TRANSITION, Connector, Input, decide


class Entry(NamedTuple):
    """A row of the log."""

    seq: int
    connector: int
    version: int
    cause: str
    due: int | None
    """The instant that its deadline's input was set for."""
    ran: int | None
    """The deadline that ran before it."""


class Database(NamedTuple):
    epoch: int
    """Of the input partition's owner."""
    next_offset: int
    connectors: tuple[Connector, ...]
    log: tuple[Entry, ...] = ()
    next_seq: int = 1
    published: int = 0
    """The watermark."""
    relay_epoch: int = 0
    attempts: frozenset[int] = frozenset()
    """Every attempt that was ever opened: their ids are unique."""
    handled: tuple[str, ...] = ()
    """Not in the real database: the causes that were stored, so that the properties can count them."""


class Move(NamedTuple):
    """The consumed offset's move, fenced: by the owner of `epoch`, from `first` to `next_`."""

    epoch: int
    first: int
    next_: int


class Mark(NamedTuple):
    """How far the relay of this epoch has published: a batch that adds to the log takes it along."""

    epoch: int
    seq: int


class Stored(NamedTuple):
    """The answer to a batch that was stored."""

    entries: tuple[Entry, ...]


FENCE_LOST, CONFLICT, ID_TAKEN = "fence lost", "conflict", "id taken"


def claim_partition(db: Database) -> Database:
    """A new owner raises the epoch: whatever the former one still tries to store, fails at the fence."""
    return db._replace(epoch=db.epoch + 1)


def claim_relay(db: Database) -> Database:
    return db._replace(relay_epoch=db.relay_epoch + 1)


def move_watermark(db: Database, epoch: int, seq: int) -> tuple[bool, Database]:
    """Only for the relay of the newest epoch, and only forward."""
    if epoch != db.relay_epoch:
        return False, db
    return True, db._replace(published=max(db.published, seq))


def unpublished(db: Database, after: int, limit: int) -> tuple[Entry, ...]:
    """What is visible of the log after `after`, in order."""
    return tuple(sorted(entry for entry in db.log if entry.seq > after)[:limit])


def store(
    db: Database,
    move: Move | None,
    inputs: tuple[Input, ...],
    read: tuple[Connector | None, ...],
    guards: Guards,
    first_seq: int | None = None,
    mark: Mark | None = None,
) -> tuple[str | Stored, Database]:
    """One batch, whole or not at all: what `inputs` do to the connectors as they were `read`.

    The log's numbers are taken from the shard's row, under its lock; `first_seq` stands for numbers that were taken
    before, from a sequence.
    """
    if move is not None and guards.fence and (move.epoch, move.first) != (db.epoch, db.next_offset):
        return FENCE_LOST, db
    now, entries, opened, touched, handled = list(read), [], [], set(), []
    seq = db.next_seq if first_seq is None else first_seq
    for i in inputs:
        before = now[i.connector]
        assert before is not None
        outcome, after = decide(before, i, instant_matters=guards.instant)
        now[i.connector] = after
        if outcome != IGNORED:
            touched.add(i.connector)
        if outcome == TRANSITION:
            entries.append(Entry(seq + len(entries), i.connector, after.version, i.cause, i.due, before.deadline))
            if i.attempt is not None:
                opened.append(i.attempt)
        if i.due is None and (outcome != IGNORED or i.is_record):
            handled.append(i.cause)
    stale = {c for c in touched if (was := read[c]) is not None and was.revision != db.connectors[c].revision}
    if stale and guards.revision:
        return CONFLICT, db
    if guards.unique_attempts and not db.attempts.isdisjoint(opened):
        return ID_TAKEN, db
    if mark is not None and entries:
        _, db = move_watermark(db, *mark)
    rows = list(db.connectors)
    for c, after in enumerate(now):
        if after is not None and c in touched:
            rows[c] = after._replace(revision=rows[c].revision + 1)
    return Stored(tuple(entries)), db._replace(
        next_offset=move.next_ if move else db.next_offset,
        connectors=tuple(rows),
        log=db.log + tuple(entries),
        next_seq=max(db.next_seq, seq + len(entries)),
        attempts=db.attempts.union(opened),
        handled=tuple(sorted((*db.handled, *handled))),
    )
