"""The protocol: what two replicas, the broker and chance may do next, in every state.

Read `steps` first: it lists who may act. Each action below it is one line of the service's code that other replicas
can come before or after: a transaction, a request to the broker, a word from the consumer group.

    records ──> chunk ──┐                                                      ┌─> memory ─┐
    a caller ───────────┼─> load ─> store (fence, revisions, seq, one commit) ─┤           ├─> publish ─> watermark
    a due deadline ─────┘                                                      └─> the log ┘   (producer's fence)
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from tests.model import database
from tests.model.database import CONFLICT, FENCE_LOST, ID_TAKEN, Database, Mark, Move, Stored
from tests.model.guards import Guards
from tests.model.lifecycle import AUTH_EXPIRED, HEALTHY, START_REAUTH, SYNC_FAILED, Connector, Input

TWO_CONNECTORS = (Input("record 0", START_REAUTH, 0, attempt=1), Input("record 1", SYNC_FAILED, 1))
ONE_CONNECTOR = (Input("record 0", START_REAUTH, 0, attempt=1), Input("record 1", SYNC_FAILED, 0))
"""What lies in the input partition."""
CALL = Input("the caller", START_REAUTH, 0, attempt=2)
"""What a caller hands in at B, which doesn't own the partition: the first record's connector, so that they collide."""
A, B = 0, 1
NAMES = "AB"
LIMIT = 2
"""Log entries that the relay reads at once."""


class Chunk(NamedTuple):
    """Records that were read under an epoch, on their way to the database."""

    epoch: int
    first: int
    next_: int


class Batch(NamedTuple):
    """What was taken from the queue, and the connectors as they were loaded."""

    inputs: tuple[Input, ...]
    chunks: tuple[Chunk, ...]
    read: tuple[Connector | None, ...]
    first_seq: int | None = None
    """Only without the guard `seq_under_lock`."""
    offset_moved: bool = False
    """Only without the guard `offset_with_effects`."""


class Relay(NamedTuple):
    """The shard's relay in one replica. `epoch` is `None` between making the producer and claiming the shard."""

    epoch: int | None = None
    at: int = 0
    pending: tuple[int, ...] = ()
    """Numbers of the log that it publishes next."""
    unmarked: bool = False
    """All was published; the watermark doesn't say so yet."""
    memory: tuple[int, ...] = ()
    """Numbers that this replica committed and that the relay hasn't taken."""


class Replica(NamedTuple):
    assigned: bool = False
    """What the consumer group said last; a zombie hasn't heard the newest."""
    held: int | None = None
    """The epoch under which it holds the partition."""
    chunks: tuple[Chunk, ...] = ()
    """Queued, the ones of the batch included."""
    calls: tuple[Input, ...] = ()
    """Callers' inputs and deadlines that are queued, likewise."""
    batch: Batch | None = None
    relay: Relay | None = None


class Topic(NamedTuple):
    """A connector's records in the compacted topic."""

    newest: int = 1
    """The newest version of which a record was written."""
    last: int = 1
    """The version of the last record, which is what compaction leaves."""


class World(NamedTuple):
    database: Database
    replicas: tuple[Replica | None, ...]
    owner: int
    """To whom the group gives the partition."""
    producer: int | None
    """Whose producer the broker takes records from."""
    topic: tuple[Topic, ...]
    records: tuple[Input, ...]
    relays: bool
    called: bool
    looks: int
    """How often a timer may still find a deadline."""
    crashes: int
    rebalances: int
    lost_answers: int
    gap: str | None = None
    """A first occurrence that came out of order."""


class Bounds(NamedTuple):
    """How often timers may look, and chance may strike."""

    records: tuple[Input, ...] = TWO_CONNECTORS
    relays: bool = True
    called: bool = False
    """Whether the caller has called already, and so won't."""
    looks: int = 2
    crashes: int = 1
    rebalances: int = 1
    lost_answers: int = 1


def first(bounds: Bounds) -> World:
    """A owns the partition and nobody has claimed anything. The connectors are healthy."""
    connectors = (Connector(HEALTHY), Connector(HEALTHY))
    replicas = (Replica(assigned=True), Replica())
    return World(Database(0, 0, connectors), replicas, A, None, (Topic(), Topic()), *bounds)


Step = tuple[str, World]


