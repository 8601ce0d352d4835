"""`regrant shards N`: more shards, and as many partitions of each topic, while producers and workers go on.

It drains first: what was in the input topics when it began is stored and published before a key can change its
partition, so that its inputs stay in order. Registered connectors keep their shard, and so their partition of every
output topic: no record moves, and the newest of a key stays the last. Their inputs come on the partition that the key
has now, which is handled like any stray key. Workers that see the new partitions end, to be started again.
"""

import asyncio
from collections.abc import Callable

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from schemas import channels
from service.kafka.clients import make_admin, make_offsets_reader
from service.kafka.topics import TOPICS
from service.settings import Settings
from service.store import partitions, shards
from service.store.pool import Connection

LOOK_EVERY_S = 0.2

Say = Callable[[str], None]


class CannotGrow(Exception):
    """The number that was asked for can't be had, or the workers didn't drain in time."""


async def grow(settings: Settings, wanted: int, wait_s: float, say: Say) -> None:
    """Brings the deployment to `wanted` shards. Raises `CannotGrow`; one that was interrupted is done again."""
    connection = await asyncpg.connect(settings.database.dsn.reveal(), timeout=10)
    admin = make_admin(settings.kafka)
    try:
        await admin.start()
        there = await shards.count(connection)
        if wanted < there:
            raise CannotGrow(
                f"there are {there} shards, and Kafka takes no partition away: more is possible, less isn't"
            )
        if wanted > there:
            say(f"waits until what is in the topics now is stored and published, at most {wait_s:g} s")
            await _drained(settings, connection, wait_s)
            await shards.add(connection, wanted)
            say(f"{wanted} shards, {there} before")
        for line in await _grow_topics(admin, settings.kafka.topic_prefix, wanted):
            say(line)
        say(
            f"set REGRANT_SHARDS={wanted}; workers end by themselves when they see the new partitions: start them again"
        )
    finally:
        await admin.close()
        await connection.close()


async def _drained(settings: Settings, connection: Connection, wait_s: float) -> None:
    """Waits for the workers, which must be running, to store and publish what there is now; more may come meanwhile."""
    ends = await _ends(settings)
    try:
        async with asyncio.timeout(wait_s):
            while behind := await _behind(connection, ends):
                await asyncio.sleep(LOOK_EVERY_S)
            logged = await shards.logged(connection)
            while behind := await shards.unpublished(connection, logged):
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise CannotGrow(f"not drained in time, {behind} are still to come: are workers running?") from None


async def _ends(settings: Settings) -> dict[TopicPartition, int]:
    """Where the input topics end now."""
    reader: AIOKafkaConsumer = make_offsets_reader(settings.kafka)
    await reader.start()
    try:
        topics = [settings.kafka.topic_prefix + channel.topic for channel in channels.INPUTS]
        reader.subscribe(topics)
        found = [TopicPartition(topic, p) for topic in topics for p in await _partitions(reader, topic)]
        ends: dict[TopicPartition, int] = await reader.end_offsets(found)
        return ends
    finally:
        await reader.stop()


async def _partitions(reader: AIOKafkaConsumer, topic: str) -> set[int]:
    while not (found := reader.partitions_for_topic(topic)):
        await asyncio.sleep(LOOK_EVERY_S)
    return set(found)


async def _behind(connection: Connection, ends: dict[TopicPartition, int]) -> int:
    """How many of these inputs aren't stored yet."""
    at = {p: (await partitions.position(connection, p.topic, p.partition)).at for p in ends}
    return sum(max(end - at[partition], 0) for partition, end in ends.items())


async def _grow_topics(admin: AIOKafkaAdminClient, prefix: str, wanted: int) -> list[str]:
    """Outputs first: a worker that reads a new partition finds where to publish."""
    inputs = {channel.topic for channel in channels.INPUTS}
    names = [prefix + t.name for t in sorted(TOPICS, key=lambda t: t.name in inputs)]
    has = {d["topic"]: len(d["partitions"]) for d in await admin.describe_topics() if d["topic"] in names}
    lines = []
    for name in names:
        if has.get(name, wanted) >= wanted:
            continue
        answer = await admin.create_partitions({name: NewPartitions(total_count=wanted)})
        [(_, code, message)] = answer.topic_errors
        if code:
            raise CannotGrow(f"{name} can't be given {wanted} partitions: {message}")
        lines.append(f"{name} has {wanted} partitions, {has[name]} before")
    return lines
