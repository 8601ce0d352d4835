"""What waits for a shard, and how much of it a batch takes."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.engine.fold import Work
from service.store.partitions import OffsetMove

BATCH_CAP = 500
"""Inputs a transaction: 200-500 is where a round trip no longer counts and a batch is still short."""


@dataclass(eq=False, slots=True)
class Chunk:
    """Consecutive inputs of one partition, read by the owner of an epoch."""

    move: OffsetMove
    works: Sequence[Work]
    stored: "asyncio.Future[None]"


@dataclass(slots=True)
class Queue:
    """What waits for a shard."""

    callers: deque[Work] = field(default_factory=deque)
    chunks: deque[Chunk] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    drained: asyncio.Event = field(default_factory=asyncio.Event)


def take(queue: Queue) -> tuple[list[Work], list[Chunk]]:
    """What the next batch holds: callers first, then whole chunks up to the cap."""
    works: list[Work] = []
    while queue.callers and len(works) < BATCH_CAP:
        work = queue.callers.popleft()
        if work.answer is not None and not work.answer.done():
            works.append(work)
    chunks: list[Chunk] = []
    size = len(works)
    while queue.chunks and (size == 0 or size + len(queue.chunks[0].works) <= BATCH_CAP):
        if not _follows(queue.chunks[0].move, chunks):
            break
        chunk = queue.chunks.popleft()
        chunks.append(chunk)
        size += len(chunk.works)
    queue.drained.set()
    return works, chunks


def _follows(move: OffsetMove, chunks: Sequence[Chunk]) -> bool:
    """Whether a chunk may share a batch with these. One that was read again after its partition was claimed anew
    must not: under the new epoch's fence the older reading's inputs would be stored beside their own repeats.
    """
    earlier = [c.move for c in chunks if (c.move.topic, c.move.partition) == (move.topic, move.partition)]
    return not earlier or (earlier[-1].epoch, earlier[-1].next_) == (move.epoch, move.first)


def moves(chunks: Sequence[Chunk]) -> list[OffsetMove]:
    """One move a partition: its chunks follow one another."""
    moves: dict[tuple[str, int], OffsetMove] = {}
    for chunk in chunks:
        move = chunk.move
        earlier = moves.get((move.topic, move.partition))
        first = earlier.first if earlier else move.first
        moves[move.topic, move.partition] = OffsetMove(move.topic, move.partition, move.epoch, first, move.next_)
    return list(moves.values())


def split(chunk: Chunk) -> list[Chunk]:
    """One chunk an input, with the same bounds in all."""
    parts, first = [], chunk.move.first
    for i, work in enumerate(chunk.works):
        assert work.record is not None
        next_ = chunk.move.next_ if i == len(chunk.works) - 1 else work.record.offset + 1
        move = OffsetMove(chunk.move.topic, chunk.move.partition, chunk.move.epoch, first, next_)
        parts.append(Chunk(move, [work], asyncio.get_running_loop().create_future()))
        first = next_
    return parts


def settle(chunk: Chunk) -> None:
    if not chunk.stored.done():
        chunk.stored.set_result(None)
