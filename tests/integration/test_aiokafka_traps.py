"""aiokafka's known traps, each with what answers it: on a real broker, with the trap built into the first client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import CommitFailedError, OutOfOrderSequenceNumber

from schemas import channels
from schemas.lifecycle import State
from service.kafka import relay, watch
from service.kafka.clients import make_consumer, make_producer
from service.kafka.published import Publication, Published
from service.kafka.work import Worker
from tests.loop import Loop, eventually, running_loop


class HangsAfterARestart(AIOKafkaConsumer):
    """aiokafka #1154: after a broker's restart or a rebalance it fetches nothing more, and says nothing."""

    hangs = False

    async def getmany(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        records = await super().getmany(*args, **kwargs)
        while type(self).hangs:
            await asyncio.sleep(3600)
        return records


class CommitsTooLate(AIOKafkaConsumer):
    """A commit after a rebalance: the partitions are somebody else's."""

    refused = 0

    async def commit(self, offsets=None):  # type: ignore[no-untyped-def]
        type(self).refused += 1
        raise CommitFailedError("the group has rebalanced")


class StuckProducer(AIOKafkaProducer):
    """aiokafka #1017: after OutOfOrderSequence nothing is sent any more, with an error or without one."""

    error: Exception | None = None

    async def send_batch(self, batch, topic, *, partition):  # type: ignore[no-untyped-def]
        future = asyncio.get_running_loop().create_future()
        if self.error is not None:
            future.set_exception(self.error)
        return future


class SequenceLost(StuckProducer):
    error = OutOfOrderSequenceNumber()


class Clients:
    """Makes the first client of a trap's class, and ordinary ones from then on."""

    def __init__(self, make: Callable[..., object], trap: type) -> None:
        self.make, self.trap, self.made = make, trap, 0

    def __call__(self, *args: object) -> object:
        self.made += 1
        client = self.make(*args)
        if self.made == 1:
            client.__class__ = self.trap
        return client


@asynccontextmanager
async def worker_with(loop: Loop, consumer: type | None = None, producer: type | None = None) -> AsyncIterator[Clients]:
    """A worker whose first consumer, or whose first producers, are of these classes."""
    kafka = loop.service.settings.kafka
    consumers = Clients(partial(make_consumer, kafka), consumer or AIOKafkaConsumer)
    producers = Clients(partial(make_producer, kafka), producer or AIOKafkaProducer)
    publication = Publication(kafka.topic_prefix, "http://127.0.0.1")
    worker = Worker(loop.service.engine, publication, consumers, producers, lambda: None)  # type: ignore[arg-type]
    task = asyncio.create_task(worker.run())
    try:
        async with loop.topics.followed():
            yield consumers if consumer else producers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


async def test_a_consumer_that_silently_stopped_is_found_and_made_anew(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CHECK_EVERY_S", 0.2)
    monkeypatch.setattr(watch, "STALLED_AFTER_S", 1.0)
    monkeypatch.setattr(HangsAfterARestart, "hangs", False)
    async with worker_with(loop, consumer=HangsAfterARestart) as consumers:
        id_ = await loop.register(connected=True)
        await loop.fail(id_, generation=None)
        await loop.state(id_, State.FAILED)
        HangsAfterARestart.hangs = True
        await loop.say(id_, channels.SYNC_SUCCEEDED)
        await loop.state(id_, State.HEALTHY)
        assert consumers.made == 2
        await loop.path(id_, State.HEALTHY, State.FAILED, State.HEALTHY)


async def test_a_consumer_that_has_nothing_to_read_is_left_alone(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_EVERY_S", 0.05)
    monkeypatch.setattr(watch, "STALLED_AFTER_S", 0.2)
    async with worker_with(loop, consumer=AIOKafkaConsumer) as consumers:
        for _ in range(3):
            id_ = await loop.register(connected=True)
            await loop.fail(id_, generation=None)
            await loop.state(id_, State.FAILED)
            await asyncio.sleep(0.5)  # longer than a stall
        assert consumers.made == 1


class Watched(AIOKafkaConsumer):
    """Knows how far it has read its one busy partition, and what was paused after that began."""

    read = 0
    paused_ones: ClassVar[set[object]] = set()

    async def getmany(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        records = await super().getmany(*args, **kwargs)
        for few in records.values():
            type(self).read = few[-1].offset + 1
        return records

    def pause(self, *partitions):  # type: ignore[no-untyped-def]
        if type(self).read:  # what was just assigned is paused until it is claimed
            type(self).paused_ones.update(partitions)
        super().pause(*partitions)


async def test_a_partition_is_paused_by_its_records_and_not_by_its_chunks(loop: Loop) -> None:
    """A paused partition misses a whole wait of the broker's: five inputs in five chunks must not cause one."""
    async with worker_with(loop, consumer=Watched):
        id_ = await loop.register(connected=True)
        async with loop.pool.acquire() as other, other.transaction():
            await other.execute("select from connector where connector_id = $1 for update", id_)  # nothing is stored
            for number in range(1, 6):
                await loop.fail(id_, generation=None)
                await eventually(lambda number=number: Watched.read == number, f"input {number} is read")  # type: ignore[misc]
            assert not Watched.paused_ones
        await loop.state(id_, State.FAILED)


async def test_a_commit_that_comes_after_a_rebalance_loses_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FOLLOW_EVERY_S", 0.05)
    async with worker_with(loop, consumer=CommitsTooLate) as consumers:
        id_ = await loop.register(connected=True)
        await loop.fail(id_, generation=None)
        await loop.state(id_, State.FAILED)
        await eventually(lambda: CommitsTooLate.refused, "the commit was refused")
        await loop.say(id_, channels.SYNC_SUCCEEDED)
        await loop.state(id_, State.HEALTHY)
        assert consumers.made == 1


@pytest.mark.parametrize("trap", [SequenceLost, StuckProducer])
async def test_a_producer_that_is_stuck_is_replaced_and_nothing_is_missing(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, trap: type
) -> None:
    monkeypatch.setattr(relay, "PUBLISH_LIMIT_S", 1.0)
    async with worker_with(loop, producer=trap) as producers:
        ids = [await loop.register(f"c-{number}", connected=True) for number in range(6)]
        assert {loop.service.engine.shard_of(id_) for id_ in ids} == {0, 1}, "the stuck producer's shard is among them"
        for id_ in ids:
            await loop.path(id_, State.HEALTHY)
        assert producers.made > 2  # one a shard, and the one in place of the stuck one


def test_a_batch_that_is_full_is_followed_by_another_and_nothing_is_refused_without_a_word() -> None:
    """`append` of a full batch returns None: unseen, that is lost output. 3 MB don't fit into a batch of 1 MB."""
    producer = AIOKafkaProducer.__new__(AIOKafkaProducer)
    producer.create_batch = _small_batches()  # type: ignore[method-assign]
    records = [Published("t", b"k%d" % i, b"x" * 100_000, []) for i in range(30)]
    batches = relay._batches(producer, records)
    assert len(batches) > 2
    assert sum(batch.record_count() for _, batch in batches) == len(records)
    [(_, larger)] = relay._batches(producer, [Published("t", b"k", b"x" * 2_000_000, [])])
    assert larger.record_count() == 1


def _small_batches():  # type: ignore[no-untyped-def]
    from aiokafka.producer.message_accumulator import BatchBuilder

    return lambda: BatchBuilder(1_000_000, 0, is_transactional=True, key_serializer=None, value_serializer=None)
