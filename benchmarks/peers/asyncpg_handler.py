"""A hand-written asyncpg handler with an outbox: one transaction an event, as many at once as there are connections.

Events of one connector always go to the same connection, one after the other, so its order holds. Kafka's offset is
committed after the events; what is read again after a crash is seen by its run's start. Two styles: four statements
(`select for update`, update, two inserts), and one statement with a version check.
"""

import asyncio
from collections.abc import Sequence

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from benchmarks.peers.child import Given, run, until
from benchmarks.peers.lifecycle import Event, Moved, move, read
from benchmarks.peers.outbox import INSERT_OUTBOX, Publisher, producer_of, publish_outbox

_FETCH_CAP = 4000

_COLUMNS = """
id, connector_id, tenant_id, provider, name, state, version, revision, reason, since, failed_since, last_run,
last_success, deadline, shard
"""
_READ = f"select {_COLUMNS} from connector where connector_id = $1"
_LOCK = f"{_READ} for update"
_SET = """
state = $2, version = $3, revision = revision + 1, reason = $4, since = $5, failed_since = $6, last_run = $7,
last_success = $8, deadline = $9, reminders = 0
"""
_UPDATE = f"update connector set {_SET} where id = $1"
_LOG = """
insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, reason, record)
values ($1, nextval('peer_seq'), $2, $3, $4, $5, $6, $7, $8, $9)
"""
# All of it in one round trip; nothing happens when somebody else changed the row since it was read.
_ALL_IN_ONE = f"""
with moved as (update connector set {_SET} where id = $1 and revision = $10 returning id),
logged as (
    insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, reason, record)
    select $11, nextval('peer_seq'), $5, id, $3, $12, $2, $13, $14, $15 from moved
)
insert into outbox (shard, connector_id, version, tenant_id, at, record)
select $11, $16, $3, $17, $5, $15 from moved returning id
"""


class Hand:
    """One connection with its prepared statements, which handles one event after the other."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def prepare(self) -> "Hand":
        prepare = self._connection.prepare
        self._read, self._lock, self._update = await prepare(_READ), await prepare(_LOCK), await prepare(_UPDATE)
        self._log, self._outbox = await prepare(_LOG), await prepare(INSERT_OUTBOX)
        self._all_in_one = await prepare(_ALL_IN_ONE)
        return self

    async def handle(self, events: Sequence[Event]) -> None:
        for event in events:
            async with self._connection.transaction():
                row = await self._lock.fetchrow(event.connector_id)
                if row is None or (moved := move(row, event)) is None:
                    continue
                await self._update.fetch(*_changes(row, moved))
                if moved.record is None:
                    continue
                shard, record, said = row["shard"], moved.record.decode(), moved.told
                logged = (row["id"], moved.version, moved.before, moved.state, event.trigger, said, record)
                await self._log.fetch(shard, moved.since, *logged)
                await self._outbox.fetch(
                    shard, event.connector_id, moved.version, row["tenant_id"], moved.since, record
                )

    async def handle_in_one(self, events: Sequence[Event]) -> None:
        for event in events:
            done = False
            while not done:
                row = await self._read.fetchrow(event.connector_id)
                if row is None or (moved := move(row, event)) is None:
                    break
                if moved.record is None:
                    await self._update.fetch(*_changes(row, moved))
                    break
                said = (row["shard"], moved.before, event.trigger, moved.told, moved.record.decode())
                last = (event.connector_id, row["tenant_id"])
                done = bool(await self._all_in_one.fetch(*_changes(row, moved), row["revision"], *said, *last))


def _changes(row: asyncpg.Record, moved: Moved) -> tuple[object, ...]:
    return (
        row["id"],
        moved.state,
        moved.version,
        moved.reason,
        moved.since,
        moved.failed_since,
        moved.last_run,
        moved.last_success,
        moved.deadline,
    )


async def consume(given: Given, consumer: AIOKafkaConsumer, hands: Sequence[Hand]) -> None:
    """Shares what was fetched out by key, and commits the offset when all of it is stored."""
    while True:
        fetched = await consumer.getmany(timeout_ms=50, max_records=_FETCH_CAP)
        shares: list[list[Event]] = [[] for _ in hands]
        for records in fetched.values():
            for record in records:
                shares[hash(record.key) % len(hands)].append(_event(record))
        if not fetched:
            continue
        work = [
            hand.handle_in_one(share) if given.style == "one statement" else hand.handle(share)
            for hand, share in zip(hands, shares, strict=True)
        ]
        await asyncio.gather(*work)
        await consumer.commit()


def _event(record: ConsumerRecord) -> Event:
    return read(record.key, record.value, record.headers)


async def main(given: Given, stop: asyncio.Event) -> None:
    settings = {"jit": "off"}
    connections = [await asyncpg.connect(given.dsn, server_settings=settings) for _ in range(given.concurrency + 1)]
    hands = [await Hand(connection).prepare() for connection in connections[1:]]
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
        publisher = publish_outbox(connections[0], Publisher(producer, given))
        await until(stop, consume(given, consumer, hands), publisher)
    finally:
        await consumer.stop()
        await producer.stop()
        await asyncio.gather(*(connection.close(timeout=5) for connection in connections), return_exceptions=True)


if __name__ == "__main__":
    run(main)
