"""Traces: one trace is one re-authorisation, from the failed sync's record until data flows again.

Spans are made here, by OpenTelemetry, where traces are wanted; else everything here does nothing, and OpenTelemetry
isn't even imported. What ties a span to what came before is the text of W3C Trace Context, `traceparent`, which goes
from record to row to record. Names and attributes follow OpenTelemetry's semantic conventions; ours begin with
`regrant.`.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias

from service.telemetry.redaction import redacted_text

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

Kind: TypeAlias = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
Attributes: TypeAlias = Mapping[str, str | int | float | bool | None]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_tracer: "Tracer | None" = None


class TracesMissing(Exception):
    """Traces are wanted, and what makes them isn't installed. The text is for the operator."""


def are_wanted(endpoint: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is somewhere for traces to go."""
    return endpoint is not None or any(environ.get(name) for name in _ENDPOINTS)


def missing() -> str | None:
    """What of the packages that make traces isn't installed, as a sentence."""
    for module in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"traces need the extra `otel` of regrant: {module} isn't installed"
    return None


def set_up(endpoint: str | None, exporter: "SpanExporter | None" = None) -> Callable[[], None]:
    """Makes spans from here on, where they are wanted. What is returned sends the last ones and ends it.

    `exporter` takes the place of OTLP, at once and without a batch: for tests. Raises `TracesMissing`.
    """
    if exporter is None and not are_wanted(endpoint):
        return _nothing_to_end
    if (lacking := missing()) is not None:
        raise TracesMissing(lacking)
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    service = {SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", "regrant"), SERVICE_VERSION: version("regrant")}
    provider = TracerProvider(resource=Resource.create(service), shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    global _tracer
    _tracer = provider.get_tracer("regrant", version("regrant"))

    def end() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return end


def _nothing_to_end() -> None:
    """No traces were wanted."""


def are_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


@dataclass(frozen=True, slots=True)
class Span:
    """A span that was begun, or the place of one where none is made."""

    made: "OtelSpan | None" = None

    @property
    def traceparent(self) -> str | None:
        """What makes another span the child of this one."""
        if self.made is None:
            return None
        context = self.made.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def tell(self, attributes: Attributes) -> None:
        """Adds attributes; texts are redacted as in logs."""
        if self.made is not None:
            for name, value in attributes.items():
                if value is not None:
                    self.made.set_attribute(name, redacted_text(value) if isinstance(value, str) else value)

    def end(self, error: BaseException | None = None) -> None:
        """Ends it. Of an error it tells the kind, never its text."""
        if self.made is None:
            return
        if error is not None:
            from opentelemetry.trace import StatusCode

            self.made.set_attribute("error.type", type(error).__name__)
            self.made.set_status(StatusCode.ERROR)
        self.made.end()


NONE = Span()


def begin(
    name: str,
    kind: Kind = "INTERNAL",
    *,
    parent: str | None = None,
    links: Sequence[str | None] = (),
    attributes: Attributes | None = None,
    began_ns: int | None = None,
) -> Span:
    """Begins a span, as a child of `parent` or else the root of a trace. Whoever begins it ends it."""
    if _tracer is None:
        return NONE
    from opentelemetry import trace

    made = _tracer.start_span(
        name,
        context=_context(parent),
        kind=trace.SpanKind[kind],
        links=[trace.Link(trace.get_current_span(_context(link)).get_span_context()) for link in links if link],
        start_time=began_ns,
    )
    span_ = Span(made)
    span_.tell(attributes or {})
    return span_


@contextmanager
def span(
    name: str, kind: Kind = "INTERNAL", *, parent: str | None = None, attributes: Attributes | None = None
) -> Iterator[Span]:
    """A span as long as the block lasts, by default as a child of the one around it."""
    if _tracer is None:
        yield NONE
        return
    begun = begin(name, kind, parent=parent or current(), attributes=attributes)
    with _inside(begun):
        yield begun


@contextmanager
def _inside(begun: Span) -> Iterator[None]:
    token = _current.set(begun)
    try:
        yield
    except BaseException as error:
        begun.end(error)
        raise
    else:
        begun.end()
    finally:
        _current.reset(token)


_current: ContextVar[Span] = ContextVar("regrant-span", default=NONE)


def current() -> str | None:
    """The `traceparent` of the span that surrounds us, if there is one."""
    if _tracer is None:
        return None
    if (around := _current.get()).made is not None:
        return around.traceparent
    serving_ = _serving.get()
    return serving_.begun().traceparent if serving_ is not None else None


def ids() -> dict[str, str]:
    """The ids of the span that surrounds us, for a line of the log. Begins none."""
    if _tracer is None:
        return {}
    around = _current.get()
    if around.made is None and (serving_ := _serving.get()) is not None:
        around = serving_.span
    if around.traceparent is None:
        return {}
    _, trace_id, span_id, _ = around.traceparent.split("-")
    return {"trace_id": trace_id, "span_id": span_id}


@dataclass(slots=True)
class Serving:
    """A request that is being served. Its span begins late: whose trace it belongs to is known once it is read.

    A caller's own `traceparent` counts. Else the request joins the re-authorisation that it turns out to be about.
    """

    name: str
    parent: str | None
    attributes: Attributes
    began_ns: int = field(default_factory=time.time_ns)
    span: Span = NONE

    def join(self, traceparent: str | None) -> None:
        """The request is about what that belongs to."""
        if self.parent is None and self.span is NONE:
            self.parent = traceparent

    def begun(self) -> Span:
        """Its span, which belongs to a trace from here on."""
        if self.span is NONE:
            self.span = begin(
                self.name, "SERVER", parent=self.parent, attributes=self.attributes, began_ns=self.began_ns
            )
        return self.span


_serving: ContextVar[Serving | None] = ContextVar("regrant-serving", default=None)


@contextmanager
def serving(name: str, traceparent: str | None, attributes: Attributes) -> Iterator[Serving]:
    """Around the handling of a request."""
    request = Serving(name, traceparent, attributes)
    token = _serving.set(request)
    try:
        yield request
    except BaseException as error:
        request.begun().end(error)
        raise
    else:
        request.begun().end()
    finally:
        _serving.reset(token)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an input comes from, as far as its trace goes: kept while it waits for its batch."""

    began_ns: int
    parent: str | None
    serving: Serving | None

    def joined(self, traceparent: str | None) -> str | None:
        """The parent of what is done with the input, which is about what `traceparent` belongs to."""
        if self.parent is None and self.serving is not None:
            self.serving.join(traceparent)
            return self.serving.begun().traceparent
        return self.parent or traceparent


def origin() -> Origin | None:
    """Of an input that is handed in here; `None` where no spans are made."""
    if _tracer is None:
        return None
    return Origin(time.time_ns(), _current.get().traceparent, _serving.get())


def join(traceparent: str | None) -> None:
    """The request that is being served is about what that belongs to."""
    if (serving_ := _serving.get()) is not None:
        serving_.join(traceparent)


def _context(traceparent: str | None) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent or ""}, context=Context())
