"""The checker's own rules: its legal table, its reader of input records, and that both are its own."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import channels
from schemas.dead_letters import DeadLetterCode, DeadLetterHeader
from schemas.lifecycle import Outcome, State, Trigger
from service.kafka.cloudevents import BadRecord
from service.kafka.decode import decode
from statemachine.table import TABLE
from tests import checker
from tests.checker import lifecycle, reading, topics
from tests.checker.envelope import Unreadable
from tests.checker.ledger import content_of, digest_json
from tests.checker.published import TOLD
from tests.checker.reading import Event, read
from tests.checker.report import SHOWN_CAP, Report
from tests.unit.test_decode import BODIES, KINDS, REGISTER, Record, command, event, structured_event

SERVICES = {"service", "statemachine", "schemas"}


def imported(file: Path) -> set[str]:
    """The packages that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides what it reads"
            names.add(node.module or "")
    return names


def test_the_checker_imports_nothing_of_what_it_checks() -> None:
    files = sorted(Path(checker.__file__).parent.rglob("*.py"))
    assert len(files) > 5
    for file in files:
        names = imported(file)
        assert not {name.partition(".")[0] for name in names} & SERVICES, file.name
        ours = {name for name in names if name.partition(".")[0] == "tests"}
        assert all(name == "tests.checker" or name.startswith("tests.checker.") for name in ours), file.name


# The legal table.


def test_the_legal_table_is_what_the_lifecycle_allows() -> None:
    allowed = {
        (source.value, row.trigger.value, (row.to or source).value)
        for row in TABLE
        if row.outcome is Outcome.TRANSITION
        for source in row.sources
    }

    assert allowed == lifecycle.LEGAL


def test_the_legal_table_knows_every_state_and_trigger_that_makes_transitions() -> None:
    assert {state for source, _, to in lifecycle.LEGAL for state in (source, to)} == {state.value for state in State}
    assert {trigger for _, trigger, _ in lifecycle.LEGAL} <= {trigger.value for trigger in Trigger}


# Names that the checker says for itself.


def test_the_checker_names_the_topics_as_the_contract_does() -> None:
    assert tuple(channel.topic for channel in channels.INPUTS) == topics.INPUTS
    assert tuple(channel.dead_letters for channel in channels.INPUTS) == topics.DEAD_LETTERS
    named = {topics.TRANSITIONS, topics.STATES, topics.SYNC_REQUESTS}
    assert named == {channel.topic for channel in channels.CHANNELS if channel.direction == "out"}


def test_the_checker_names_the_types_the_codes_and_the_headers_as_the_contract_does() -> None:
    assert {type_: word.topic for type_, word in reading.WORDS.items()} == {
        message.type: channel.topic for channel in channels.INPUTS for message in channel.messages
    }
    refusals = frozenset().union(*(word.refusals for word in reading.WORDS.values()))
    known = {code.value for code in DeadLetterCode}
    assert reading.UNREADABLE | refusals <= known
    # A record names no version that it has seen and asks for no verification; one that breaks us is our fault.
    asked_over_http = {"version_mismatch", "no_credential", "attempt_open", "sync_awaited"}
    assert known - reading.UNREADABLE - refusals == {"broken", *asked_over_http}
    assert {header.value for header in DeadLetterHeader} == TOLD


# The strict reader.


def verdict(record: Record) -> str:
    """The code of a dead letter, or `good`."""
    try:
        read(record.topic, record.key, record.value(), record.headers())
    except Unreadable as why:
        return why.code
    return "good"


def service_says(record: Record) -> str:
    try:
        record.decode()
    except BadRecord as bad:
        return bad.code.value
    return "good"


@pytest.mark.parametrize(("record", "code", "said"), KINDS.values(), ids=KINDS)
def test_a_bad_record_is_bad_to_the_checker_too(record: Record, code: DeadLetterCode, said: str) -> None:
    assert verdict(record) == code.value


GOOD = {
    "a started sync": event("started", {"started_at": "2026-11-24T10:00:00+02:00", "generation": 3}),
    "a success that says nothing more": Record("io.regrant.sync.succeeded.v1", raw=b""),
    "a failure with a reason": event("failed", {"reason": "grant_revoked", "position": "p-9"}),
    "a failure with an error": event("failed", {"error": {"at": "network"}}),
    "a new connector": command("register", REGISTER | {"connected": True}),
    "a new name": command("update", {"name": "Books of the south"}),
    "an attempt": command("start_reauth", {"attempt_id": "6f1c2d0e-6f62-4c39-9f0b-0d3c5b1c9f11"}),
    "taking off": command("disconnect"),
    "deleting": command("delete", {"why": "a field of a newer producer"}),
    "structured mode": structured_event(),
    "structured mode, base64": structured_event(data=None, data_base64="eyJyZWFzb24iOiAidG9rZW5fcmVmdXNlZCJ9"),
    "null where that is allowed": event("failed", {"reason": "token_refused", "error": None, "started_at": None}),
}


