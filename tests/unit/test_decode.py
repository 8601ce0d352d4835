"""What a record says, and every way in which it can be wrong."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.channels import COMMANDS, INPUTS, SYNC_EVENTS
from schemas.dead_letters import DeadLetterCode
from schemas.lifecycle import ActorKind, Refused
from schemas.reasons import Reason
from schemas.records import Evidence, ProviderError
from service.engine.submission import Actor, ReportedFailure, Trace
from service.kafka.cloudevents import BadRecord
from service.kafka.decode import REASONS_OF_A_SYNC, Decoded, decode
from statemachine import inputs

AT = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
BEGAN = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ATTEMPT = UUID("6f1c2d0e-6f62-4c39-9f0b-0d3c5b1c9f11")
CONNECTOR = "acme.qbo-1"
CANARY = "eyJhbGciOi-the-canary-token"
"""Stands where a token may stand: it is in no error's text."""


@dataclass(frozen=True)
class Record:
    """A good record, to be made bad in one place."""

    type: str
    data: object = field(default_factory=dict)
    topic: str = SYNC_EVENTS.topic
    key: bytes | None = CONNECTOR.encode()
    changed: dict[str, bytes | None] = field(default_factory=dict)
    """Headers in place of the good ones; `None` takes one away."""
    raw: bytes | None = None
    """A value in place of `data` as JSON."""
    more: tuple[tuple[str, bytes | None], ...] = ()

    def headers(self) -> list[tuple[str, bytes | None]]:
        good: dict[str, bytes | None] = {
            "content-type": b"application/json",
            "ce_specversion": b"1.0",
            "ce_id": b"e-1",
            "ce_source": b"/engine",
            "ce_type": self.type.encode(),
            "ce_subject": CONNECTOR.encode(),
            "ce_time": b"2026-11-24T08:30:00Z",
        }
        return [*((name, raw) for name, raw in (good | self.changed).items() if raw is not None), *self.more]

    def value(self) -> bytes:
        return self.raw if self.raw is not None else json.dumps(self.data).encode()

    def decode(self) -> Decoded:
        return decode(self.key, self.value(), self.headers(), topic=self.topic)


def event(word: str, data: object = None) -> Record:
    return Record(f"io.regrant.sync.{word}.v1", data or {})


def command(word: str, data: object = None) -> Record:
    return Record(f"io.regrant.connector.{word}.v1", data or {}, COMMANDS.topic)


RUN = {"started_at": "2026-11-24T10:00:00+02:00", "generation": 3}
ERROR = {"at": "api", "status": 401, "body": '{"token": "' + CANARY + '"}', "request_id": "tid-1"}
REGISTER = {"tenant_id": "acme", "provider": "quickbooks-online", "name": "Books"}


# Good records.


def test_a_started_sync_is_read() -> None:
    assert event("started", RUN).decode() == Decoded(
        inputs.SyncStarted(connector=CONNECTOR, occurred=AT, started=BEGAN, generation=3),
        Actor(ActorKind.SYNC_ENGINE, "/engine"),
        "e-1",
        Trace("e-1", "e-1", None),
    )


def test_a_succeeded_sync_is_read() -> None:
    assert event("succeeded", RUN).decode().input == inputs.SyncSucceeded(
        connector=CONNECTOR, occurred=AT, started=BEGAN, generation=3
    )


def test_a_sync_event_may_say_nothing_but_that_it_happened() -> None:
    said = replace(event("succeeded"), raw=b"").decode().input

    assert said == inputs.SyncSucceeded(connector=CONNECTOR, occurred=AT)


def test_a_failure_that_the_host_judged_is_an_input_with_its_reason() -> None:
    decoded = event("failed", RUN | {"reason": "grant_revoked", "position": "p-9", "error": ERROR}).decode()

    assert decoded.input == inputs.SyncFailed(
        connector=CONNECTOR, occurred=AT, started=BEGAN, generation=3, reason=Reason.GRANT_REVOKED, position="p-9"
    )
    assert decoded.evidence == Evidence(at="api", status=401, request_id="tid-1")


