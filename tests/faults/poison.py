"""A catalogue of records that can't be handled, each with the code that it must be a dead letter for.

Each kind is one edit of a good record, as a broken, old or hostile producer would make it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import orjson

from schemas import channels
from schemas.channels import Channel, Message
from schemas.dead_letters import DeadLetterCode as Code
from schemas.reasons import Reason

Header = tuple[str, bytes | None]
Json = dict[str, Any]  # Any: what JSON can hold

NOW = "2026-11-24T08:30:00Z"
TENANT, PROVIDER = "drivewell", "quickbooks-online"


@dataclass(frozen=True, slots=True)
class Record:
    """A record as a producer sends it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to be wrong. `make` spoils a record of the connector that it is given."""

    name: str
    code: Code
    make: Callable[[str], Record]


def good(channel: Channel, message: Message, connector: str, data: object, *, at: str = NOW) -> Record:
    """A record in binary mode, as it should be."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": uuid4().hex,
        "ce_type": message.type,
        "ce_source": "/drivewell",
        "ce_subject": connector,
        "ce_time": at,
        "content-type": "application/json",
    }
    encoded = [(name, value.encode()) for name, value in headers.items()]
    return Record(channel.topic, connector.encode(), orjson.dumps(data), encoded)


def succeeded(connector: str, **data: object) -> Record:
    return good(channels.SYNC_EVENTS, channels.SYNC_SUCCEEDED, connector, data)


def failed(connector: str, **data: object) -> Record:
    return good(channels.SYNC_EVENTS, channels.SYNC_FAILED, connector, data)


def command(message: Message, connector: str, data: object) -> Record:
    return good(channels.COMMANDS, message, connector, data)


DELETED, TAKEN, UNKNOWN = "deleted-one", "taken-one", "nobody-knows-this-one"
"""Connectors that the refused commands are about; a run deletes the first, and registers the second elsewhere."""


def catalogue() -> list[Kind]:
    """All kinds, each once."""
    kinds = [*_headers(), *_types(), *_keys(), *_values(), *_bodies(), *_structured(), *_refused()]
    assert len({kind.name for kind in kinds}) == len(kinds)
    return kinds


# The envelope.


def _without(record: Record, name: str) -> Record:
    return replace(record, headers=[header for header in record.headers if header[0] != name])


def _with(record: Record, name: str, value: bytes | None) -> Record:
    return replace(_without(record, name), headers=[*_without(record, name).headers, (name, value)])


def _and(record: Record, name: str, value: bytes | None) -> Record:
    return replace(record, headers=[*record.headers, (name, value)])


