"""From an entry of the log to the records that are published for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import orjson

from schemas import channels
from schemas.channels import Message
from schemas.dead_letters import DeadLetterHeader
from schemas.ids import Shard
from schemas.value import value
from service.kafka.cloudevents import Header, constant_headers, context_headers
from service.store.log import DeadLetter, Entry, Logged


@value()
class Published:
    """A record as it goes out. A value of `None` is a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


@dataclass(frozen=True, slots=True)
class Publication:
    """How a deployment names what it publishes."""

    prefix: str
    """What stands before every topic's name."""
    public_url: str
    """Where the documents that `dataschema` points to are served."""

    def records_of(self, entry: Entry, traceparent: str | None = None) -> list[Published]:
        """The records of one entry of the log, in the order in which they are sent.

        `traceparent` is of the span that sends them, where there is one; else they have the entry's own.
        """
        return [self._dead_letter(entry)] if isinstance(entry, DeadLetter) else self._transition(entry, traceparent)

    def relay_of(self, shard: Shard) -> str:
        """The transactional id of whoever publishes a shard: there is one at a time."""
        return f"{self.prefix}regrant-relay-{shard}"

    def state_of(self, entry: Logged) -> Published:
        """The snapshot alone, which the compacted topic holds."""
        return self._state(entry, _context(entry))

    def _transition(self, entry: Logged, traceparent: str | None) -> list[Published]:
        context = _context(entry, traceparent)
        published = [
            self._event(channels.TRANSITIONS.topic, channels.TRANSITION, entry, entry.record, context),
            self._state(entry, context),
        ]
        if entry.sync_request is not None:
            topic, message = channels.SYNC_REQUESTS.topic, channels.SYNC_REQUEST
            published.append(self._event(topic, message, entry, entry.sync_request, context))
        return published

    def _state(self, entry: Logged, context: Sequence[Header]) -> Published:
        data = None if entry.deleted else entry.state
        return self._event(channels.STATES.topic, channels.STATE, entry, data, context)

    def _event(
        self, topic: str, message: Message, entry: Logged, data: str | None, context: Sequence[Header]
    ) -> Published:
        event_id = f"{entry.connector}/{entry.version}/{message.name}"
        headers = [*_constants(message, self.public_url, data is None), ("ce_id", event_id.encode()), *context]
        return Published(self.prefix + topic, entry.connector.encode(), data.encode() if data else None, headers)

    def _dead_letter(self, entry: DeadLetter) -> Published:
        """The record as it came, bytes untouched, with where it came from and what is wrong beside its own headers."""
        told = {
            DeadLetterHeader.CODE: entry.code,
            DeadLetterHeader.DETAIL: entry.detail,
            DeadLetterHeader.TOPIC: entry.topic,
            DeadLetterHeader.PARTITION: str(entry.partition),
            DeadLetterHeader.OFFSET: str(entry.offset),
            DeadLetterHeader.FIRST_SEEN: entry.at.isoformat(),
        }
        headers = [*entry.headers, *((name.value, value.encode()) for name, value in told.items())]
        return Published(f"{entry.topic}.dlq", entry.key, entry.value, headers)


def _context(entry: Logged, traceparent: str | None = None) -> Sequence[Header]:
    """What all records of an entry say of where they come from."""
    trace = orjson.loads(entry.trace) if entry.trace else {}
    return context_headers(
        source=f"/regrant/tenants/{entry.tenant}",
        subject=entry.connector,
        time=_written(entry.at),
        sequence=entry.version,
        traceparent=traceparent or trace.get("traceparent"),
        correlation_id=trace.get("correlationid"),
        causation_id=trace.get("causationid"),
    )


# A batch has one time, and there are few kinds of records.
_written = lru_cache(maxsize=16)(datetime.isoformat)


@lru_cache(maxsize=64)
def _constants(message: Message, public_url: str, tombstone: bool) -> tuple[Header, ...]:
    return constant_headers(message.type, message.dataschema(public_url), tombstone=tombstone)
