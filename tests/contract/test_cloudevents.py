"""CloudEvents on Kafka, held against the official SDK: what it writes we read, what we write it reads."""

import base64
import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import DeadLetterCode
from service.kafka.cloudevents import BadRecord, CloudEvent, Header, constant_headers, context_headers, from_record

NOW = datetime(2026, 11, 24, 8, 30, 0, 123456, tzinfo=UTC)
SCHEMA = "https://regrant.example/schemas/connector.state.v1.schema.json"


def sdk_event(data: object = None, **attributes: object) -> SdkEvent:
    known = {
        "id": "e-1",
        "source": "/engine",
        "type": "io.regrant.sync.failed.v1",
        "subject": "acme.qbo-1",
        "time": NOW,
        "dataschema": SCHEMA,
        "datacontenttype": "application/json",
        "partitionkey": "acme.qbo-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    return SdkEvent(known | attributes, data)


def expected_event(data: bytes | None) -> CloudEvent:
    return CloudEvent(
        id="e-1",
        source="/engine",
        type="io.regrant.sync.failed.v1",
        subject="acme.qbo-1",
        time=NOW,
        dataschema=SCHEMA,
        data=data,
        extensions={
            "partitionkey": "acme.qbo-1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
    )


def our_headers(*, tombstone: bool = False) -> list[Header]:
    context = context_headers(
        source="/regrant/tenants/acme",
        subject="acme.qbo-1",
        time=NOW.isoformat(),
        sequence=7,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        correlation_id="e-0",
        causation_id="e-1",
    )
    constants = constant_headers("io.regrant.connector.state.v1", SCHEMA, tombstone=tombstone)
    return [*constants, ("ce_id", b"acme.qbo-1:7"), *context]


def kafka_key(message: sdk.KafkaMessage) -> bytes:
    return message.key.encode() if isinstance(message.key, str) else message.key or b""


@pytest.mark.parametrize("write", [sdk.to_binary, sdk.to_structured], ids=["binary", "structured"])
def test_an_event_that_the_sdk_wrote_is_read_as_it_was(write) -> None:
    data = {"reason": "rate_limited", "position": "ü-17", "nested": {"a": [1, 2.5, None, True]}}
    message = write(sdk_event(data), JSONFormat())

    event = from_record(kafka_key(message), message.value, list(message.headers.items()))

    assert json.loads(event.data) == data
    assert event == expected_event(event.data)


def test_a_structured_event_with_base64_data_is_read() -> None:
    message = sdk.to_structured(sdk_event(b'{"name":"New"}'), JSONFormat())
    assert b"data_base64" in message.value

    event = from_record(b"acme.qbo-1", message.value, list(message.headers.items()))

    assert event.data == b'{"name":"New"}'


def test_a_structured_event_without_data_has_none() -> None:
    value = {"specversion": "1.0", "id": "e-1", "source": "/engine", "type": "t"}

    event = from_record(
        None, json.dumps(value).encode(), [("content-type", b"application/cloudevents+json; charset=utf-8")]
    )

    assert event == CloudEvent("e-1", "/engine", "t")


def test_an_event_that_we_write_is_read_by_the_sdk_as_it_was() -> None:
    message = sdk.KafkaMessage(dict(our_headers()), b"acme.qbo-1", b'{"state":"healthy"}')

    event = sdk.from_binary(message, JSONFormat())

    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": "acme.qbo-1:7",
        "source": "/regrant/tenants/acme",
        "type": "io.regrant.connector.state.v1",
        "subject": "acme.qbo-1",
        "time": NOW,
        "dataschema": SCHEMA,
        "datacontenttype": "application/json",
        "partitionkey": "acme.qbo-1",
        "sequence": "0000000007",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "correlationid": "e-0",
        "causationid": "e-1",
    }
    assert event.get_data() == {"state": "healthy"}


def test_an_event_that_we_write_is_read_by_us_as_it_was() -> None:
    event = from_record(b"acme.qbo-1", b"{}", our_headers())

    assert (event.id, event.subject, event.time, event.data) == ("acme.qbo-1:7", "acme.qbo-1", NOW, b"{}")
    assert event.extensions["sequence"] == "0000000007"


def test_a_tombstone_has_all_attributes_and_no_value() -> None:
    headers = our_headers(tombstone=True)

    event = from_record(b"acme.qbo-1", None, headers)

    assert event.data is None
    assert event.type == "io.regrant.connector.state.v1"
    assert not {"content-type", "ce_dataschema"} & {name for name, _ in headers}


def test_the_sequences_of_a_connector_sort_as_strings_as_they_do_as_numbers() -> None:
    def sequence(version: int) -> bytes:
        written = context_headers(source="s", subject="c", time=NOW.isoformat(), sequence=version)
        return dict(written)["ce_sequence"]

    assert sequence(2) < sequence(10) < sequence(100_000)


def test_an_events_repr_holds_no_data() -> None:
    assert "secret" not in repr(CloudEvent("i", "s", "t", data=b"secret"))


# Anything at all may be on a topic.

NAMES = st.one_of(
    st.sampled_from(["ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "ce_subject", "content-type"]),
    st.text(max_size=12).map("ce_".__add__),
    st.text(max_size=12),
)
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"1.0",
            b"application/json",
            b"application/cloudevents+json",
            b"2026-11-24T08:30:00Z",
            b"9999-12-31T23:59:59-23:59",
        ]
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def read_or_refuse(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    try:
        event = from_record(key, value, headers)
    except BadRecord as bad:
        assert bad.code in (DeadLetterCode.MALFORMED, DeadLetterCode.WRONG_KEY)
        assert bad.detail
    else:
        assert event.id and event.source and event.type


@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=60),
    st.lists(st.tuples(NAMES, VALUES), max_size=9),
)
def test_any_record_at_all_is_an_event_or_a_bad_record(key, value, headers) -> None:
    read_or_refuse(key, value, headers)


COMPLETE = [("ce_specversion", b"1.0"), ("ce_id", b"i"), ("ce_source", b"/s"), ("ce_type", b"t")]


@given(st.binary(max_size=60), st.lists(st.tuples(NAMES, VALUES), max_size=3))
def test_any_header_beside_a_complete_event_is_read_or_refused(value, more) -> None:
    read_or_refuse(b"k", value, [*COMPLETE, *more])


@given(
    st.fixed_dictionaries(
        {
            "specversion": st.just("1.0") | JSON,
            "id": st.just("e") | JSON,
            "source": st.just("/s") | JSON,
            "type": st.just("t") | JSON,
        },
        optional={
            "time": st.just("2026-11-24T08:30:00Z") | JSON,
            "subject": JSON,
            "data": JSON,
            "data_base64": JSON | st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode()),
            "datacontenttype": st.just("application/json") | JSON,
            "partitionkey": JSON,
            "x": JSON,
        },
    )
)
def test_any_structured_value_is_an_event_or_a_bad_record(members) -> None:
    read_or_refuse(b"k", json.dumps(members).encode(), [("content-type", b"application/cloudevents+json")])


@pytest.mark.parametrize("depth", [300, 2_000, 100_000])
def test_deeply_nested_structured_data_is_refused(depth: int) -> None:
    value = b'{"specversion":"1.0","id":"e","source":"/s","type":"t","data":' + b"[" * depth + b"]" * depth + b"}"

    with pytest.raises(BadRecord) as bad:
        from_record(None, value, [("content-type", b"application/cloudevents+json")])
    assert bad.value.code is DeadLetterCode.MALFORMED


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("a b", True),
        ("ü→𝕏", True),
        ("a\u00a0b", True),
        ("", False),
        ("a\tb", False),
        ("a\x85", False),
        ("a\ufffe", False),
    ],
)
def test_an_attribute_holds_any_text_but_control_and_noncharacters(text: str, allowed: bool) -> None:
    headers = [*COMPLETE, ("ce_note", text.encode())]

    if allowed:
        assert from_record(None, None, headers).extensions == {"note": text}
    else:
        with pytest.raises(BadRecord):
            from_record(None, None, headers)
