"""What the relay sends, in a trace: each entry of the log is a span, in the trace that its row was stored in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import orjson

from schemas import channels
from service.store.log import Entry, Logged
from service.telemetry import traces
from service.telemetry.traces import NONE, Span


@contextmanager
def sending(entries: Sequence[Entry], prefix: str) -> Iterator[Sequence[Span]]:
    """A span for each entry that is in a trace, as long as the block lasts."""
    spans = [_begin(entry, prefix) for entry in entries] if traces.are_on() else [NONE] * len(entries)
    try:
        yield spans
    except BaseException as error:
        for span in spans:
            span.end(error)
        raise
    for span in spans:
        span.end()


def _begin(entry: Entry, prefix: str) -> Span:
    if not isinstance(entry, Logged) or entry.trace is None:
        return NONE
    parent = orjson.loads(entry.trace).get("traceparent")
    if parent is None:
        return NONE
    topic = prefix + channels.TRANSITIONS.topic
    attributes: traces.Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(entry.shard),
        "messaging.batch.message_count": 2 + (entry.sync_request is not None),
        "regrant.connector_id": entry.connector,
        "regrant.version": entry.version,
    }
    return traces.begin(f"send {topic}", "PRODUCER", parent=parent, attributes=attributes)
