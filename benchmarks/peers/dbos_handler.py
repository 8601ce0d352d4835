"""DBOS: a durable workflow an event, whose id is made from topic, partition and offset, as its documentation says.

The first step is a transaction of a datasource: the connector, the log and the step's checkpoint commit together. The
second publishes. Workflows of one connector follow one another, others run at once.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSConfig, SetWorkflowID
from sqlalchemy import text

from benchmarks.peers.child import Given, run, until
from benchmarks.peers.lifecycle import move, read
from benchmarks.peers.outbox import Entry, headers, producer_of

_FETCH_CAP = 1000

_LOCK = text("select * from connector where connector_id = :id for update")
_UPDATE = text(
    "update connector set state = :state, version = :version, revision = revision + 1, reason = :reason,"
    " since = :since, failed_since = :failed_since, last_run = :last_run, last_success = :last_success,"
    " deadline = :deadline, reminders = 0 where id = :id"
)
_LOG = text(
    "insert into transition (shard, seq, at, connector, version, from_state, to_state, trigger, reason, record)"
    " values (:shard, nextval('peer_seq'), :at, :connector, :version, :before, :after, :trigger, :reason, :record)"
)

Said = list[Any]  # Any: a record's key, value and headers, or an entry's fields, as JSON
_TOLD: "dict[str, tuple[AIOKafkaProducer, Given]]" = {}


@DBOS.step()
async def publish(said: Said) -> None:
    """Both records; returns when the broker has acknowledged them."""
    producer, given = _TOLD["publish"]
    entry = Entry(*said[:5], said[5].encode())
    state, key = orjson.dumps(orjson.loads(entry.record)["connector"]), entry.connector_id.encode()
    sent = [
        await producer.send(topic, value, key, partition=entry.shard, headers=headers(entry, message))
        for topic, message, value in (
            (given.transitions_topic, "connector.transition.v1", entry.record),
            (given.states_topic, "connector.state.v1", state),
        )
    ]
    await asyncio.gather(*sent)


def workflow_of(datasource: AsyncSQLAlchemyDatasource) -> Any:  # Any: the decorated workflow
    """The workflow over a datasource."""

    @datasource.transaction(isolation_level="READ COMMITTED")
    async def moved(said: Said) -> Said | None:
        event = read(said[0].encode(), said[1].encode(), [(name, value.encode()) for name, value in said[2]])
        session = datasource.sql_session()
        row = (await session.execute(_LOCK, {"id": event.connector_id})).mappings().one()
        change = move(row, event)
        if change is None:
            return None
        after = {name: getattr(change, name) for name in ("version", "since", "failed_since", "last_run")}
        after |= {"last_success": change.last_success, "deadline": change.deadline}
        reason = change.reason.value if change.reason else None
        await session.execute(_UPDATE, after | {"id": row["id"], "state": change.state.value, "reason": reason})
        if change.record is None:
            return None
        record = change.record.decode()
        logged = {"shard": row["shard"], "at": change.since, "connector": row["id"], "version": change.version}
        logged |= {"before": change.before.value, "after": change.state.value, "trigger": event.trigger.value}
        told = change.told.value if change.told else None
        await session.execute(_LOG, logged | {"reason": told, "record": record})
        return [row["shard"], event.connector_id, change.version, row["tenant_id"], change.since.isoformat(), record]

    @DBOS.workflow()
    async def handle(said: Said) -> None:
        entry = await moved(said)
        if entry is not None:
            await publish(entry)

    return handle


async def consume(given: Given, consumer: AIOKafkaConsumer, workflow: Any) -> None:  # Any: as above
    """Runs a workflow for each record, one connector's after the other; commits the offset when all have ended."""
    places = asyncio.Semaphore(given.concurrency)

    async def in_order(records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            said = [record.key.decode(), record.value.decode(), [[n, v.decode()] for n, v in record.headers]]
            async with places:
                with SetWorkflowID(f"{record.topic}-{record.partition}-{record.offset}"):
                    await workflow(said)

    while True:
        by_key: dict[bytes, list[ConsumerRecord]] = {}
        for records in (await consumer.getmany(timeout_ms=50, max_records=_FETCH_CAP)).values():
            for record in records:
                by_key.setdefault(record.key, []).append(record)
        if by_key:
            await asyncio.gather(*(in_order(records) for records in by_key.values()))
            await consumer.commit()


async def main(given: Given, stop: asyncio.Event) -> None:
    pools = {"pool_size": given.concurrency, "max_overflow": 8}
    config = DBOSConfig(
        name="peer",
        system_database_url=given.dsn,
        sys_db_pool_size=given.concurrency,
        db_engine_kwargs={"pool_pre_ping": False},  # a ping at each checkout is a round trip more
        log_level="ERROR",
    )
    DBOS(config=config)
    datasource = await AsyncSQLAlchemyDatasource.create(given.dsn, engine_kwargs=pools)
    workflow = workflow_of(datasource)
    DBOS.launch()
    consumer = AIOKafkaConsumer(
        given.inputs_topic,
        bootstrap_servers=given.bootstrap,
        group_id=given.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    producer = producer_of(given)
    _TOLD["publish"] = producer, given
    await producer.start()
    await consumer.start()
    try:
        await until(stop, consume(given, consumer, workflow))
    finally:
        await consumer.stop()
        await producer.stop()
        DBOS.destroy()


if __name__ == "__main__":
    run(main)
