"""The outbox of the hand-written peers: its table, and the publisher that empties it in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from benchmarks.peers.child import Given

TABLES = """
create sequence peer_seq;
create table outbox (
    id           bigint generated always as identity primary key,
    shard        int         not null,
    connector_id text        not null,
    version      bigint      not null,
    tenant_id    text        not null,
    at           timestamptz not null,
    record       text        not null
);
"""

INSERT_OUTBOX = """
insert into outbox (shard, connector_id, version, tenant_id, at, record) values ($1, $2, $3, $4, $5, $6)
"""
# A row that was committed late is not skipped: nothing is remembered but what is there. One key's rows are inserted by
# transactions that follow one another, so their ids are in order.
_NEXT = """
delete from outbox where id in (select id from outbox order by id limit 1000)
returning id, shard, connector_id, version, tenant_id, at, record
"""

_IDLE_S = 0.005
_STANDBY_S = 0.2


@dataclass(frozen=True, slots=True)
class Entry:
    """One transition on its way out."""

    shard: int
    connector_id: str
    version: int
    tenant_id: str
    at: str
    record: bytes


def headers(entry: Entry, message: str) -> list[tuple[str, bytes]]:
    """The CloudEvents headers, as ours has them."""
    id_, subject = f"{entry.connector_id}/{entry.version}/{message}", entry.connector_id.encode()
    return [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_type", b"io.regrant." + message.encode()),
        ("ce_id", id_.encode()),
        ("ce_source", b"/regrant/tenants/" + entry.tenant_id.encode()),
        ("ce_subject", subject),
        ("ce_time", entry.at.encode()),
        ("ce_partitionkey", subject),
        ("ce_sequence", b"%010d" % entry.version),
    ]


def producer_of(given: Given) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=given.bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=900_000,
        max_request_size=4_000_000,
    )


class Publisher:
    """Writes entries to both topics, in order, many at once."""

    def __init__(self, producer: AIOKafkaProducer, given: Given) -> None:
        self._producer, self._given = producer, given

    async def publish(self, entries: Sequence[Entry]) -> None:
        """Returns when the broker has acknowledged all."""
        batches: dict[tuple[str, int], BatchBuilder] = {}
        sent = []
        for entry in entries:
            key = entry.connector_id.encode()
            state = orjson.dumps(orjson.loads(entry.record)["connector"])
            for topic, message, value in (
                (self._given.transitions_topic, "connector.transition.v1", entry.record),
                (self._given.states_topic, "connector.state.v1", state),
            ):
                place = topic, entry.shard
                batch = batches.get(place)
                record = {"timestamp": None, "key": key, "value": value, "headers": headers(entry, message)}
                if batch is None or batch.append(**record) is None:
                    if batch is not None:
                        sent.append(await self._send(batch, *place))
                    batch = batches[place] = self._producer.create_batch()
                    assert batch.append(**record) is not None
        for place, batch in batches.items():
            sent.append(await self._send(batch, *place))
        await asyncio.gather(*sent)

    async def _send(self, batch: BatchBuilder, topic: str, partition: int) -> "asyncio.Future[object]":
        batch.close()
        future: asyncio.Future[object] = await self._producer.send_batch(batch, topic, partition=partition)
        return future


async def publish_outbox(connection: "asyncpg.Connection[asyncpg.Record]", publisher: Publisher) -> None:
    """Publishes until cancelled: takes rows out, and lets them go with the commit once the broker has them.

    Of several processes one publishes, so that the order holds; another takes over when its connection ends.
    """
    while not await connection.fetchval("select pg_try_advisory_lock(1)"):
        await asyncio.sleep(_STANDBY_S)
    next_ = await connection.prepare(_NEXT)
    while True:
        async with connection.transaction():
            rows = sorted(await next_.fetch(), key=lambda row: row["id"])
            await publisher.publish([_entry(row) for row in rows])
        if not rows:
            await asyncio.sleep(_IDLE_S)


def _entry(row: asyncpg.Record) -> Entry:
    at, record = row["at"].isoformat(), row["record"].encode()
    return Entry(row["shard"], row["connector_id"], row["version"], row["tenant_id"], at, record)
