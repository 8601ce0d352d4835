"""PgQueuer: the topic's records become jobs, a batch an insert; an entrypoint handles each in one transaction.

As its documentation recommends: many jobs an `enqueue`, a large dequeue batch, a pool for the handlers. Jobs start in
the order of their ids, and a fair lock a connector keeps that order while many are handled at once.
"""

import asyncio
from collections import defaultdict
from datetime import timedelta

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers.asyncpg_handler import Hand
from benchmarks.peers.child import Given, run, until
from benchmarks.peers.lifecycle import read
from benchmarks.peers.outbox import Publisher, producer_of, publish_outbox

_FETCH_CAP = 1000
_ENTRYPOINT = "sync-event"


async def feed(consumer: AIOKafkaConsumer, queries: Queries) -> None:
    """Enqueues what is fetched; a repeat after a crash is skipped by its dedupe key, while the job is still there."""
    while True:
        fetched = await consumer.getmany(timeout_ms=50, max_records=_FETCH_CAP)
        for records in fetched.values():
            payloads: list[bytes | None] = [
                orjson.dumps([r.key.decode(), r.value.decode(), [(n, v.decode()) for n, v in r.headers]])
                for r in records
            ]
            keys: list[str | None] = [f"{r.topic}/{r.partition}/{r.offset}" for r in records]
            names, none = [_ENTRYPOINT] * len(records), [0] * len(records)
            await queries.enqueue(names, payloads, none, dedupe_key=keys, on_conflict="skip")
        if fetched:
            await consumer.commit()


async def main(given: Given, stop: asyncio.Event) -> None:
    settings = {"jit": "off"}
    pool = await asyncpg.create_pool(given.dsn, min_size=4, max_size=8, server_settings=settings)
    connections = [await asyncpg.connect(given.dsn, server_settings=settings) for _ in range(2)]
    free: asyncio.LifoQueue[Hand] = asyncio.LifoQueue()
    for _ in range(min(given.concurrency, 16)):
        free.put_nowait(await Hand(await asyncpg.connect(given.dsn, server_settings=settings)).prepare())
    locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    queue = PgQueuer(AsyncpgPoolDriver(pool))

    @queue.entrypoint(_ENTRYPOINT)
    async def handle(job: Job) -> None:
        assert job.payload is not None
        key, value, headers = orjson.loads(job.payload)
        event = read(key.encode(), value.encode(), [(name, text.encode()) for name, text in headers])
        async with locks[key]:
            hand = await free.get()
            try:
                await hand.handle([event])
            finally:
                free.put_nowait(hand)

    consumer = AIOKafkaConsumer(
        given.inputs_topic,
        bootstrap_servers=given.bootstrap,
        group_id=given.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    producer = producer_of(given)
    await producer.start()
    await consumer.start()
    try:
        await until(
            stop,
            feed(consumer, Queries(AsyncpgDriver(connections[0]))),
            publish_outbox(connections[1], Publisher(producer, given)),
            queue.run(dequeue_timeout=timedelta(seconds=1), batch_size=given.concurrency),
        )
    finally:
        await consumer.stop()
        await producer.stop()


if __name__ == "__main__":
    run(main)
