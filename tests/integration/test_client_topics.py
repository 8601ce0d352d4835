"""The client's followers and tellers: no repeat, no gap unseen, nothing lost when the host breaks, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from regrant_client import Unreadable
from regrant_client.kafka import Commands, Delivery, Gap, States, SyncEvents, SyncRequests, Transitions, follow, stalled
from regrant_client.kafka.deliveries import Known
from regrant_client.records import ProviderError, Transition
from regrant_client.words import State, Trigger
from schemas import samples
from schemas.channels import TRANSITIONS
from tests.loop import eventually, running_loop

QUICK = {"fetch_max_wait_ms": 50}
PATIENCE_S = 60


class Broken(Exception):
    """The host fell over while it handled a record."""


class Topic:
    """The transitions' topic, written to by hand."""

    def __init__(self, bootstrap: str, prefix: str, producer: AIOKafkaProducer) -> None:
        self.bootstrap, self.prefix, self._producer = bootstrap, prefix, producer

    async def put(
        self, *versions: int, connector: str = "c-1", kind: str = Transitions.kind, partition: int = 0
    ) -> None:
        for version in versions:
            data = {**samples.RECORDS["Transition"], "connector_id": connector, "version": version}
            headers = {
                "ce_id": f"{connector}/{version}/connector.transition.v1",
                "ce_type": kind,
                "ce_time": "2026-11-28T12:00:00+00:00",
                "ce_sequence": f"{version:010}",
            }
            encoded = [(name, value.encode()) for name, value in headers.items()]
            await self.put_raw(connector, orjson.dumps(data), encoded, partition)

    async def put_raw(self, key: str, value: bytes, headers: Iterable[tuple[str, bytes]], partition: int = 0) -> None:
        name = self.prefix + TRANSITIONS.topic
        await self._producer.send_and_wait(name, value, key=key.encode(), headers=headers, partition=partition)

    def follower(self, group: str | None = None, known: Known | None = None) -> Transitions:
        return Transitions(
            self.bootstrap, group and self.prefix + group, topic_prefix=self.prefix, known=known, **QUICK
        )


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[Topic]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await producer.start()
    try:
        name = topic_prefix + TRANSITIONS.topic
        await admin.create_topics([NewTopic(name, 2, 1)])

        async def there() -> bool:
            return await producer.partitions_for(name) == {0, 1}

        await eventually(there, "the broker has the topic", patience_s=PATIENCE_S)
        yield Topic(kafka_bootstrap, topic_prefix, producer)
    finally:
        await producer.stop()
        await admin.close()


async def first(number: int, follower: Any) -> list[Delivery[Any]]:
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(follower) for _ in range(number)]


async def test_repeats_are_dropped_a_gap_is_told_and_unknown_kinds_are_passed_over(topic: Topic) -> None:
    await topic.put(1, 2, 2, 1, 3, 6)
    await topic.put(7, kind="io.regrant.connector.newer.v1")
    await topic.put(9, 10, connector="c-2")
    async with topic.follower() as follower:
        told = await first(6, follower)
    assert [(one.connector_id, one.version, one.gap) for one in told] == [
        ("c-1", 1, None),
        ("c-1", 2, None),
        ("c-1", 3, None),
        ("c-1", 6, Gap(3, 6)),
        ("c-2", 9, None),  # nobody knows what this host has seen of it
        ("c-2", 10, None),
    ]
    assert told[0].event_id == "c-1/1/connector.transition.v1" and isinstance(told[0].data, Transition)


async def test_what_the_host_has_stored_decides_also_after_a_restart(topic: Topic) -> None:
    stored = {"c-1": 2, "c-2": 7}

    async def known(connector: str) -> int:
        return stored.get(connector, 0)

    await topic.put(1, 2, 3)
    await topic.put(9, connector="c-2")
    await topic.put(2, connector="c-3")
    async with topic.follower(known=known) as follower:
        told = await first(3, follower)
    assert [(one.connector_id, one.version, one.gap) for one in told] == [
        ("c-1", 3, None),
        ("c-2", 9, Gap(7, 9)),
        ("c-3", 2, Gap(0, 2)),
    ]


