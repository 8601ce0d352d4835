"""The tail of a shard's log: what it hands to the relay follows on without a gap, and what it lacks is read."""

from datetime import UTC, datetime

import pytest

from schemas.ids import ConnectorId, Shard, TenantId
from service.engine.tail import TAIL_CAP, Tail
from service.store.log import Logged, Watermark

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SHARD = Shard(0)


def entries(*numbers: int) -> list[Logged]:
    return [
        Logged(
            seq=seq,
            shard=SHARD,
            at=NOW,
            connector=ConnectorId("c"),
            tenant=TenantId("t"),
            version=seq,
            deleted=False,
            record="{}",
            state="{}",
            sync_request=None,
            trace=None,
        )
        for seq in numbers
    ]


def numbers(tail: Tail, after: int, limit: int = 100) -> list[int]:
    return [entry.seq for entry in tail.take(after, limit)]


@pytest.fixture
def tail() -> Tail:
    """One that a relay follows, which has read the log up to number 4."""
    tail = Tail()
    tail.follow(Watermark(SHARD, 1, 4))
    assert tail.must_read(), "what was there before is read first"
    return tail


def test_what_was_just_stored_is_taken_in_order_and_in_parts(tail: Tail) -> None:
    tail.append(entries(5, 6))
    tail.append(entries(7))
    assert (numbers(tail, 4, limit=2), numbers(tail, 6), numbers(tail, 7)) == ([5, 6], [7], [])
    assert not tail.must_read()


def test_what_another_process_stored_in_between_is_not_skipped(tail: Tail) -> None:
    tail.append(entries(5))
    tail.append(entries(8, 9))
    assert numbers(tail, 4) == []
    assert tail.must_read()
    assert numbers(tail, 7) == [8, 9]


def test_batches_that_come_out_of_order_are_read_instead(tail: Tail) -> None:
    tail.append(entries(7, 8))
    tail.append(entries(5, 6))
    assert tail.must_read()
    assert numbers(tail, 4) == [5, 6]
    assert numbers(tail, 6) == []


def test_what_is_published_already_is_left_out(tail: Tail) -> None:
    tail.append(entries(5, 6, 7))
    assert numbers(tail, 6) == [7]


def test_a_relay_that_is_far_behind_reads_and_memory_stays_bounded(tail: Tail) -> None:
    for first in range(5, 5 + 2 * TAIL_CAP, 500):
        tail.append(entries(*range(first, first + 500)))
    assert tail.must_read()
    held = numbers(tail, 4, limit=10 * TAIL_CAP)
    assert held == list(range(5, 5 + len(held)))
    assert len(held) <= TAIL_CAP


def test_without_a_relay_here_nothing_is_kept() -> None:
    tail = Tail()
    tail.append(entries(1))
    assert numbers(tail, 0) == []


async def test_a_wake_up_is_not_lost_while_the_relay_works(tail: Tail) -> None:
    tail.wake()
    assert await tail.grew(10)
    assert tail.must_read()
    assert not await tail.grew(0.01)
