"""Traces: one re-authorisation is one trace, from the failed sync's record until data flows, and holds no secret."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.http.access import access_log, runner_of, traced
from service.telemetry import traces
from service.telemetry.logs import _trace_ids
from tests.loop import eventually
from tests.markers import leaks
from tests.planted.marking import MARKER
from tests.window import Services

TRACE, ENGINE_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{ENGINE_SPAN}-01"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What was traced in this test."""
    exporter = InMemorySpanExporter()
    end = traces.set_up(None, exporter)
    yield exporter
    end()


class Trace:
    """The spans of one trace, by what they are called and whose children they are."""

    def __init__(self, spans: tuple[ReadableSpan, ...]) -> None:
        self.spans = [span for span in spans if f"{span.get_span_context().trace_id:032x}" == TRACE]
        self._by_id = {span.get_span_context().span_id: span for span in self.spans}

    def way(self, name: str, trigger: str | None = None) -> list[str]:
        """The names from that span up to the trace's first."""
        span = next(
            span
            for span in self.spans
            if span.name.startswith(name) and trigger in (None, (span.attributes or {}).get("regrant.trigger"))
        )
        names = []
        while span is not None:
            attributes = span.attributes or {}
            trigger_ = attributes.get("regrant.trigger")
            names.append(f"process {trigger_}" if span.name.startswith("process ") else span.name)
            parent = span.parent
            span = self._by_id.get(parent.span_id) if parent else None  # type: ignore[assignment]
        return names


async def test_one_re_authorisation_is_one_trace(services: Services, exporter: InMemorySpanExporter) -> None:
    async with services() as service:
        loop = service.loop
        id_ = await service.connected()
        await loop.take_over()
        await loop.say(id_, channels.SYNC_SUCCEEDED, generation=1)
        await loop.state(id_, State.HEALTHY)
        failure = {"generation": 1, "reason": Reason.TOKEN_REFUSED}
        await loop.produce(
            channels.SYNC_EVENTS, id_, channels.SYNC_FAILED.type, failure, more={"ce_traceparent": PARENT}
        )
        await loop.state(id_, State.FAILED)
        _, browser, callback = await service.back(id_)
        await browser.get(callback)
        await loop.state(id_, State.SYNCING)
        await loop.say(id_, channels.SYNC_SUCCEEDED, generation=2)  # by an engine that knows nothing of traces
        await loop.state(id_, State.HEALTHY)

        def trace() -> Trace:
            return Trace(exporter.get_finished_spans())

        sent = loop.topics.prefix + channels.TRANSITIONS.topic
        await eventually(
            lambda: sum(span.name == f"send {sent}" for span in trace().spans) == 5, "all five transitions are sent"
        )
        done = trace()
        opened = ["apply start_reauth", "POST /v1/connectors/{connector_id}/attempts", "process sync_failed"]
        verifying = ["job verify", "apply grant_received", "GET /oauth/callback/{context}", *opened]
        assert done.way("POST /connect/{handoff}") == ["POST /connect/{handoff}", *opened]
        assert done.way("apply verified") == ["apply verified", *verifying]
        assert done.way("process", "sync_succeeded") == ["process sync_succeeded", "apply verified", *verifying]
        (first,) = (s for s in done.spans if (s.attributes or {}).get("regrant.trigger") == "sync_failed")
        assert first.parent is not None and f"{first.parent.span_id:016x}" == ENGINE_SPAN
        outbound = [span for span in done.spans if span.name in ("GET", "POST")]
        assert {(span.attributes or {})["regrant.endpoint"] for span in outbound} >= {"token", "api"}
        kinds = Counter(span.kind.name for span in done.spans)
        assert kinds["CONSUMER"] == 2 and kinds["SERVER"] == 3 and kinds["PRODUCER"] == 5
        assert sum(span.name == "BATCH connector" for span in done.spans) >= 5

        # What is published goes on in the trace, so the host's own spans do.
        async with loop.topics.followed():
            await eventually(lambda: len(loop.topics.records[channels.SYNC_REQUESTS.topic][id_]) == 2, "published")
        headers = dict(loop.topics.records[channels.SYNC_REQUESTS.topic][id_][-1].headers)
        assert headers["ce_traceparent"].decode().split("-")[1] == TRACE

        said = "".join(span.to_json() for span in exporter.get_finished_spans())
        assert not leaks(said.encode()) and browser.cookies
        assert not any(secret in said for secret in (callback, *browser.cookies.values()))


