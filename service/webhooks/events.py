"""What an endpoint is told: from a row of the log to events, each with its id, its type and its body.

The body is Standard Webhooks' envelope; its data is that of the record on the topic, byte for byte.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from schemas import channels
from schemas.channels import Message
from schemas.ids import TenantId
from service.couriers.endpoint import record_with_notice
from service.store.couriers import LogRow


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell."""

    id: str
    """The same each time it is sent."""
    body: bytes = field(repr=False)
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an endpoint wants to be told."""

    kinds: frozenset[str]
    tenants: frozenset[TenantId] = frozenset()
    """Empty for everybody's."""

    def events_of(self, row: LogRow) -> Iterator[Event]:
        """What is told of a transition, in the order in which it is sent; often nothing."""
        if self.tenants and row.tenant not in self.tenants:
            return
        if "transitions" in self.kinds or ("notices" in self.kinds and record_with_notice(row) is not None):
            yield _event(row, channels.TRANSITION, "transition", row.record)
        if "sync_requests" in self.kinds and row.sync_request is not None:
            yield _event(row, channels.SYNC_REQUEST, "sync_request", row.sync_request)


def _event(row: LogRow, message: Message, kind: str, data: str) -> Event:
    cloud_id = f"{row.connector}/{row.version}/{message.name}"
    head = {"type": message.type, "timestamp": row.at.isoformat(), "id": cloud_id}
    body = b"%s,%s" % (orjson.dumps(head)[:-1], b'"data":%s}' % data.encode())
    trace = orjson.loads(row.trace) if row.trace else {}
    # A full stop would blur where the id ends in what is signed (Standard Webhooks 1.0.0, signature scheme).
    return Event(f"{row.connector}/{row.version}/{kind}".replace(".", "%2E"), body, trace.get("traceparent"))