async def test_a_host_that_breaks_is_told_again_what_it_had_not_handled_and_nothing_else(topic: Topic) -> None:
    await topic.put(1, 2, 3)
    with pytest.raises(Broken):
        async with topic.follower("host") as follower:
            async for told in follower:
                if told.version == 2:
                    raise Broken
    async with topic.follower("host") as follower:
        assert [one.version for one in await first(1, follower)] == [2]  # and it leaves without an error
    async with topic.follower("host") as follower:
        assert [one.version for one in await first(1, follower)] == [3]
    async with topic.follower() as follower:
        assert [one.version for one in await first(3, follower)] == [1, 2, 3], "without a group: all of it"


async def test_a_record_that_is_none_stops_the_follower_there_and_shows_nothing_of_it(topic: Topic) -> None:
    await topic.put(1)
    headers = [("ce_type", Transitions.kind.encode()), ("ce_sequence", b"0000000002"), ("ce_time", b"2026-11-28")]
    await topic.put_raw("c-1", b'{"name": "not to be shown"}', headers)
    async with topic.follower("host") as follower:
        await first(1, follower)
        for _ in range(2):
            with pytest.raises(Unreadable, match=r"\[0\]@1 is no io\.regrant\.connector\.transition\.v1") as error:
                await first(1, follower)
    assert "shown" not in str(error.value)


async def test_nothing_is_lost_when_another_process_joins(topic: Topic) -> None:
    told: dict[str, set[int]] = {"c-0": set(), "c-1": set()}

    async def handle(follower: Transitions) -> None:
        async for one in follower:
            told[one.connector_id].add(one.version)

    async def put(*versions: int) -> None:
        for number in (0, 1):
            await topic.put(*versions, connector=f"c-{number}", partition=number)

    async with AsyncExitStack() as stack:
        tasks = []
        for last in (3, 6):
            follower = await stack.enter_async_context(topic.follower("host"))
            tasks.append(asyncio.create_task(handle(follower)))
            await put(*range(last - 2, last + 1))
            expected = {"c-0": set(range(1, last + 1)), "c-1": set(range(1, last + 1))}
            await eventually(lambda: told == expected, "all of it was told", patience_s=PATIENCE_S)  # noqa: B023
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Clients:
    """Makes consumers in place of aiokafka, the first of a trap's class."""

    def __init__(self, trap: type[AIOKafkaConsumer]) -> None:
        self.trap, self.made = trap, list[AIOKafkaConsumer]()

    def __call__(self, **options: Any) -> AIOKafkaConsumer:
        self.made.append((AIOKafkaConsumer if self.made else self.trap)(**options))
        return self.made[-1]


class StopsWithoutAWord(AIOKafkaConsumer):
    """aiokafka #1154: after a broker's restart or a rebalance it fetches nothing more, and says nothing."""

    brought = 0

    async def getmany(self, *partitions: Any, timeout_ms: int = 0, max_records: int | None = None) -> Any:
        if self.brought:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        records = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
        self.brought += len(records)
        return records


class Asked(AIOKafkaConsumer):
    """Counts how often the brokers were asked whether records wait."""

    asked = 0

    async def end_offsets(self, partitions: Any) -> Any:
        self.asked += 1
        return await super().end_offsets(partitions)


@pytest.mark.parametrize("group", [None, "host"])
async def test_a_consumer_that_silently_stopped_is_found_and_nothing_is_missed_or_told_twice(
    topic: Topic, group: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalled, "CHECK_EVERY_S", 0.1)
    monkeypatch.setattr(stalled, "STALLED_AFTER_S", 1.0)
    monkeypatch.setattr(follow, "AIOKafkaConsumer", clients := Clients(StopsWithoutAWord))
    await topic.put(1)
    async with topic.follower(group) as follower:
        told = await first(1, follower)
        await topic.put(2, 3)
        told += await first(2, follower)
        assert [(one.version, one.gap) for one in told] == [(1, None), (2, None), (3, None)]
    assert len(clients.made) >= 2