def test_s25_a_span_tells_no_secret_and_of_an_error_only_its_kind(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="token"), traces.span("x") as span:
        span.tell({"regrant.url": f"https://a:{MARKER}@b/?code={MARKER}", "regrant.nothing": None})
        raise ValueError(f"token={MARKER}")
    (made,) = exporter.get_finished_spans()
    assert MARKER not in made.to_json()
    assert (made.attributes or {})["error.type"] == "ValueError" and not made.events


def test_a_line_of_the_log_that_is_written_in_a_span_names_it(exporter: InMemorySpanExporter) -> None:
    logger = logging.getLogger()
    assert "trace_id" not in _trace_ids(logger, "info", {})
    with traces.span("outer", parent=PARENT), traces.span("inner") as inner:
        line = _trace_ids(logger, "info", {"event": "x"})
    assert line == {"event": "x", "trace_id": TRACE, "span_id": inner.traceparent and inner.traceparent.split("-")[2]}


async def test_a_batch_of_many_is_linked_to_all_of_them(exporter: InMemorySpanExporter) -> None:
    parts = [traces.begin("part"), traces.begin("part", parent=PARENT)]
    traces.begin("whole", links=[part.traceparent for part in parts]).end()
    (whole,) = exporter.get_finished_spans()
    assert whole.parent is None
    assert [f"{link.context.trace_id:032x}" for link in whole.links][1] == TRACE


async def test_a_request_belongs_to_its_caller_s_trace_and_its_line_says_so(exporter: InMemorySpanExporter) -> None:
    app = web.Application(middlewares=[traced, access_log])
    app.router.add_get("/connect/{handoff}", _answered)
    runner = runner_of(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        import aiohttp

        address = f"http://127.0.0.1:{runner.addresses[0][1]}/connect/{MARKER}"
        async with aiohttp.ClientSession() as session:
            for given in (PARENT, "00-nonsense", ""):
                with capture_logs(processors=[_trace_ids]) as lines:
                    await session.get(f"{address}?code={MARKER}", headers={"traceparent": given})
                made = exporter.get_finished_spans()[-1]
                trace_id = f"{made.get_span_context().trace_id:032x}"
                assert made.name == "GET /connect/{handoff}" and (trace_id == TRACE) == (given == PARENT)
                assert [line["trace_id"] for line in lines if line["event"] == "request"] == [trace_id]
                assert MARKER not in made.to_json()
    finally:
        await runner.cleanup()


async def _answered(request: web.Request) -> web.Response:
    return web.Response(status=201)


async def test_traces_go_by_otlp_over_http_to_where_the_settings_say() -> None:
    received: list[ExportTraceServiceRequest] = []

    async def take(request: web.Request) -> web.Response:
        received.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = runner_of(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        end = traces.set_up(f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces")
        try:
            with traces.span("job verify", parent=PARENT):
                pass
        finally:
            await asyncio.to_thread(end)  # sends what is left
    finally:
        await runner.cleanup()
    (resource,) = (one for request in received for one in request.resource_spans)
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"] == "regrant"
    (span,) = (span for scope in resource.scope_spans for span in scope.spans)
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("job verify", TRACE, ENGINE_SPAN)


def test_without_an_address_nothing_is_traced_and_everything_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    traces.set_up(None)()
    assert not traces.are_on()
    with traces.span("x", parent=PARENT) as span:
        span.tell({"a": 1})
        assert span.traceparent is None and traces.current() is None and traces.ids() == {}
    assert traces.are_wanted(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})


def test_without_opentelemetry_a_wish_for_traces_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with pytest.raises(traces.TracesMissing, match="the extra `otel`"):
        traces.set_up("http://127.0.0.1:4318/v1/traces")