def _headers() -> Iterator[Kind]:
    for name in ("specversion", "id", "source", "type", "subject", "time"):
        header = f"ce_{name}"
        gone = Code.SCHEMA if name in ("subject", "time") else Code.MALFORMED
        yield Kind(f"{name} missing", gone, lambda c, h=header: _without(succeeded(c), h))
        yield Kind(f"{name} twice", Code.MALFORMED, lambda c, h=header: _and(succeeded(c), h, b"1.0"))
        yield Kind(f"{name} empty", Code.MALFORMED, lambda c, h=header: _with(succeeded(c), h, b""))
        yield Kind(f"{name} null", Code.MALFORMED, lambda c, h=header: _with(succeeded(c), h, None))
        yield Kind(f"{name} not UTF-8", Code.MALFORMED, lambda c, h=header: _with(succeeded(c), h, b"\xff\xfe"))
        yield Kind(f"{name} with NUL", Code.MALFORMED, lambda c, h=header: _with(succeeded(c), h, b"a\x00b"))
    for version in (b"0.3", b"1.1", b"2.0", b"one"):
        yield Kind(
            f"specversion {version.decode()}",
            Code.MALFORMED,
            lambda c, v=version: _with(succeeded(c), "ce_specversion", v),
        )
    for name, value in (
        ("a time in words", b"yesterday"),
        ("a time without a zone", b"2026-11-24T08:30:00"),
        ("a time in the thirteenth month", b"2026-13-01T00:00:00Z"),
        ("a time in no such hour", b"2026-11-24T25:00:00Z"),
        ("a time before time", b"0000-01-01T00:00:00Z"),
        ("a time before the year 1 in UTC", b"0001-01-01T00:00:00+01:00"),
        ("a time as a number", b"1764000000"),
    ):
        yield Kind(name, Code.MALFORMED, lambda c, v=value: _with(succeeded(c), "ce_time", v))
    for name, header, value in (
        ("an attribute's name in capitals", "ce_Trace", b"x"),
        ("an attribute's name with a hyphen", "ce_trace-parent", b"x"),
        ("an attribute's name with NUL", "ce_a\x00b", b"x"),
        ("an attribute that is too long", "ce_note", b"x" * 1001),
        ("an attribute data", "ce_data", b"{}"),
        ("an attribute datacontenttype", "ce_datacontenttype", b"application/json"),
        ("an attribute with a noncharacter", "ce_note", "\ufffe".encode()),
        ("a second content type", "content-type", b"application/json"),
    ):
        yield Kind(name, Code.MALFORMED, lambda c, h=header, v=value: _and(succeeded(c), h, v))
    for content_type in (b"text/plain", b"application/xml", b"application/cloudevents-batch+json", b"", b"\xff"):
        if content_type:
            yield Kind(
                f"content type {content_type!r}",
                Code.MALFORMED,
                lambda c, v=content_type: _with(succeeded(c), "content-type", v),
            )
    yield Kind("headers too large", Code.OVERSIZED, lambda c: _and(succeeded(c), "x-note", b"x" * 65_536))
    yield Kind(
        "a foreign header's name with NUL, and no id",
        Code.MALFORMED,
        lambda c: _and(_without(succeeded(c), "ce_id"), "x-\x00", b"x"),
    )


def _types() -> Iterator[Kind]:
    def typed(type_: str) -> Callable[[str], Record]:
        return lambda c: _with(succeeded(c), "ce_type", type_.encode())

    yield Kind("an unknown type", Code.UNKNOWN_TYPE, typed("io.regrant.sync.vanished.v1"))
    yield Kind("a type without a version", Code.UNKNOWN_TYPE, typed("io.regrant.sync.succeeded"))
    yield Kind("a type that only goes out", Code.UNKNOWN_TYPE, typed(channels.TRANSITION.type))
    yield Kind("a type in capitals", Code.UNKNOWN_TYPE, typed("IO.REGRANT.SYNC.SUCCEEDED.V1"))
    yield Kind("a later version", Code.UNKNOWN_VERSION, typed("io.regrant.sync.succeeded.v2"))
    yield Kind("version 0", Code.UNKNOWN_VERSION, typed("io.regrant.sync.succeeded.v0"))
    yield Kind("a command among events", Code.WRONG_TOPIC, typed(channels.DISCONNECT.type))
    yield Kind(
        "an event among commands",
        Code.WRONG_TOPIC,
        lambda c: replace(succeeded(c), topic=channels.COMMANDS.topic),
    )


def _keys() -> Iterator[Kind]:
    yield Kind("no key", Code.WRONG_KEY, lambda c: replace(succeeded(c), key=None))
    yield Kind("an empty key", Code.WRONG_KEY, lambda c: replace(succeeded(c), key=b""))
    yield Kind("another's key", Code.WRONG_KEY, lambda c: replace(succeeded(c), key=b"another"))
    yield Kind("a key that isn't UTF-8", Code.WRONG_KEY, lambda c: replace(succeeded(c), key=b"\xff"))
    yield Kind("a key with a space behind", Code.WRONG_KEY, lambda c: replace(succeeded(c), key=f"{c} ".encode()))
    for name, subject in (("a space", "a b"), ("a slash", "a/b"), ("an umlaut", "bücher"), ("129 letters", "a" * 129)):
        yield Kind(
            f"a subject with {name}",
            Code.SCHEMA,
            lambda c, s=subject: replace(_with(succeeded(c), "ce_subject", s.encode()), key=s.encode()),
        )