def test_a_failure_that_nobody_judged_is_reported_with_the_providers_error() -> None:
    decoded = event("failed", RUN | {"error": ERROR}).decode()

    assert decoded.input == ReportedFailure(
        connector=CONNECTOR,
        occurred=AT,
        started=BEGAN,
        generation=3,
        position=None,
        error=ProviderError(at="api", status=401, body=ERROR["body"], request_id="tid-1"),
    )
    assert decoded.evidence is None


def test_a_new_connector_is_read() -> None:
    decoded = command("register", REGISTER | {"connected": True}).decode()

    assert decoded.input == inputs.Register(
        connector=CONNECTOR, tenant="acme", provider="quickbooks-online", name="Books", connected=True
    )
    assert decoded.actor == Actor(ActorKind.HOST, "/engine")
    assert decoded.connector == CONNECTOR


def test_the_other_commands_are_read() -> None:
    start = command("start_reauth", {"attempt_id": str(ATTEMPT)})

    assert command("update", {"name": "New"}).decode().input == inputs.Update(
        connector=CONNECTOR, said=AT, event="e-1", name="New"
    )
    assert start.decode().input == inputs.StartReauth(connector=CONNECTOR, said=AT, event="e-1", attempt=ATTEMPT)
    assert command("disconnect").decode().input == inputs.Disconnect(connector=CONNECTOR, said=AT, event="e-1")
    assert command("delete").decode().input == inputs.Delete(connector=CONNECTOR)


def test_a_structured_record_says_the_same_as_a_binary_one() -> None:
    binary = event("failed", RUN | {"error": ERROR})
    attributes = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/engine",
        "type": binary.type,
        "subject": CONNECTOR,
        "time": "2026-11-24T08:30:00Z",
        "data": binary.data,
    }
    headers = [("content-type", b"application/cloudevents+json")]

    structured = decode(CONNECTOR.encode(), json.dumps(attributes).encode(), headers, topic=SYNC_EVENTS.topic)

    assert structured == binary.decode()


def test_the_trace_of_a_record_is_kept_and_the_record_is_the_cause_of_what_follows() -> None:
    traced = replace(event("started"), changed={"ce_correlationid": b"c-1", "ce_traceparent": PARENT.encode()})

    assert traced.decode().trace == Trace("c-1", "e-1", PARENT)


def test_a_wrong_traceparent_is_ignored_as_the_w3c_wants_it() -> None:
    assert replace(event("started"), changed={"ce_traceparent": b"00-nonsense"}).decode().trace.traceparent is None


def test_fields_of_a_newer_producer_and_headers_of_others_are_allowed() -> None:
    newer = replace(event("started", RUN | {"rows": 17}), more=(("x-theirs", b"\xff"), ("x-null", None)))

    assert newer.decode().input == event("started", RUN).decode().input


def test_a_value_of_one_mebibyte_is_read_and_one_byte_more_is_not() -> None:
    padding = 2**20 - len(b'{"x": ""}')
    largest = replace(event("started"), raw=b'{"x": "' + b"a" * padding + b'"}')

    assert largest.decode().event_id == "e-1"
    with pytest.raises(BadRecord) as bad:
        replace(largest, raw=largest.value() + b" ").decode()
    assert bad.value.code is DeadLetterCode.OVERSIZED


# Bad records, each a good one made bad in one place.

FAILED = event("failed", RUN | {"error": ERROR})
STRUCTURED = (("content-type", b"application/cloudevents+json"),)


def failing(**changed: object) -> Record:
    return event("failed", RUN | {"error": ERROR} | changed)


def without(record: Record, header: str) -> Record:
    return replace(record, changed={header: None})


def having(record: Record, header: str, value: bytes) -> Record:
    return replace(record, changed={header: value})


def structured(value: bytes) -> Record:
    return replace(FAILED, raw=value, changed={name: None for name, _ in FAILED.headers()}, more=STRUCTURED)


def structured_event(**changed: object) -> Record:
    good = {"specversion": "1.0", "id": "e", "source": "/s", "type": FAILED.type, "subject": CONNECTOR}
    timed = {"time": "2026-11-24T08:30:00Z", "data": {"error": ERROR}}
    return structured(json.dumps(good | timed | changed).encode())