async def test_a_follower_that_has_read_everything_is_left_alone(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the topic ends with what no consumer is given: the marks of transactions, as the relay writes them."""
    monkeypatch.setattr(stalled, "CHECK_EVERY_S", 0.05)
    monkeypatch.setattr(follow, "AIOKafkaConsumer", clients := Clients(Asked))
    async with AIOKafkaProducer(bootstrap_servers=topic.bootstrap, transactional_id=f"{topic.prefix}tx") as producer:
        written = Topic(topic.bootstrap, topic.prefix, producer)
        async with topic.follower("host") as follower:
            await written_in_a_transaction(producer, written, 1)
            with pytest.raises(Broken):
                async with producer.transaction():
                    await written.put(2)
                    raise Broken
            assert [one.version for one in await first(2, follower)] == [1, 2], "aborted, and true all the same"
            waiting = asyncio.create_task(first(1, follower))
            consumer = clients.made[0]

            async def has_read_all() -> bool:
                at = {partition: await consumer.position(partition) for partition in consumer.assignment()}
                return at == await consumer.end_offsets(list(at))

            await eventually(has_read_all, "it is at the topic's end")
            with monkeypatch.context() as impatient:
                impatient.setattr(stalled, "STALLED_AFTER_S", 0.1)
                before = consumer.asked
                await eventually(lambda: consumer.asked > before + 10, "it was looked at often")
            await written_in_a_transaction(producer, written, 3)
            assert [one.version for one in await waiting] == [3]
    assert len(clients.made) == 1


async def written_in_a_transaction(producer: AIOKafkaProducer, topic: Topic, version: int) -> None:
    async with producer.transaction():
        await topic.put(version)


# Before the real service.


async def test_a_sync_engine_tells_and_the_host_follows(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    at: dict[str, Any] = {"topic_prefix": topic_prefix, **QUICK}
    tell: dict[str, Any] = {"topic_prefix": topic_prefix, "source": "/drivewell/sync-engine"}
    async with (
        asyncio.timeout(2 * PATIENCE_S),
        running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop,
        Commands(kafka_bootstrap, **tell) as commands,
        SyncEvents(kafka_bootstrap, **tell) as events,
        Transitions(kafka_bootstrap, None, **at) as transitions,
        States(kafka_bootstrap, None, **at) as states,
        SyncRequests(kafka_bootstrap, None, **at) as requests,
    ):
        id_ = await loop.connected()
        await reached(transitions, State.HEALTHY)
        assert (await anext(requests)).connector_id == id_
        body = '{"fault":{"error":[{"message":"message=AuthenticationFailed; errorCode=003200","code":"3200"}]}}'
        refused = ProviderError(at="api", status=401, body=body, request_id="1-tid")
        await events.failed(id_, started_at=datetime.now(UTC), generation=1, error=refused, position="page 7")
        failed = await reached(transitions, State.FAILED)
        assert (failed.data.trigger, failed.data.actor.kind) == (Trigger.SYNC_FAILED, "sync_engine")

        await loop.reconnect(id_)
        request = await anext(requests)
        assert (request.connector_id, request.data.position, request.data.generation) == (id_, "page 7", 2)
        started = datetime.now(UTC)
        await events.started(id_, started_at=started, generation=request.data.generation)
        await events.succeeded(id_, started_at=started, generation=request.data.generation)
        healthy = await reached(transitions, State.HEALTHY)

        # Everything is published once more, as after a crash; what follows is told, and no repeat before it.
        await loop.stop_worker()
        await loop.pool.execute("update shard set published_seq = 0")
        await loop.take_over()
        await commands.register("c-new", tenant="drivewell", provider="quickbooks-online", name="New", connected=True)
        assert (await reached(transitions, State.HEALTHY)).connector_id == "c-new"
        await commands.update(id_, name="The books")
        await commands.disconnect(id_)
        await commands.delete(id_)
        after = [await anext(transitions) for _ in range(3)]
        assert [one.version for one in after] == [healthy.version + 1, healthy.version + 2, healthy.version + 3]
        assert [one.gap for one in after] == [None] * 3
        versions = {id_: 0, "c-new": 0}
        async for state in states:
            assert state.version > versions[state.connector_id]
            versions[state.connector_id] = state.version
            if state.data is None:
                break
        assert versions[id_] == after[-1].version, "the tombstone was the last of it"


async def reached(transitions: Transitions, state: State) -> Delivery[Transition]:
    """The next transition into that state."""
    async for one in transitions:
        if one.data.to == state:
            return one
    raise AssertionError("a follower has no end")
