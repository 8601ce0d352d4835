"""FastStream, SQLAlchemy's async ORM and transitions' AsyncMachine, one event at a time for each partition.

As the three are documented: a subscriber that acknowledges after its handler, a session and a transaction an event, a
model whose triggers are methods, and a publish once the transaction has committed.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import orjson
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from sqlalchemy import BigInteger, DateTime, Enum, Identity, Sequence, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from transitions.extensions.asyncio import AsyncMachine

from benchmarks.peers.child import Given, run, until
from benchmarks.peers.lifecycle import Event, Moved, move, read
from benchmarks.peers.outbox import Entry, headers
from schemas.lifecycle import State, Trigger

_STATE = Enum(*(state.value for state in State), name="connector_state", create_type=False)
_TRIGGER = Enum(*(trigger.value for trigger in Trigger), name="connector_trigger", create_type=False)
_SEQ = Sequence("peer_seq")


class Base(DeclarativeBase):
    """Times have a zone."""

    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}


class Connector(Base):
    """The connector's row; it is also the machine's model, by its `state`."""

    __tablename__ = "connector"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    connector_id: Mapped[str]
    shard: Mapped[int]
    tenant_id: Mapped[str]
    provider: Mapped[str]
    name: Mapped[str]
    state: Mapped[str] = mapped_column(_STATE)
    version: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str | None]
    since: Mapped[datetime]
    deadline: Mapped[datetime | None]
    failed_since: Mapped[datetime | None]
    last_run: Mapped[datetime | None]
    last_success: Mapped[datetime | None]
    reminders: Mapped[int]


class Transition(Base):
    """A row of the log."""

    __tablename__ = "transition"

    shard: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, _SEQ, primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    connector: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)
    from_state: Mapped[str] = mapped_column(_STATE)
    to_state: Mapped[str] = mapped_column(_STATE)
    trigger: Mapped[str] = mapped_column(_TRIGGER)
    reason: Mapped[str | None]
    record: Mapped[str]


class Lifecycle:
    """What happens to one connector: the model of its machine."""

    def __init__(self, row: Connector, event: Event) -> None:
        self.row, self.event, self.moved = row, event, None
        self.moved: Moved | None
        self.machine = AsyncMachine(
            model=self,
            states=[State.HEALTHY.value, State.FAILED.value],
            initial=row.state,
            send_event=True,
            auto_transitions=False,
            transitions=[
                {"trigger": "sync_failed", "source": "healthy", "dest": "failed", "before": "take"},
                {"trigger": "sync_succeeded", "source": "failed", "dest": "healthy", "before": "take"},
                {"trigger": "sync_failed", "source": "failed", "dest": None, "before": "take"},
                {"trigger": "sync_succeeded", "source": "healthy", "dest": None, "before": "take"},
            ],
        )

    async def take(self, event_data: object) -> None:
        """What the transition does to the row."""
        names = ("state", "version", "reason", "since", "failed_since", "last_run", "last_success", "deadline")
        self.moved = move({**{name: getattr(self.row, name) for name in names}, **_facts(self.row)}, self.event)
        if self.moved is None:
            return
        self.row.revision += 1
        self.row.reminders = 0
        for name in names:
            setattr(self.row, name, getattr(self.moved, name))

    async def apply(self) -> Moved | None:
        trigger: Callable[[], Any] = getattr(self, self.event.trigger.value)
        await trigger()
        return self.moved


def _facts(row: Connector) -> dict[str, object]:
    return {"tenant_id": row.tenant_id, "provider": row.provider, "name": row.name}


async def main(given: Given, stop: asyncio.Event) -> None:
    url = given.dsn.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, pool_size=given.concurrency + 1, connect_args={"server_settings": {"jit": "off"}})
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    broker = KafkaBroker(given.bootstrap, acks="all", enable_idempotence=True, linger_ms=0, logger=None)

    @broker.subscriber(
        given.inputs_topic,
        group_id=given.group,
        auto_offset_reset="earliest",
        max_workers=given.concurrency,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        fetch_max_wait_ms=50,
        decoder=_undecoded,
        no_reply=True,
    )
    async def handle(body: bytes, message: KafkaMessage) -> None:
        raw = message.raw_message
        assert not isinstance(raw, tuple)
        event = read(raw.key, raw.value, raw.headers)
        async with sessions() as session, session.begin():
            found = select(Connector).where(Connector.connector_id == event.connector_id).with_for_update()
            row = (await session.execute(found)).scalar_one()
            before = row.state
            moved = await Lifecycle(row, event).apply()
            if moved is None or moved.record is None:
                return
            session.add(_logged(row, before, event, moved))
        await _publish(broker, given, row, moved)

    app = FastStream(broker, logger=None)
    try:
        await app.start()
        await until(stop)
    finally:
        await app.stop()
        await engine.dispose()


async def _undecoded(message: KafkaMessage) -> bytes:
    return message.body


def _logged(row: Connector, before: str, event: Event, moved: Moved) -> Transition:
    assert moved.record is not None
    return Transition(
        shard=row.shard,
        at=moved.since,
        connector=row.id,
        version=moved.version,
        from_state=before,
        to_state=moved.state.value,
        trigger=event.trigger.value,
        reason=moved.told,
        record=moved.record.decode(),
    )


async def _publish(broker: KafkaBroker, given: Given, row: Connector, moved: Moved) -> None:
    assert moved.record is not None
    entry = Entry(row.shard, row.connector_id, moved.version, row.tenant_id, moved.since.isoformat(), moved.record)
    state = orjson.dumps(orjson.loads(moved.record)["connector"])
    for topic, message, value in (
        (given.transitions_topic, "connector.transition.v1", entry.record),
        (given.states_topic, "connector.state.v1", state),
    ):
        said = {name: text.decode() for name, text in headers(entry, message)}
        await broker.publish(
            value, topic, key=row.connector_id.encode(), partition=row.shard, headers=said, no_confirm=True
        )


logging.disable(logging.WARNING)  # a line an event is a cost that nobody means


if __name__ == "__main__":
    run(main)
