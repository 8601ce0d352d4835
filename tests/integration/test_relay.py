"""The relay on a real broker and database: a zombie that wakes up publishes nothing behind its successor."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from schemas import channels
from schemas.ids import ConnectorId
from service.engine.submission import Submission
from service.engine.tail import Tail
from service.kafka.clients import make_producer
from service.kafka.published import Publication
from service.kafka.relay import Relay
from statemachine.inputs import Register, Update
from tests.loop import HOST, QUICKBOOKS, TENANT, Loop, eventually, running_loop


class FallsAsleep(AIOKafkaProducer):
    """Stands still with a batch in its hand, as a process does that gets a SIGSTOP there."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.asleep, self.awake = asyncio.Event(), asyncio.Event()
        self.fenced = False

    async def begin_transaction(self) -> None:
        self.asleep.set()
        await self.awake.wait()
        await super().begin_transaction()

    async def send_batch(self, batch, topic, *, partition):  # type: ignore[no-untyped-def]
        try:
            return await super().send_batch(batch, topic, partition=partition)
        except ProducerFenced:
            self.fenced = True
            raise


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


async def renamed(loop: Loop, id_: ConnectorId, name: str) -> None:
    await loop.service.engine.submit(Submission(input=Update(connector=id_, name=name), actor=HOST))


def relay_of(loop: Loop, id_: ConnectorId, make: Callable[[str], AIOKafkaProducer]) -> Relay:
    engine, prefix = loop.service.engine, loop.service.settings.kafka.topic_prefix
    return Relay(engine.shard_of(id_), engine.store, Publication(prefix, "http://127.0.0.1"), make, Tail())


async def test_a_zombie_relay_that_wakes_up_leaves_each_keys_newest_version_last(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await loop.register()
    sleepers: list[FallsAsleep] = []
    make = partial(make_producer, loop.service.settings.kafka)

    def make_sleeper(transactional_id: str) -> AIOKafkaProducer:
        monkeypatch.setattr("service.kafka.clients.AIOKafkaProducer", FallsAsleep)
        sleepers.append(make(transactional_id))
        monkeypatch.setattr("service.kafka.clients.AIOKafkaProducer", AIOKafkaProducer)
        return sleepers[-1]

    zombie = asyncio.create_task(relay_of(loop, id_, make_sleeper).run())
    await eventually(lambda: sleepers and sleepers[0].asleep.is_set(), "the first relay has a batch in its hand")
    successor = asyncio.create_task(relay_of(loop, id_, make).run())
    async with loop.topics.followed():
        await renamed(loop, id_, "Ledger")
        await eventually(lambda: loop.topics.data(channels.STATES, id_)[-1:] != [], "the successor publishes")
        await eventually(lambda: loop.topics.data(channels.STATES, id_)[-1]["version"] == 2, "the newest version")
        sleepers[0].awake.set()
        await eventually(lambda: sleepers[0]._closed, "the zombie has given up its producer")
        successor.cancel()
        zombie.cancel()
        await asyncio.gather(successor, zombie, return_exceptions=True)
        await renamed(loop, id_, "Books again")  # whatever comes last is published by a relay of its own
        last = asyncio.create_task(relay_of(loop, id_, make).run())
        await eventually(lambda: loop.topics.data(channels.STATES, id_)[-1]["version"] == 3, "all is there")
        last.cancel()
        await asyncio.gather(last, return_exceptions=True)
        versions = [state["version"] for state in loop.topics.data(channels.STATES, id_)]
        assert versions == [1, 2, 3], "what the zombie had in its hand came after its successor's"


async def test_a_backlog_that_no_topic_takes_in_one_batch_comes_out(loop: Loop) -> None:
    """A topic's `max.message.bytes` is about whole batches: a thousand entries are more than 1 MiB."""
    long, count = "Books of " + "x" * 190, 2400
    for first in range(0, count, 400):
        await asyncio.gather(*(registered(loop, f"b{number:04}", long) for number in range(first, first + 400)))
    engine, make = loop.service.engine, partial(make_producer, loop.service.settings.kafka)
    publication = Publication(loop.service.settings.kafka.topic_prefix, "http://127.0.0.1")
    relays = [
        asyncio.create_task(Relay(shard, engine.store, publication, make, Tail()).run()) for shard in engine.tails
    ]
    async with loop.topics.followed():
        topic = loop.topics.records[channels.TRANSITIONS.topic]
        await eventually(lambda: len(topic) == count, "all of it is published")
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)


async def registered(loop: Loop, name: str, words: str) -> None:
    new = Register(connector=ConnectorId(name), tenant=TENANT, provider=QUICKBOOKS, name=words, connected=True)
    await loop.service.engine.submit(Submission(input=new, actor=HOST))