def _values() -> Iterator[Kind]:
    def valued(value: bytes | None) -> Callable[[str], Record]:
        return lambda c: replace(failed(c, reason=Reason.TOKEN_REFUSED), value=value)

    yield Kind("not JSON", Code.MALFORMED, valued(b"\xff{"))
    yield Kind("half a JSON object", Code.MALFORMED, valued(b'{"reason": "token_ref'))
    yield Kind("two JSON objects", Code.MALFORMED, valued(b"{}{}"))
    yield Kind("XML", Code.MALFORMED, valued(b"<event/>"))
    yield Kind("Avro", Code.MALFORMED, valued(b"\x00\x00\x00\x00\x01\x02ab"))
    yield Kind("half a surrogate", Code.MALFORMED, valued(b'{"reason": "token_refused", "position": "\\ud800"}'))
    yield Kind("deep JSON", Code.MALFORMED, valued(b"[" * 100_000))
    yield Kind("an array", Code.SCHEMA, valued(b"[]"))
    yield Kind("a string", Code.SCHEMA, valued(b'"token_refused"'))
    yield Kind("a number", Code.SCHEMA, valued(b"42"))
    yield Kind("JSON's null", Code.SCHEMA, valued(b"null"))
    yield Kind("a tombstone where data is needed", Code.SCHEMA, valued(None))
    yield Kind("an empty value where data is needed", Code.SCHEMA, valued(b""))
    yield Kind("too large", Code.OVERSIZED, valued(b'{"reason": "' + b"x" * 1_048_576 + b'"}'))


# The data.


def _bodies() -> Iterator[Kind]:
    runs: tuple[tuple[str, Json], ...] = (
        ("a start as a number", {"started_at": 1764000000}),
        ("a start without a zone", {"started_at": "2026-11-24T08:30:00"}),
        ("a start in words", {"started_at": "just now"}),
        ("a start before the year 1 in UTC", {"started_at": "0001-01-01T00:00:00+01:00"}),
        ("a start after the year 9999 in UTC", {"started_at": "9999-12-31T23:59:59-01:00"}),
        ("a generation as text", {"generation": "1"}),
        ("a generation below zero", {"generation": -1}),
        ("a generation and a half", {"generation": 1.5}),
        ("a generation that is true", {"generation": True}),
    )
    for name, data in runs:
        yield Kind(name, Code.SCHEMA, lambda c, d=data: succeeded(c, **d))
    failures: tuple[tuple[str, Json], ...] = (
        ("neither reason nor error", {}),
        ("an unknown reason", {"reason": "bad_mood"}),
        ("a reason that is no sync's", {"reason": Reason.WRONG_ACCOUNT}),
        ("a reason as a list", {"reason": [Reason.TOKEN_REFUSED]}),
        ("an error as text", {"error": "401"}),
        ("an error at an unknown place", {"error": {"at": "moon"}}),
        ("a status below 100", {"error": {"at": "api", "status": 99}}),
        ("a status as text", {"error": {"at": "api", "status": "401"}}),
        ("an error's body that is too long", {"error": {"at": "api", "status": 401, "body": "x" * 65_537}}),
        ("a request id that is too long", {"error": {"at": "api", "request_id": "x" * 201}}),
        ("a wait below zero", {"error": {"at": "api", "status": 429, "retry_after_s": -1}}),
        ("a position that is too long", {"reason": Reason.TOKEN_REFUSED, "position": "x" * 1001}),
        ("a position with NUL", {"reason": Reason.TOKEN_REFUSED, "position": "a\x00b"}),
        ("a position as a number", {"reason": Reason.TOKEN_REFUSED, "position": 7}),
    )
    for name, data in failures:
        yield Kind(name, Code.SCHEMA, lambda c, d=data: failed(c, **d))
    register = {"tenant_id": TENANT, "provider": PROVIDER, "name": "Books"}
    registers: tuple[tuple[str, Json], ...] = (
        ("a tenant missing", {"tenant_id": None}),
        ("a tenant with a space", {"tenant_id": "a b"}),
        ("a provider in capitals", {"provider": "QuickBooks"}),
        ("a name empty", {"name": ""}),
        ("a name with a line break", {"name": "a\nb"}),
        ("a name that is too long", {"name": "x" * 201}),
        ("connected in words", {"connected": "yes"}),
    )
    for name, data in registers:
        yield Kind(name, Code.SCHEMA, lambda c, d=data: command(channels.REGISTER, c, register | d))
    yield Kind("an update of nothing", Code.SCHEMA, lambda c: command(channels.UPDATE, c, {}))
    yield Kind("an attempt without its id", Code.SCHEMA, lambda c: command(channels.START_REAUTH, c, {}))
    yield Kind(
        "an attempt id that is none", Code.SCHEMA, lambda c: command(channels.START_REAUTH, c, {"attempt_id": "7"})
    )