def steps(world: World, guards: Guards) -> Iterator[Step]:
    """Everything that may happen next."""
    for r, replica in enumerate(world.replicas):
        if replica is None:
            continue
        for words, after in _replica(world, r, replica, guards):
            yield f"{NAMES[r]} {words}", _numbered_anew(after)
    yield from _chance(world)


def _replica(w: World, r: int, me: Replica, guards: Guards) -> Iterator[Step]:
    yield from _group(w, r, me)
    yield from _wait_for_callers(w, r, me)
    yield from _load(w, r, me, guards)
    if me.batch is not None:
        yield from _store(w, r, me, me.batch, guards)
    yield from _relay(w, r, me, guards)


def _chance(w: World) -> Iterator[Step]:
    if w.rebalances and w.replicas[1 - w.owner] is not None:
        yield "the group gives the partition to the other", w._replace(owner=1 - w.owner, rebalances=w.rebalances - 1)
    if w.crashes:
        for r, replica in enumerate(w.replicas):
            if replica is not None:
                replicas = tuple(None if i == r else other for i, other in enumerate(w.replicas))
                yield f"{NAMES[r]} dies", w._replace(replicas=replicas, owner=1 - r, crashes=w.crashes - 1)


def _with(w: World, r: int, me: Replica, **changes: object) -> World:
    replicas = tuple(me if i == r else other for i, other in enumerate(w.replicas))
    return w._replace(replicas=replicas, **changes)


# Consuming.


def _group(w: World, r: int, me: Replica) -> Iterator[Step]:
    """The group's word arrives, at any time: until then a former owner is a zombie."""
    if me.assigned and w.owner != r:
        yield "hears that the partition was taken away", _with(w, r, _dropped(me)._replace(assigned=False))
    if me.held is None and (me.assigned or w.owner == r):
        db = database.claim_partition(w.database)
        read = [Chunk(db.epoch, offset, offset + 1) for offset in range(db.next_offset, len(w.records))]
        after = me._replace(assigned=True, held=db.epoch, chunks=(*me.chunks, *read))
        yield "claims the partition and reads on from its offset", _with(w, r, after, database=db)


def _dropped(me: Replica) -> Replica:
    """The partition is let go, and with it the relay; what is queued still goes to the fence."""
    return me._replace(held=None, relay=None)


# The door.


def _wait_for_callers(w: World, r: int, me: Replica) -> Iterator[Step]:
    if r == B and not w.called:
        yield "is called", _with(w, r, me._replace(calls=(*me.calls, CALL)), called=True)
    if not w.looks or any(call.due is not None for call in me.calls):
        return  # a timer waits for its answer
    for c, connector in enumerate(w.database.connectors):
        if connector.deadline is not None:
            fired = Input("a deadline", AUTH_EXPIRED, c, due=connector.deadline)
            yield (
                "finds a deadline that has passed",
                _with(w, r, me._replace(calls=(*me.calls, fired)), looks=w.looks - 1),
            )


def _load(w: World, r: int, me: Replica, guards: Guards) -> Iterator[Step]:
    """Takes what is queued, callers first, and reads the connectors. What is fetched later is in a later batch."""
    if me.batch is not None:
        return
    for taken in range(0 if me.calls else 1, len(me.chunks) + 1):
        chunks = me.chunks[:taken]
        if guards.separate_readings and not all(_follows(*two) for two in pairwise(chunks)):
            return
        batch = Batch(me.calls, chunks, ())
        named = {i.connector for i in _inputs_of(w, batch)}
        read = tuple(c if n in named else None for n, c in enumerate(w.database.connectors))
        words = f"takes {_told(w, batch)} and loads"
        yield words, _with(w, r, me._replace(batch=batch._replace(read=read)))


def _told(w: World, batch: Batch) -> str:
    return ", ".join(i.cause for i in _inputs_of(w, batch))


def _follows(earlier: Chunk, later: Chunk) -> bool:
    return (earlier.epoch, earlier.next_) == (later.epoch, later.first)


