"""CloudEvents 1.0 on Kafka records: binary and structured mode in, binary mode out.

Source: CloudEvents 1.0.2, its Kafka protocol binding and its JSON event format. The SDK isn't used at run time, since
it writes `b''` for an event without data, which is no tombstone; the tests hold this mapper against it.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

from schemas.dead_letters import DeadLetterCode
from schemas.value import value

Header: TypeAlias = tuple[str, bytes]

STRUCTURED = "application/cloudevents+json"
MAX_ATTRIBUTE_CHARS = 1000


class BadRecord(Exception):
    """The record can't be handled: a dead letter. The detail names fields, never a value out of the record."""

    def __init__(self, code: DeadLetterCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


@value()
class CloudEvent:
    """An event. `data` is its JSON as bytes, or `None`: on a compacted topic that is a tombstone."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime | None = None
    dataschema: str | None = None
    data: bytes | None = field(default=None, repr=False)
    extensions: Mapping[str, str] = field(default_factory=dict)


# Reading.

_NAME = re.compile(r"[a-z0-9]{1,64}")
_USUAL = frozenset({"specversion", "id", "source", "type", "subject", "time", "dataschema", "traceparent"})
_USUAL_HEADERS = {f"ce_{name}": name for name in _USUAL}
# CloudEvents 1.0.2, 3.1: strings hold no control characters and no noncharacters.
_STRING = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]{{1,{MAX_ATTRIBUTE_CHARS}}}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_JSON_TYPE = re.compile(r"(application/json|[a-z]+/[a-z0-9.+-]+\+json)\s*(;.*)?", re.IGNORECASE)


def from_record(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> CloudEvent:
    """The event that a record carries; its key is the event's `partitionkey`.

    Strict: raises `BadRecord` for anything that isn't a CloudEvent 1.0 with JSON data or none.
    """
    attributes, content_type = _read_headers(headers)
    if content_type != "application/json" and content_type.lower().startswith("application/cloudevents"):
        if content_type.partition(";")[0].strip().lower() != STRUCTURED:
            raise _malformed("content-type is neither JSON nor application/cloudevents+json")
        attributes, data = _read_structured(value)
    else:
        data = value
        if content_type and content_type != "application/json" and _JSON_TYPE.fullmatch(content_type) is None:
            raise _malformed("content-type isn't JSON")
    return _event(key, attributes, data)


def _read_headers(headers: Iterable[tuple[str, bytes | None]]) -> tuple[dict[str, str], str]:
    """The `ce_` attributes, checked, and the content type."""
    attributes: dict[str, str] = {}
    content_type = ""
    for header, raw in headers:
        name = _USUAL_HEADERS.get(header) or (header[3:] if header.startswith("ce_") else None)
        if name is not None:
            if name in attributes:
                raise _malformed(f"{_shown(name)} is there twice")
            attributes[name] = _repeated(name, raw) if name in _REPEATED else _string(name, _text(name, raw))
        elif header == "content-type" or header.lower() == "content-type":
            if content_type:
                raise _malformed("content-type is there twice")
            content_type = _repeated_text("content-type", raw)
    return attributes, content_type


def _read_structured(value: bytes | None) -> tuple[dict[str, str], bytes | None]:
    """The attributes, checked, and the data as JSON again."""
    if value is None:
        raise _malformed("a structured event has no value")
    try:
        members = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _malformed("the value isn't JSON") from None
    if not isinstance(members, dict):
        raise _malformed("the value isn't a JSON object")
    data = _structured_data(members)
    if members.pop("datacontenttype", None) is not None and data is None:
        raise _malformed("datacontenttype without data")
    return {n: _string(n, _json_scalar(n, v)) for n, v in members.items() if v is not None}, data


def _structured_data(members: dict[str, Any]) -> bytes | None:  # Any: JSON that isn't checked yet
    """Takes the data out of the JSON object. JSON format 1.0.2, 3.1."""
    content_type = members.get("datacontenttype")
    if content_type is not None and (not isinstance(content_type, str) or _JSON_TYPE.fullmatch(content_type) is None):
        raise _malformed("datacontenttype isn't JSON")
    encoded, data = members.pop("data_base64", None), members.pop("data", None)
    if encoded is not None:
        if data is not None:
            raise _malformed("data and data_base64 are both there")
        try:
            return base64.b64decode(encoded, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise _malformed("data_base64 isn't base64") from None
    if data is None:
        return None
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError:
        raise _malformed("data is nested too deeply") from None


def _json_scalar(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise _malformed(f"{_shown(name)} isn't a string, an integer or a boolean")


def _event(key: bytes | None, attributes: dict[str, str], data: bytes | None) -> CloudEvent:
    take = attributes.pop
    if take("specversion", None) != "1.0":
        raise _malformed("specversion isn't 1.0")
    try:
        id_, source, type_ = take("id"), take("source"), take("type")
    except KeyError as missing:
        raise _malformed(f"{missing.args[0]} is missing") from None
    subject, time, dataschema = take("subject", None), take("time", None), take("dataschema", None)
    for reserved in ("data", "datacontenttype"):
        if reserved in attributes:
            raise _malformed(f"{reserved} can't be an attribute here")
    if key is not None:
        try:
            attributes["partitionkey"] = key.decode()
        except UnicodeDecodeError:
            raise BadRecord(DeadLetterCode.WRONG_KEY, "the key isn't UTF-8") from None
    at = _time(time) if time is not None else None
    return CloudEvent(id_, source, type_, subject, at, dataschema, data, attributes)


def _text(name: str, raw: bytes | None) -> str:
    try:
        if raw is not None:
            return raw.decode()
    except UnicodeDecodeError:
        raise _malformed(f"{_shown(name)} isn't UTF-8") from None
    raise _malformed(f"{_shown(name)} has no value")


# What a producer writes alike into every record is read once. A record that is refused is never kept.
_REPEATED = frozenset({"specversion", "type", "source"})
_repeated_text = lru_cache(maxsize=64)(_text)


@lru_cache(maxsize=1024)
def _repeated(name: str, raw: bytes | None) -> str:
    return _string(name, _text(name, raw))


def _string(name: str, text: str) -> str:
    if name not in _USUAL and _NAME.fullmatch(name) is None:
        raise _malformed("an attribute's name isn't made of a-z and 0-9")
    # What is printable holds nothing that is forbidden; the rest (a no-break space, say) may still be allowed.
    if not (text.isprintable() and 0 < len(text) <= MAX_ATTRIBUTE_CHARS) and _STRING.fullmatch(text) is None:
        raise _malformed(f"{name} is empty, longer than {MAX_ATTRIBUTE_CHARS} characters or holds control characters")
    return text


def _time(text: str) -> datetime:
    if _TIME.fullmatch(text) is not None:
        try:
            time = datetime.fromisoformat(text.upper())
            return time if time.tzinfo is UTC else time.astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # no such day, or before the year 1 in UTC: as wrong as another form
    raise _malformed("time isn't an RFC 3339 time")


def _shown(name: str) -> str:
    """A name as far as it may be told: one of ours to read, else nothing of what the producer wrote."""
    return name if _NAME.fullmatch(name) or name == "content-type" else "an attribute"


def _malformed(detail: str) -> BadRecord:
    return BadRecord(DeadLetterCode.MALFORMED, detail)


# Writing.

_CONTENT_TYPE: Header = ("content-type", b"application/json")
_SPECVERSION: Header = ("ce_specversion", b"1.0")


@lru_cache(maxsize=64)
def constant_headers(type_: str, dataschema: str, *, tombstone: bool = False) -> tuple[Header, ...]:
    """The headers that are alike on all events of a type. A tombstone has no data, so it names no content type."""
    of_type: tuple[Header, ...] = (_SPECVERSION, ("ce_type", type_.encode()))
    if tombstone:
        return of_type
    return (_CONTENT_TYPE, *of_type, ("ce_dataschema", dataschema.encode()))


def context_headers(
    *,
    source: str,
    subject: str,
    time: str,
    sequence: int,
    traceparent: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> list[Header]:
    """The headers that all records of one transition share; `constant_headers` and `ce_id` complete them.

    The record's key is `subject`. `time` is RFC 3339. `sequence` is the connector's version; it is written with ten
    digits, since the extension wants strings that sort (CloudEvents extension Sequence).
    """
    connector = subject.encode()
    headers = [
        ("ce_source", source.encode()),
        ("ce_subject", connector),
        ("ce_time", time.encode()),
        ("ce_partitionkey", connector),
        ("ce_sequence", b"%010d" % sequence),
    ]
    if traceparent is not None:
        headers.append(("ce_traceparent", traceparent.encode()))
    if correlation_id is not None:
        headers.append(("ce_correlationid", correlation_id.encode()))
    if causation_id is not None:
        headers.append(("ce_causationid", causation_id.encode()))
    return headers