def _structured() -> Iterator[Kind]:
    def enveloped(**changed: object) -> Callable[[str], Record]:
        def make(connector: str) -> Record:
            members: Json = {
                "specversion": "1.0",
                "id": uuid4().hex,
                "source": "/drivewell",
                "type": channels.SYNC_SUCCEEDED.type,
                "subject": connector,
                "time": NOW,
                "data": {},
            }
            members |= changed
            kept = {name: value for name, value in members.items() if value != "absent"}
            return _raw(connector, orjson.dumps(kept))

        return make

    def _raw(connector: str, value: bytes | None) -> Record:
        headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
        return Record(channels.SYNC_EVENTS.topic, connector.encode(), value, headers)

    yield Kind("structured: a tombstone", Code.MALFORMED, lambda c: _raw(c, None))
    yield Kind("structured: not JSON", Code.MALFORMED, lambda c: _raw(c, b"{"))
    yield Kind("structured: an array", Code.MALFORMED, lambda c: _raw(c, b"[]"))
    yield Kind("structured: deep", Code.MALFORMED, lambda c: _raw(c, b'{"data":' * 20_000))
    for name, changed in (
        ("no specversion", {"specversion": "absent"}),
        ("no id", {"id": "absent"}),
        ("an id that is null", {"id": None}),
        ("a source that is empty", {"source": ""}),
        ("an extension as an object", {"note": {"a": 1}}),
        ("an extension as a fraction", {"weight": 1.5}),
        ("data twice", {"data_base64": "e30="}),
        ("data in no base64", {"data": "absent", "data_base64": "%%%"}),
        ("data as XML", {"datacontenttype": "application/xml"}),
        ("a content type without data", {"data": "absent", "datacontenttype": "application/json"}),
        ("a time in words", {"time": "noon"}),
    ):
        yield Kind(f"structured: {name}", Code.MALFORMED, enveloped(**changed))
    yield Kind("structured: data of the wrong shape", Code.SCHEMA, enveloped(data={"generation": "one"}))
    yield Kind("structured: no subject", Code.SCHEMA, enveloped(subject="absent"))
    yield Kind("structured: another's subject", Code.WRONG_KEY, enveloped(subject="another"))


# What can be read, and is refused.


def _refused() -> Iterator[Kind]:
    register = {"tenant_id": TENANT, "provider": PROVIDER, "name": "Books"}
    unknown = Code.UNKNOWN_CONNECTOR
    yield Kind("a sync of nobody's connector", unknown, lambda c: succeeded(UNKNOWN))
    yield Kind("a failure of nobody's connector", unknown, lambda c: failed(UNKNOWN, reason=Reason.TOKEN_REFUSED))
    yield Kind("an update of nobody's connector", unknown, lambda c: command(channels.UPDATE, UNKNOWN, {"name": "x"}))
    yield Kind("a disconnect of nobody's connector", unknown, lambda c: command(channels.DISCONNECT, UNKNOWN, {}))
    yield Kind("a deletion of nobody's connector", unknown, lambda c: command(channels.DELETE, UNKNOWN, {}))
    yield Kind(
        "a provider that isn't there",
        Code.UNKNOWN_PROVIDER,
        lambda c: command(channels.REGISTER, UNKNOWN, register | {"provider": "abacus"}),
    )
    yield Kind("a deleted id again", Code.CONNECTOR_DELETED, lambda c: command(channels.REGISTER, DELETED, register))
    yield Kind(
        "an update of a deleted one", Code.CONNECTOR_DELETED, lambda c: command(channels.UPDATE, DELETED, {"name": "x"})
    )
    yield Kind("another's id", Code.ID_TAKEN, lambda c: command(channels.REGISTER, TAKEN, register))
