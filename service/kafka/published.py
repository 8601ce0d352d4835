"""From an entry of the log to the records that are published for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from schemas import channels
from schemas.channels import Message
from schemas.dead_letters import DeadLetterHeader
from service.kafka.cloudevents import Header, constant_headers, to_headers
from service.store.shards import Buried, Logged


@dataclass(frozen=True, slots=True)
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

    def records_of(self, entry: Logged | Buried) -> list[Published]:
        """The records of one entry of the log, in the order in which they are sent."""
        return [self._dead_letter(entry)] if isinstance(entry, Buried) else self._transition(entry)

    def _transition(self, entry: Logged) -> list[Published]:
        data = orjson.loads(entry.record)
        published = [self._event(channels.TRANSITIONS.topic, channels.TRANSITION, entry, data, entry.record)]
        state = None if entry.deleted else orjson.dumps(data["connector"])
        published.append(self._event(channels.STATES.topic, channels.STATE, entry, data, state))
        if entry.sync_request is not None:
            topic, message = channels.SYNC_REQUESTS.topic, channels.SYNC_REQUEST
            published.append(self._event(topic, message, entry, data, entry.sync_request))
        return published

    def _event(
        self, topic: str, message: Message, entry: Logged, data: dict[str, object], value: bytes | None
    ) -> Published:
        trace = orjson.loads(entry.trace) if entry.trace else {}
        headers = to_headers(
            constant_headers(message.type, message.dataschema(self.public_url), tombstone=value is None),
            id=f"{entry.connector}/{entry.version}/{message.name}",
            source=f"/regrant/tenants/{data['tenant_id']}",
            subject=entry.connector,
            time=datetime.fromisoformat(entry.at),
            sequence=entry.version,
            traceparent=trace.get("traceparent"),
            correlation_id=trace.get("correlationid"),
            causation_id=trace.get("causationid"),
        )
        return Published(self.prefix + topic, entry.connector.encode(), value, headers)

    def _dead_letter(self, entry: Buried) -> Published:
        """The record as it came, bytes untouched, with where it came from and what is wrong beside its own headers."""
        told = {
            DeadLetterHeader.CODE: entry.code,
            DeadLetterHeader.DETAIL: entry.detail,
            DeadLetterHeader.TOPIC: entry.topic,
            DeadLetterHeader.PARTITION: str(entry.partition),
            DeadLetterHeader.OFFSET: str(entry.offset),
            DeadLetterHeader.FIRST_SEEN: entry.at,
        }
        headers = [*entry.headers, *((name.value, value.encode()) for name, value in told.items())]
        return Published(f"{entry.topic}.dlq", entry.key, entry.value, headers)