def _store(w: World, r: int, me: Replica, batch: Batch, guards: Guards) -> Iterator[Step]:
    if not guards.seq_under_lock and batch.first_seq is None:
        yield from _take_seq(w, r, me, batch)
        return
    if not guards.offset_with_effects and batch.chunks and not batch.offset_moved:
        yield from _move_offset_first(w, r, me, batch)
        return
    move = None if batch.offset_moved else _move_of(batch)
    answer, db = database.store(
        w.database, move, _inputs_of(w, batch), batch.read, guards, batch.first_seq, _mark_of(me)
    )
    if isinstance(answer, Stored):
        yield "stores its batch", _with(w, r, _stored(me, batch, answer, guards), database=db)
        if w.lost_answers:
            heard = me._replace(batch=None)
            yield "stores its batch but isn't told", _with(w, r, heard, database=db, lost_answers=w.lost_answers - 1)
    elif answer == CONFLICT:
        yield "finds a connector changed meanwhile", _with(w, r, me._replace(batch=None))
    elif answer == ID_TAKEN:
        calls = tuple(call for call in me.calls if call.attempt is None)
        yield "tells its caller that the attempt was open before", _with(w, r, me._replace(batch=None, calls=calls))
    elif answer == FENCE_LOST:
        yield "loses at the fence", _with(w, r, _without_lost(w.database, me, batch, guards))


def _mark_of(me: Replica) -> Mark | None:
    """How far this replica's relay has published, for the batch to take along."""
    relay = me.relay
    return Mark(relay.epoch, relay.at) if relay is not None and relay.epoch is not None else None


def _move_of(batch: Batch) -> Move | None:
    if not batch.chunks:
        return None
    return Move(batch.chunks[-1].epoch, batch.chunks[0].first, batch.chunks[-1].next_)


def _inputs_of(w: World, batch: Batch) -> tuple[Input, ...]:
    records = (record for chunk in batch.chunks for record in w.records[chunk.first : chunk.next_])
    return (*batch.inputs, *records)


def _stored(me: Replica, batch: Batch, answer: Stored, guards: Guards) -> Replica:
    """Everybody is answered, and the relay in this replica gets what was logged without a query."""
    relay = me.relay
    if relay is not None and relay.epoch is not None:
        logged = tuple(entry.seq for entry in answer.entries)
        gap = relay.memory and logged and relay.memory[-1] + 1 != logged[0]
        relay = relay._replace(memory=logged if gap and guards.contiguous else relay.memory + logged)
    calls, chunks = me.calls[len(batch.inputs) :], me.chunks[len(batch.chunks) :]
    return me._replace(calls=calls, chunks=chunks, batch=None, relay=relay)


def _without_lost(db: Database, me: Replica, batch: Batch, guards: Guards) -> Replica:
    """A chunk whose commit it wasn't told of turns out to be stored; any other is the partition's owner's to read."""
    me = me._replace(batch=None, chunks=me.chunks[len(batch.chunks) :])
    for chunk in batch.chunks:
        stored = chunk.epoch == db.epoch and db.next_offset >= chunk.next_
        ours = me.held == chunk.epoch
        if not stored and ours and guards.reread:
            me = _dropped(me)
    return me


def _take_seq(w: World, r: int, me: Replica, batch: Batch) -> Iterator[Step]:
    """The wrong way: numbers from a sequence, before the transaction, in any order with the others' commits."""
    answer, after = database.store(w.database, None, _inputs_of(w, batch), batch.read, Guards(fence=False))
    if not isinstance(answer, Stored):
        yield "finds a connector changed meanwhile", _with(w, r, me._replace(batch=None))
        return
    taken = me._replace(batch=batch._replace(first_seq=w.database.next_seq))
    yield "takes numbers from a sequence", _with(w, r, taken, database=w.database._replace(next_seq=after.next_seq))


def _move_offset_first(w: World, r: int, me: Replica, batch: Batch) -> Iterator[Step]:
    """The wrong way: the offset is committed before what its inputs do."""
    move = _move_of(batch)
    assert move is not None
    answer, db = database.store(w.database, move, (), batch.read, Guards())
    if answer == FENCE_LOST:
        yield "loses at the fence", _with(w, r, _without_lost(w.database, me, batch, Guards()))
    else:
        moved = me._replace(batch=batch._replace(offset_moved=True))
        yield "commits its offset", _with(w, r, moved, database=db)


# The relay.


