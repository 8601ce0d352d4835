"""CloudEvents 1.0.2 on Kafka, read strictly: the Kafka protocol binding and the JSON event format."""

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

Headers = Iterable[tuple[str, bytes | None]]
Json = Any  # what JSON can hold

MAX_VALUE_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024


class Unreadable(Exception):
    """The record can't be handled: why, as a dead letter's code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


_NAME = re.compile(r"[a-z0-9]{1,64}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_JSON_TYPE = re.compile(r"(application/json|[a-z]+/[a-z0-9.+-]+\+json)\s*(;.*)?", re.IGNORECASE)
MAX_ATTRIBUTE_CHARS = 1000


def envelope(value: bytes | None, headers: Headers) -> tuple[dict[str, str], bytes | Json | None]:
    """The attributes; the data as bytes in binary mode, as JSON in structured mode, `None` without any."""
    attributes: dict[str, str] = {}
    content_type = ""
    for header, raw in headers:
        if header.startswith("ce_"):
            demand(header[3:] not in attributes)
            attributes[header[3:]] = _attribute(header[3:], _utf8(raw))
        elif header.lower() == "content-type":
            demand(not content_type)
            content_type = _utf8(raw)
    if content_type.lower().startswith("application/cloudevents"):
        demand(content_type.partition(";")[0].strip().lower() == "application/cloudevents+json")
        return _structured(value)
    demand(not content_type or _JSON_TYPE.fullmatch(content_type))
    return attributes, value or None


def _structured(value: bytes | None) -> tuple[dict[str, str], bytes | Json | None]:
    members = parse(value)
    demand(isinstance(members, dict))
    members = {name: member for name, member in members.items() if member is not None}
    content_type = members.pop("datacontenttype", "application/json" if "data" in members else "")
    demand(isinstance(content_type, str))
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    demand(not content_type or _JSON_TYPE.fullmatch(content_type))
    demand(data is None or encoded is None)
    demand(not content_type or data is not None or encoded is not None)
    if encoded is not None:
        demand(isinstance(encoded, str))
        try:
            data = base64.b64decode(encoded, validate=True) or None
        except ValueError:
            raise Unreadable("malformed") from None
    return {name: _attribute(name, _scalar(member)) for name, member in members.items()}, data


def check_attributes(attributes: Mapping[str, str], key: bytes | None) -> datetime | None:
    """What CloudEvents asks of an event; returns its time."""
    demand(attributes.get("specversion") == "1.0")
    demand(all(name in attributes for name in ("id", "source", "type")))
    demand("data" not in attributes and "datacontenttype" not in attributes)
    try:
        (key or b"").decode()  # the Kafka binding: the key is the attribute `partitionkey`, so a string
    except UnicodeDecodeError:
        raise Unreadable("wrong_key") from None
    time = attributes.get("time")
    if time is None:
        return None
    demand(_RFC_3339.fullmatch(time))
    try:
        return datetime.fromisoformat(time.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("malformed") from None


def _attribute(name: str, text: str) -> str:
    demand(_NAME.fullmatch(name) and 0 < len(text) <= MAX_ATTRIBUTE_CHARS and not _CONTROL.search(text))
    return text


def _scalar(member: Json) -> str:
    if isinstance(member, bool):
        return str(member).lower()
    demand(isinstance(member, str | int))
    return str(member)


def _utf8(raw: bytes | None) -> str:
    demand(raw is not None)
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError:
        raise Unreadable("malformed") from None


def parse(content: bytes | None) -> Json:
    try:
        return orjson.loads(content or b"")
    except orjson.JSONDecodeError:
        raise Unreadable("malformed") from None


def demand(holds: object, code: str = "malformed") -> None:
    if not holds:
        raise Unreadable(code)


def check_size(value: bytes | None, headers: Headers) -> None:
    demand(len(value or b"") <= MAX_VALUE_BYTES, "oversized")
    demand(sum(len(name.encode()) + len(raw or b"") for name, raw in headers) <= MAX_HEADER_BYTES, "oversized")