MALFORMED, SCHEMA = DeadLetterCode.MALFORMED, DeadLetterCode.SCHEMA
KINDS: dict[str, tuple[Record, DeadLetterCode, str]] = {
    # Not a CloudEvent.
    "no headers": (replace(FAILED, changed=dict.fromkeys(dict(FAILED.headers()))), MALFORMED, "specversion isn't 1.0"),
    "no specversion": (without(FAILED, "ce_specversion"), MALFORMED, "specversion isn't 1.0"),
    "specversion 0.3": (having(FAILED, "ce_specversion", b"0.3"), MALFORMED, "specversion isn't 1.0"),
    "no id": (without(FAILED, "ce_id"), MALFORMED, "id is missing"),
    "empty id": (having(FAILED, "ce_id", b""), MALFORMED, "id is empty"),
    "endless id": (having(FAILED, "ce_id", b"x" * 1001), MALFORMED, "longer than 1000 characters"),
    "id twice": (replace(FAILED, more=(("ce_id", b"e-2"),)), MALFORMED, "id is there twice"),
    "no source": (without(FAILED, "ce_source"), MALFORMED, "source is missing"),
    "no type": (without(FAILED, "ce_type"), MALFORMED, "type is missing"),
    "header not UTF-8": (having(FAILED, "ce_source", b"\xff\xfe"), MALFORMED, "source isn't UTF-8"),
    "header null": (replace(FAILED, more=(("ce_x", None),)), MALFORMED, "x has no value"),
    "header with a NUL": (having(FAILED, "ce_id", b"e\x00"), MALFORMED, "control characters"),
    "header with a line break": (having(FAILED, "ce_source", b"/a\n/b"), MALFORMED, "control characters"),
    "attribute with a bad name": (replace(FAILED, more=(("ce_Bad-Name", b"x"),)), MALFORMED, "an attribute's name"),
    "content type twice": (replace(FAILED, more=(("Content-Type", b"application/json"),)), MALFORMED, "there twice"),
    "content type not JSON": (having(FAILED, "content-type", b"application/avro"), MALFORMED, "isn't JSON"),
    "batch mode": (
        having(FAILED, "content-type", b"application/cloudevents-batch+json"),
        MALFORMED,
        "neither JSON nor application/cloudevents+json",
    ),
    "time without an offset": (having(FAILED, "ce_time", b"2026-11-24T08:30:00"), MALFORMED, "RFC 3339"),
    "time of no day": (having(FAILED, "ce_time", b"2026-02-30T08:30:00Z"), MALFORMED, "RFC 3339"),
    "time in seconds": (having(FAILED, "ce_time", b"1795509000"), MALFORMED, "RFC 3339"),
    "time out of range": (having(FAILED, "ce_time", b"9999-12-31T23:59:59-01:00"), MALFORMED, "RFC 3339"),
    "structured, not JSON": (structured(b"{"), MALFORMED, "the value isn't JSON"),
    "structured, a list": (structured(b"[]"), MALFORMED, "isn't a JSON object"),
    "structured, an id that is a list": (structured_event(id=["e"]), MALFORMED, "id isn't a string"),
    "structured, data twice": (structured_event(data_base64="e30="), MALFORMED, "both there"),
    "structured, wrong base64": (structured_event(data=None, data_base64="%%"), MALFORMED, "isn't base64"),
    "structured, XML inside": (structured_event(datacontenttype="text/xml"), MALFORMED, "datacontenttype isn't JSON"),
    # What an adapter could make nothing of: its sender's bytes.
    "an adapter's, unmapped": (
        replace(
            having(FAILED, "ce_type", b"io.regrant.adapter.unmapped.v1"), more=(("ce_unmapped", b"nothing at /id"),)
        ),
        DeadLetterCode.UNMAPPED,
        "nothing at /id",
    ),
    "an adapter's, without a word": (
        having(FAILED, "ce_type", b"io.regrant.adapter.unmapped.v1"),
        DeadLetterCode.UNMAPPED,
        "what it is about",
    ),
    # Not ours to read.
    "type of another product": (having(FAILED, "ce_type", b"com.example.made.v1"), DeadLetterCode.UNKNOWN_TYPE, "type"),
    "type without a version": (
        having(FAILED, "ce_type", b"io.regrant.sync.failed"),
        DeadLetterCode.UNKNOWN_TYPE,
        "type isn't one of",
    ),
    "next major version": (
        having(FAILED, "ce_type", b"io.regrant.sync.failed.v2"),
        DeadLetterCode.UNKNOWN_VERSION,
        "isn't v1",
    ),
    "command among the events": (
        replace(command("delete"), topic=SYNC_EVENTS.topic),
        DeadLetterCode.WRONG_TOPIC,
        "belongs on connectors.commands.v1",
    ),
    "event among the commands": (
        replace(FAILED, topic=COMMANDS.topic),
        DeadLetterCode.WRONG_TOPIC,
        "belongs on connectors.sync.events.v1",
    ),
    # Sizes.
    "value too large": (replace(FAILED, raw=b" " * (2**20 + 1)), DeadLetterCode.OVERSIZED, "1048576 bytes"),
    "headers too large": (
        replace(FAILED, more=(("x-theirs", b"x" * 65_536),)),
        DeadLetterCode.OVERSIZED,
        "65536 bytes",
    ),
    # Keys and subjects.
    "no key": (replace(FAILED, key=None), DeadLetterCode.WRONG_KEY, "the key is missing"),
    "empty key": (replace(FAILED, key=b""), DeadLetterCode.WRONG_KEY, "isn't the connector id"),
    "another connector's key": (replace(FAILED, key=b"other"), DeadLetterCode.WRONG_KEY, "isn't the connector id"),
    "key not UTF-8": (replace(FAILED, key=b"\xff"), DeadLetterCode.WRONG_KEY, "isn't UTF-8"),
    "no subject": (without(FAILED, "ce_subject"), SCHEMA, "subject: missing"),
    "subject with a slash": (having(FAILED, "ce_subject", b"a/b"), SCHEMA, "subject: string_pattern_mismatch"),
    "no time": (without(FAILED, "ce_time"), SCHEMA, "time: missing"),
    # The data.
    "data not JSON": (replace(FAILED, raw=CANARY.encode()), MALFORMED, "the data isn't JSON"),
    "data cut off": (replace(FAILED, raw=FAILED.value()[:-3]), MALFORMED, "the data isn't JSON"),
    "data not UTF-8": (replace(FAILED, raw=b'{"position": "\xff"}'), MALFORMED, "the data isn't JSON"),
    "data nested for ever": (replace(FAILED, raw=b"[" * 100_000), MALFORMED, "the data isn't JSON"),
    "data a list": (replace(FAILED, raw=b"[]"), SCHEMA, "data: model_type"),
    "data with a number that JSON doesn't have": (replace(FAILED, raw=b'{"rows": NaN}'), MALFORMED, "isn't JSON"),
    "data null": (replace(FAILED, raw=b"null"), SCHEMA, "data: model_type"),
    "neither error nor reason": (event("failed", RUN), SCHEMA, "error: missing, and so is reason"),
    "unknown reason": (failing(reason=CANARY), SCHEMA, "reason: enum"),
    "reason that isn't a sync's": (failing(reason="wrong_account"), SCHEMA, "reason: not_a_reason_of_a_sync"),
    "error of nowhere": (failing(error=ERROR | {"at": CANARY}), SCHEMA, "error.at: literal_error"),
    "error with an impossible status": (failing(error=ERROR | {"status": 99}), SCHEMA, "error.status"),
    "error's body an object": (failing(error=ERROR | {"body": {"t": CANARY}}), SCHEMA, "error.body: string_type"),
    "error's body too long": (failing(error=ERROR | {"body": "x" * 65_537}), SCHEMA, "error.body: string_too_long"),
    "start without an offset": (failing(started_at="2026-11-24T10:00:00"), SCHEMA, "started_at: timezone_aware"),
    "start out of range": (failing(started_at="0001-01-01T00:00:00+01:00"), SCHEMA, "started_at: datetime_out_of"),
    "generation a string": (failing(generation="3"), SCHEMA, "generation: int_type"),
    "generation negative": (failing(generation=-1), SCHEMA, "generation: greater_than_equal"),
    "position too long": (failing(position="x" * 1001), SCHEMA, "position: string_too_long"),
    "position with a NUL": (failing(position="a\0b"), SCHEMA, "position: null_character"),
    "register without a tenant": (command("register", {"provider": "p", "name": "n"}), SCHEMA, "tenant_id: missing"),
    "register an odd provider": (
        command("register", REGISTER | {"provider": "Quick Books"}),
        SCHEMA,
        "provider: string_pattern_mismatch",
    ),
    "register with a word for connected": (
        command("register", REGISTER | {"connected": "yes"}),
        SCHEMA,
        "connected: bool_type",
    ),
    "update to an empty name": (command("update", {"name": ""}), SCHEMA, "name: string_too_short"),
    "update with a NUL": (command("update", {"name": "a\0"}), SCHEMA, "name: string_pattern_mismatch"),
    "update with half a character": (
        replace(command("update"), raw=b'{"name": "\\ud800"}'),
        MALFORMED,
        "the data isn't JSON",
    ),
    "attempt that is no UUID": (command("start_reauth", {"attempt_id": CANARY}), SCHEMA, "attempt_id: uuid_parsing"),
    "attempt missing": (command("start_reauth"), SCHEMA, "attempt_id: missing"),
}