def _relay(w: World, r: int, me: Replica, guards: Guards) -> Iterator[Step]:
    relay = me.relay
    if relay is None:
        if w.relays and me.held is not None:
            yield "makes the relay's producer", _with(w, r, me._replace(relay=Relay()), producer=r)
    elif relay.epoch is None:
        db = database.claim_relay(w.database)
        claimed = Relay(db.relay_epoch, db.published)
        yield "claims the relay", _with(w, r, me._replace(relay=claimed), database=db)
    elif relay.pending:
        yield from _publish(w, r, me, relay, guards)
    elif relay.unmarked:
        yield from _mark(w, r, me, relay)
    else:
        yield from _read_on(w, r, me, relay, guards)


def _read_on(w: World, r: int, me: Replica, relay: Relay, guards: Guards) -> Iterator[Step]:
    """The next numbers: from memory if they follow on, else from the log."""
    memory = relay.memory
    if guards.contiguous:
        memory = tuple(seq for seq in memory if seq > relay.at)
    if memory and (memory[0] == relay.at + 1 or not guards.contiguous):
        following = relay._replace(pending=memory, memory=())
        words = "hands what it has just committed to the relay"
    else:
        entries = database.unpublished(w.database, relay.at, LIMIT)
        if not entries:
            return
        following, words = relay._replace(pending=tuple(entry.seq for entry in entries), memory=()), "reads the log"
    db = w.database
    if not guards.publish_first:
        _, db = database.move_watermark(db, relay.epoch or 0, following.pending[-1])
    yield words, _with(w, r, me._replace(relay=following), database=db)


def _publish(w: World, r: int, me: Replica, relay: Relay, guards: Guards) -> Iterator[Step]:
    """One record to the broker, and after the last one the watermark."""
    if w.producer != r and guards.producer_fence:
        yield "is fenced by the broker", _with(w, r, me._replace(relay=None))
        return
    entry = next(entry for entry in w.database.log if entry.seq == relay.pending[0])
    rest = relay.pending[1:]
    newest, _ = w.topic[entry.connector]
    gap = f"version {entry.version} was published after {newest}" if entry.version > newest + 1 else None
    after = Topic(max(newest, entry.version), entry.version)
    topic = tuple(after if c == entry.connector else other for c, other in enumerate(w.topic))
    next_ = relay._replace(at=entry.seq, pending=rest, unmarked=guards.publish_first and not rest)
    yield f"publishes number {entry.seq}", _with(w, r, me._replace(relay=next_), topic=topic, gap=gap)


def _mark(w: World, r: int, me: Replica, relay: Relay) -> Iterator[Step]:
    assert relay.epoch is not None
    ours, db = database.move_watermark(w.database, relay.epoch, relay.at)
    if ours:
        yield "moves the watermark", _with(w, r, me._replace(relay=relay._replace(unmarked=False)), database=db)
    else:
        yield "finds that another is the relay now", _with(w, r, me._replace(relay=None))


# Epochs only grow, and only their order counts: numbered anew after each step, they leave finitely many states.


def _numbered_anew(w: World) -> World:
    living = [replica for replica in w.replicas if replica is not None]
    epochs = {0, w.database.epoch}
    relays = {0, w.database.relay_epoch}
    for replica in living:
        epochs.update(chunk.epoch for chunk in replica.chunks)
        if replica.held is not None:
            epochs.add(replica.held)
        if replica.relay is not None and replica.relay.epoch is not None:
            relays.add(replica.relay.epoch)
    if max(epochs) == len(epochs) - 1 and max(relays) == len(relays) - 1:
        return w
    of = {epoch: rank for rank, epoch in enumerate(sorted(epochs))}
    relay_of = {epoch: rank for rank, epoch in enumerate(sorted(relays))}
    db = w.database._replace(epoch=of[w.database.epoch], relay_epoch=relay_of[w.database.relay_epoch])
    return w._replace(database=db, replicas=tuple(me and _renumbered(me, of, relay_of) for me in w.replicas))


def _renumbered(me: Replica, of: dict[int, int], relay_of: dict[int, int]) -> Replica:
    held = me.held and of[me.held]
    chunks = tuple(chunk._replace(epoch=of[chunk.epoch]) for chunk in me.chunks)
    batch = me.batch and me.batch._replace(chunks=chunks[: len(me.batch.chunks)])
    relay = me.relay
    if relay is not None and relay.epoch is not None:
        relay = relay._replace(epoch=relay_of[relay.epoch])
    return me._replace(held=held, chunks=chunks, batch=batch, relay=relay)
