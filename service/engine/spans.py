"""What a batch's inputs are in a trace: a span each, and one of the batch itself, which is linked to all of them.

An input belongs to the trace that its sender says, else to its connector's re-authorisation, which the log's newest row
knows. What only confirms that all is well begins no trace.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from schemas.ids import ConnectorId
from schemas.lifecycle import State, Trigger
from service.engine.fold import Work
from service.engine.submission import Submission
from service.store.batch import Batch, Loaded
from service.telemetry import traces
from service.telemetry.traces import Attributes, Span

Traceparents: TypeAlias = Callable[[Collection[int]], Awaitable[Mapping[int, str]]]
"""The `traceparent` of the newest row in the log of each of these connectors that has one."""

_AT_REST = (State.ABSENT, State.HEALTHY, State.DISCONNECTED, State.DELETED)
_ROUTINE = (Trigger.SYNC_STARTED, Trigger.SYNC_SUCCEEDED, Trigger.UPDATE)


@dataclass(frozen=True, slots=True)
class BatchSpans:
    """The spans of a batch that is being stored."""

    whole: Span
    inputs: Sequence[tuple[ConnectorId, Span]]

    def end(self, batch: Batch) -> None:
        """It is stored."""
        moved = {transition.connector: transition for transition in batch.transitions}
        for connector, span in self.inputs:
            if (transition := moved.get(connector)) is not None:
                span.tell({"regrant.from": transition.from_state, "regrant.to": transition.to_state})
            span.end()
        self.whole.end()


async def begin_spans(
    works: Sequence[Work], loaded: Mapping[ConnectorId, Loaded], began_ns: int, traceparents: Traceparents
) -> BatchSpans:
    """Begins them, and lets what is stored carry them on. A batch that is tried again keeps its inputs' spans."""
    under_way = {one.pk for one in loaded.values() if one.pk is not None and one.connector.state not in _AT_REST}
    known = await traceparents(under_way) if under_way else {}
    inputs = []
    for work in works:
        if isinstance(work.submission, Submission):
            one = loaded[work.submission.input.connector]
            if work.span is None:
                work.span = _begin(work, work.submission, one, known.get(one.pk or 0))
            if (traceparent := work.span.traceparent) is not None:
                trace = replace(work.submission.trace, traceparent=traceparent)
                work.submission = replace(work.submission, trace=trace)
                inputs.append((one.connector.id, work.span))
    parents = [span.traceparent for _, span in inputs]
    whole = (
        traces.begin(
            "BATCH connector",
            "CLIENT",
            parent=parents[0] if len(parents) == 1 else None,
            links=parents if len(parents) > 1 else (),
            attributes={
                "db.system.name": "postgresql",
                "db.operation.name": "BATCH",
                "db.operation.batch.size": len(works),
            },
            began_ns=began_ns,
        )
        if parents
        else traces.NONE
    )
    return BatchSpans(whole, inputs)


def _begin(work: Work, submission: Submission, loaded: Loaded, episode: str | None) -> Span:
    origin, record = work.origin, work.record
    own = submission.trace.traceparent if record is not None else None
    parent = own or (origin.joined(episode) if origin is not None else episode)
    if parent is None and submission.input.trigger in _ROUTINE:
        return traces.NONE
    about: Attributes = {"regrant.connector_id": loaded.connector.id, "regrant.trigger": submission.input.trigger}
    links = (episode,) if episode and parent and _trace_id(parent) != _trace_id(episode) else ()
    began_ns = origin.began_ns if origin else None
    if record is None:
        name = f"apply {submission.input.trigger}"
        return traces.begin(name, parent=parent, links=links, attributes=about, began_ns=began_ns)
    kafka: Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
    }
    name = f"process {record.topic}"
    return traces.begin(name, "CONSUMER", parent=parent, links=links, attributes={**about, **kafka}, began_ns=began_ns)


def _trace_id(traceparent: str) -> str:
    return traceparent.split("-")[1]
