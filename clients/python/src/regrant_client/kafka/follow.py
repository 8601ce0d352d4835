"""Followers of the topics: async iterators that drop repeats, see gaps, and go on where they were.

At least once: a record counts as handled when the next one is asked for, or when the block is left without an error.
What was handled is committed every second, before partitions go to another consumer, and at the end. A consumer that
silently stops is found, and made anew.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from pydantic import BaseModel, ValidationError

from regrant_client.kafka.deliveries import Delivery, Known, Remembered
from regrant_client.kafka.stalled import Stalled
from regrant_client.problem import Unreadable
from regrant_client.records import ConnectorState, SyncRequest, Transition

log = logging.getLogger(__name__)

Data = TypeVar("Data")
COMMIT_EVERY_S = 1.0
WAIT_MS = 200
STOP_LIMIT_S = 10.0


class Follower(Generic[Data]):
    """Follows one topic inside `async with`, by `async for`.

    With a `group_id`, several processes share the topic and each goes on where its group was; without one, this
    process reads all of it from its beginning, every time. `known` tells which version of a connector the host has
    stored already, so that repeats are dropped and gaps seen over restarts, too. `options` go to aiokafka.
    """

    topic: str
    kind: str
    model: type[BaseModel]
    has_every_version = True
    """Whether a version that is missing is a gap. A compacted topic leaves some out, and not each has a request."""

    def __init__(
        self,
        bootstrap_servers: str,
        group_id: str | None,
        *,
        topic_prefix: str = "",
        known: Known | None = None,
        **options: Any,  # Any: aiokafka's own
    ) -> None:
        self._topic, self._known, self._group = topic_prefix + self.topic, known, group_id
        # How soon a topic is seen that is made later than this.
        usual: dict[str, Any] = {"auto_offset_reset": "earliest", "metadata_max_age_ms": 30_000}
        self._options = {**usual, **options, "bootstrap_servers": bootstrap_servers}
        self._consumer: Any = None  # Any: aiokafka has no types
        self._waiting: deque[tuple[TopicPartition, ConsumerRecord]] = deque()
        self._remembered: dict[TopicPartition, Remembered] = {}
        self._given: tuple[TopicPartition, int] | None = None
        self._handled: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._stalled = Stalled()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._is_handled()
            await self._commit()
        finally:
            await self._consumer.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery[Data]:
        """The next record that is no repeat; the one before it counts as handled.

        Raises `Unreadable`, and stays there: a newer client will read it.
        """
        self._is_handled()
        while True:
            if time.monotonic() - self._committed_at >= COMMIT_EVERY_S:
                await self._commit()
            while self._waiting:
                partition, record = self._waiting[0]
                delivery = await self._delivery(partition, record)
                if self._waiting and self._waiting[0][1] is record:  # else the partition went to another meanwhile
                    self._given = (partition, self._waiting.popleft()[1].offset + 1)
                if delivery is not None:
                    return delivery
                self._is_handled()
            fetched = await self._consumer.getmany(timeout_ms=WAIT_MS)
            for partition, records in fetched.items():
                self._waiting.extend((partition, record) for record in records)
            if not fetched and await self._stalled.is_so(self._consumer):
                await self._begin_anew()

    async def lost(self, partitions: Collection[TopicPartition]) -> None:
        """Partitions go to another consumer: what was handled of them is committed, the rest is its."""
        await self._commit()
        self._waiting = deque(one for one in self._waiting if one[0] not in partitions)
        if self._given is not None and self._given[0] in partitions:
            self._given = None  # it may come again, there
        for partition in partitions:
            self._remembered.pop(partition, None)
            self._handled.pop(partition, None)

    async def _begin(self) -> None:
        self._consumer = AIOKafkaConsumer(group_id=self._group, enable_auto_commit=False, **self._options)
        self._consumer.subscribe([self._topic], listener=_Rebalance(self))
        self._stalled = Stalled()
        await self._consumer.start()

    async def _begin_anew(self) -> None:
        """Another consumer goes on in place of one that has silently stopped. What comes again by it is dropped."""
        log.warning("the consumer of %s has stopped without a word, and is made anew", self._topic)
        with suppress(KafkaError, TimeoutError):  # the old one may be past even this
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._commit()
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._consumer.stop()
        await self._begin()

    def _is_handled(self) -> None:
        if self._given is not None:
            partition, offset = self._given
            self._handled[partition], self._given = offset, None

    async def _commit(self) -> None:
        self._committed_at = time.monotonic()
        handled, self._handled = self._handled, {}
        if not handled or self._group is None:
            return
        # The partitions may be another consumer's by now, who is told again what wasn't committed.
        with suppress(CommitFailedError, IllegalStateError):
            await self._consumer.commit(handled)

    async def _delivery(self, partition: TopicPartition, record: ConsumerRecord) -> Delivery[Data] | None:
        headers = {name: raw.decode() for name, raw in record.headers if raw is not None}
        if headers.get("ce_type") != self.kind:
            return None  # a kind that a newer regrant adds
        try:
            connector, version = record.key.decode(), int(headers["ce_sequence"])
            data = self._data(record.value)
            at = datetime.fromisoformat(headers["ce_time"])
        except (ValidationError, ValueError, KeyError, AttributeError):
            raise Unreadable(f"{partition.topic}[{partition.partition}]@{record.offset} is no {self.kind}") from None
        remembered = self._remembered.setdefault(partition, Remembered(self._known))
        is_repeat, gap = await remembered.judge(connector, version)
        if is_repeat:
            return None
        remembered.remember(connector, version)
        gap = gap if self.has_every_version else None
        return Delivery(connector, version, data, headers.get("ce_id", ""), at, gap, headers.get("ce_traceparent"))

    def _data(self, value: bytes | None) -> Any:  # Any: a model, or nothing, as the subclass says
        return self.model.model_validate_json(value or b"")


class Transitions(Follower[Transition]):
    """Every transition of every connector, in order for each connector."""

    topic = "connectors.auth.transitions.v1"
    kind = "io.regrant.connector.transition.v1"
    model = Transition


class States(Follower[ConnectorState | None]):
    """The newest state of each connector; `data` is `None` once it is deleted."""

    topic = "connectors.auth.state.v1"
    kind = "io.regrant.connector.state.v1"
    model = ConnectorState
    has_every_version = False

    def _data(self, value: bytes | None) -> ConnectorState | None:
        return None if value is None else ConnectorState.model_validate_json(value)


class SyncRequests(Follower[SyncRequest]):
    """Syncs that the host's engine should start now."""

    topic = "connectors.sync.requests.v1"
    kind = "io.regrant.sync.requested.v1"
    model = SyncRequest
    has_every_version = False


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Tells a follower what it loses."""

    def __init__(self, follower: Follower[Any]) -> None:
        self._follower = follower

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._follower.lost(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        pass