@pytest.mark.parametrize("record", GOOD.values(), ids=GOOD)
def test_a_good_record_is_good_to_both(record: Record) -> None:
    assert verdict(record) == service_says(record) == "good"


def test_a_run_is_ordered_by_its_start_and_else_by_the_events_time() -> None:
    def read_event(record: Record) -> Event:
        return read(record.topic, record.key, record.value(), record.headers())

    began = read_event(event("succeeded", {"started_at": "2026-11-24T10:00:00+02:00"}))
    assert (began.id, began.connector, began.word.trigger) == ("e-1", "acme.qbo-1", "sync_succeeded")
    assert began.run.isoformat() == "2026-11-24T08:00:00+00:00"
    assert read_event(event("succeeded")).run.isoformat() == "2026-11-24T08:30:00+00:00"


@given(st.sampled_from([message for channel in channels.INPUTS for message in channel.messages]), BODIES)
def test_service_and_checker_agree_on_any_data(message: channels.Message, data: object) -> None:
    topic = next(channel.topic for channel in channels.INPUTS if message in channel.messages)
    record = Record(message.type, data, topic)
    # RFC 8259 has no `NaN` and no `Infinity`: the checker refuses them, the service is lenient with fields it ignores.
    assume(not re.search(rb"\b(NaN|Infinity)\b", record.value()))
    assert verdict(record) == service_says(record)


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_x", "content-type", "x"]
        ),
        st.sampled_from(
            [
                b"1.0",
                b"e-1",
                b"/engine",
                b"acme.qbo-1",
                b"io.regrant.sync.started.v1",
                b"io.regrant.sync.started.v2",
                b"io.regrant.connector.delete.v1",
                b"2026-11-24T08:30:00Z",
                b"application/json",
                b"application/cloudevents+json; charset=utf-8",
                b"",
                b"\xff",
                b"a\x00",
                None,
            ]
        ),
    ),
    max_size=3,
)


@given(
    st.sampled_from(["started", "succeeded", "failed"]),
    st.sampled_from([None, b"", b"acme.qbo-1", b"other", b"\xff"]),
    st.sampled_from([b"", b"{}", b"[]", b"{", b'{"reason": "token_refused"}', b'{"specversion": "1.0"}']),
    st.sets(st.sampled_from(["ce_id", "ce_time", "ce_subject", "ce_type", "content-type"])),
    HEADERS,
)
def test_service_and_checker_agree_on_any_envelope(
    word: str, key: bytes | None, value: bytes, missing: set[str], more: list[tuple[str, bytes | None]]
) -> None:
    good = Record(f"io.regrant.sync.{word}.v1")
    headers = [(name, raw) for name, raw in good.headers() if name not in missing] + more
    try:
        decode(key, value, headers, topic=good.topic)
        expected = "good"
    except BadRecord as bad:
        expected = bad.code.value
    try:
        read(good.topic, key, value, headers)
        seen = "good"
    except Unreadable as why:
        seen = why.code
    assert seen == expected


# What is remembered, and what is told.


def test_json_is_compared_as_json_and_records_as_bytes() -> None:
    assert digest_json({"a": 1, "b": [2]}) == digest_json({"b": [2], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 2})
    assert content_of(b"k", b"v", [("h", b"1")]) == content_of(b"k", b"v", (("h", bytearray(b"1")),))
    different = [(None, b"v", []), (b"k", None, []), (b"k", b"", []), (b"k", b"v", [("h", None)]), (b"", b"v", [])]
    assert len({content_of(*record) for record in different}) == len(different)


def test_a_report_keeps_some_lines_and_counts_all() -> None:
    report = Report()
    assert report.holds and report.lines()[-1] == "holds: I1 to I11"
    for number in range(SHOWN_CAP + 3):
        report.violated("I10", f"events[{number}]", "a note", "nothing")
    assert not report.holds and report.by_invariant["I10"] == SHOWN_CAP + 3
    assert len(report.violations) == SHOWN_CAP
    assert report.lines()[0] == "I10  events[0]: expected a note, saw nothing"
    assert report.lines()[-2:] == ["I10  and 3 more", "violated: I10"]