@pytest.mark.parametrize(("record", "code", "said"), KINDS.values(), ids=KINDS)
def test_a_bad_record_is_refused_with_its_code_and_what_is_wrong(
    record: Record, code: DeadLetterCode, said: str
) -> None:
    with pytest.raises(BadRecord) as bad:
        record.decode()

    assert bad.value.code is code
    assert said in bad.value.detail
    assert CANARY not in str(bad.value)
    assert bad.value.__context__ is None or bad.value.__suppress_context__


def test_every_code_that_a_record_itself_can_have_is_among_the_kinds() -> None:
    not_of_a_record = {DeadLetterCode(refused.value) for refused in Refused} | {DeadLetterCode.BROKEN}

    assert {code for _, code, _ in KINDS.values()} == set(DeadLetterCode) - not_of_a_record


@pytest.mark.parametrize("refused", Refused)
def test_what_the_lifecycle_refuses_is_a_dead_letter_in_the_same_words(refused: Refused) -> None:
    assert DeadLetterCode(refused.value).sentence == refused.sentence


@pytest.mark.parametrize("topic", INPUTS, ids=lambda channel: channel.topic)
def test_every_message_of_an_input_topic_is_read(topic) -> None:
    samples = {
        "io.regrant.sync.failed.v1": {"reason": "token_refused"},
        "io.regrant.connector.register.v1": REGISTER,
        "io.regrant.connector.update.v1": {"name": "New"},
        "io.regrant.connector.start_reauth.v1": {"attempt_id": str(ATTEMPT)},
    }

    for message in topic.messages:
        said = Record(message.type, samples.get(message.type, {}), topic.topic).decode()
        assert said.connector == CONNECTOR


def test_a_host_may_give_only_reasons_that_a_sync_can_have() -> None:
    read = {reason for reason in Reason if _is_read(event("failed", {"reason": reason.value}))}

    assert read == REASONS_OF_A_SYNC


def _is_read(record: Record) -> bool:
    try:
        record.decode()
    except BadRecord as bad:
        assert bad.code is SCHEMA
        return False
    return True


BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes().map(str),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "reason", "at", "status", "body", "started_at", "generation", "position", "name"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from([message for channel in INPUTS for message in channel.messages]), BODIES)
def test_any_data_at_all_is_an_input_or_a_bad_record(message, data) -> None:
    topic = next(channel.topic for channel in INPUTS if message in channel.messages)
    try:
        decoded = Record(message.type, data, topic).decode()
    except BadRecord as bad:
        assert bad.code in (SCHEMA, MALFORMED)
    else:
        assert decoded.connector == CONNECTOR
