"""The relay: publishes a shard's log in order, behind a watermark.

The log is the outbox. What this process commits the relay gets from memory (the shard's tail), the rest it reads. After
a crash a part may be published again, never skipped; consumers drop repeats by the event's id. Each shard has a
transactional producer of its own for its fence alone: whoever takes the shard over fences the former relay, so that a
zombie's late repeat can't become the last record of a key in the compacted topic. Nothing relies on the transaction's
atomicity: a record of an aborted one is a true fact all the same.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError, OutOfOrderSequenceNumber, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas.ids import Shard
from service.engine.tail import Tail
from service.kafka.clients import stop
from service.kafka.published import Publication, Published
from service.kafka.sending import sending
from service.store.log import Entry, Watermark
from service.store.partitions import Position
from service.store.pool import TRANSIENT
from service.store.port import LogStore
from service.telemetry import metrics

log = structlog.get_logger()

PUBLISH_CAP = 1000
"""Log entries a transaction of Kafka's."""
FENCED_PAUSE_S = 1.0
SAVE_EVERY_S = 0.2
"""How soon the watermark is saved where no batch takes it along: what is behind it comes again after a kill."""
SAVE_LIMIT_S = 5.0
"""How long a relay that is told to stop may take over what it has begun."""
PUBLISH_LIMIT_S = 30.0
"""A producer that takes longer is stuck (aiokafka #1017): a new one takes its place."""
POLL_S = 1.0
"""How often the log is looked at without a signal: what another process committed is usually notified."""

MakeProducer = Callable[[str], AIOKafkaProducer]
"""Makes a producer for a transactional id."""


@dataclass(slots=True)
class Relay:
    """Publishes one shard's log while this process owns the shard."""

    shard: Shard
    store: LogStore
    publication: Publication
    make_producer: MakeProducer
    tail: Tail

    async def run(self) -> None:
        """Publishes until cancelled, which it is when the shard goes to another process.

        One that was fenced while the group still gives us the shard takes it back: only one of the two stays.
        """
        pause = 0.2
        while True:
            try:
                await self._own()
                _end_if_cancelled()
                await asyncio.sleep(FENCED_PAUSE_S)
                pause = 0.2
            except (KafkaError, IllegalOperation, OutOfOrderSequenceNumber, *TRANSIENT) as error:
                # A producer that lost its sequence or its transaction never mends itself: make a new one.
                _end_if_cancelled()
                metrics.RELAY_RESTARTS.labels("database" if isinstance(error, TRANSIENT) else "broker").inc()
                log.warning("relay_restarts", shard=self.shard, error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5)

    async def _own(self) -> None:
        producer = self.make_producer(self.publication.relay_of(self.shard))
        try:
            await producer.start()  # raises the producer epoch: the former relay is fenced from here on
            position = await self.store.claim_relay(self.shard)
            self.tail.follow(Watermark(self.shard, position.epoch, position.at))
            await self._follow(producer, position)
        except ProducerFenced:
            metrics.RELAY_RESTARTS.labels("fenced").inc()
            log.info("relay_fenced", shard=self.shard)
        finally:
            self.tail.follow(None)
            await stop(producer)

    async def _follow(self, producer: AIOKafkaProducer, position: Position) -> None:
        """Publishes until somebody else has taken the shard over."""
        at = saved = position.at
        clock = asyncio.get_running_loop().time
        save_at = clock() + SAVE_EVERY_S
        try:
            while True:
                entries = self.tail.take(at, PUBLISH_CAP)
                if not entries and self.tail.must_read():
                    entries = await self._read(at)
                if entries:
                    told_to_stop = await _to_its_end(self._publish(producer, entries))
                    at = entries[-1].seq
                    self.tail.published = Watermark(self.shard, position.epoch, at)
                    if told_to_stop:
                        raise asyncio.CancelledError
                    is_quiet = False
                else:
                    is_quiet = not await self.tail.grew(SAVE_EVERY_S if at > saved else POLL_S)
                if is_quiet:
                    self.tail.wake()
                if at > saved and (is_quiet or clock() >= save_at):
                    if not await self.store.move_watermark(self.shard, position.epoch, at):
                        log.info("relay_replaced", shard=self.shard)
                        return
                    saved, save_at = at, clock() + SAVE_EVERY_S
        except asyncio.CancelledError:
            if at > saved:  # else the next relay would publish it again
                with suppress(*TRANSIENT):
                    async with asyncio.timeout(SAVE_LIMIT_S):
                        await self.store.move_watermark(self.shard, position.epoch, at)
            raise

    async def _read(self, after: int) -> list[Entry]:
        try:
            entries = await self.store.unpublished(self.shard, after, PUBLISH_CAP)
        except BaseException:
            self.tail.wake()  # it must be read all the same
            raise
        if entries:
            self.tail.wake()  # there may be more
        return entries

    async def _publish(self, producer: AIOKafkaProducer, entries: Sequence[Entry]) -> None:
        with sending(entries, self.publication.prefix) as spans:
            records = [
                record
                for entry, span in zip(entries, spans, strict=True)
                for record in self.publication.records_of(entry, span.traceparent)
            ]
            await publish(producer, self.shard, records)
        metrics.PUBLISHED.inc(len(entries))


async def publish(producer: AIOKafkaProducer, shard: Shard, records: Sequence[Published]) -> None:
    """Writes records to the shard's partition of their topics, in order, in one transaction."""
    async with asyncio.timeout(PUBLISH_LIMIT_S):
        # Never aborted by us: whoever fails here gets a new producer, whose start ends the transaction.
        await producer.begin_transaction()
        sent = []
        for topic, batch in _batches(producer, records):
            sent.append(await producer.send_batch(batch, topic, partition=int(shard)))
        for answer in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
        await producer.commit_transaction()


def _end_if_cancelled() -> None:
    """A cancelled relay's last call may raise something of Kafka's instead: it must end all the same."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _to_its_end(publishing: Coroutine[object, object, None]) -> bool:
    """Lets what is being published end when we are cancelled: an open transaction would hold up its readers.

    Returns whether we were; raises what the publishing raises, `CancelledError` where it doesn't end in time.
    """
    task = asyncio.ensure_future(publishing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=SAVE_LIMIT_S)
        task.cancel()
        await task
        return True
    return False


def _batches(producer: AIOKafkaProducer, records: Sequence[Published]) -> list[tuple[str, BatchBuilder]]:
    """The records as full batches a topic, in order. `append` refuses without a word when a batch is full."""
    batches: list[tuple[str, BatchBuilder]] = []
    open_: dict[str, BatchBuilder] = {}
    for record in records:
        batch = open_.get(record.topic)
        if batch is None or not _fits(batch, record):
            batch = producer.create_batch()
            open_[record.topic] = batch
            batches.append((record.topic, batch))
            _fits(batch, record)  # an empty batch takes any record
    for _, batch in batches:
        batch.close()
    return batches


def _fits(batch: BatchBuilder, record: Published) -> bool:
    appended = batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
    return appended is not None
