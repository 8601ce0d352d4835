"""Which input records can be handled at all: a strict reader of the checker's own.

Written from CloudEvents 1.0.2 with its Kafka binding and JSON format, from docs/integrate.md and from the JSON Schemas
of the data. Of several faults the outermost counts: size, envelope, type, topic, subject and key, time, data.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

Headers = Iterable[tuple[str, bytes | None]]
Json = Any  # what JSON can hold

SYNC_EVENTS = "connectors.sync.events.v1"
COMMANDS = "connectors.commands.v1"

MAX_VALUE_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024

UNREADABLE = frozenset(
    {"malformed", "oversized", "unknown_type", "unknown_version", "wrong_topic", "wrong_key", "schema"}
)
"""The codes of records that can't be read, whatever the state of anything."""

_SYNC, _COMMAND = "io.regrant.sync.", "io.regrant.connector."


@dataclass(frozen=True, slots=True)
class Word:
    """A type of record: where it belongs, and for what the lifecycle may refuse it."""

    topic: str
    trigger: str
    refusals: frozenset[str]


def _words() -> dict[str, Word]:
    gone = frozenset({"unknown_connector", "connector_deleted"})
    events = {f"{_SYNC}{name}.v1": f"sync_{name}" for name in ("started", "succeeded", "failed")}
    commands = {
        "register": frozenset({"id_taken", "connector_deleted", "unknown_provider"}),
        "update": gone,
        # An attempt's id that was used before is taken.
        "start_reauth": gone | {"login_does_not_help", "verification_running", "id_taken"},
        "disconnect": gone,
        "delete": frozenset({"unknown_connector"}),
    }
    words = {type_: Word(SYNC_EVENTS, said, frozenset({"unknown_connector"})) for type_, said in events.items()}
    return words | {f"{_COMMAND}{name}.v1": Word(COMMANDS, name, codes) for name, codes in commands.items()}


WORDS: Mapping[str, Word] = _words()


class Unreadable(Exception):
    """The record can't be handled: why, as a dead letter's code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Event:
    """A record that can be read."""

    id: str
    connector: str
    word: Word
    run: datetime
    """What orders the runs of a connector: when the run began, else when the event happened."""
    generation: int | None
    """The credential that the run used, where the host tells."""


def read(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> Event:
    """Reads a record of an input topic (named without the deployment's prefix), or raises `Unreadable`."""
    headers = list(headers)
    if (
        len(value or b"") > MAX_VALUE_BYTES
        or sum(len(n.encode()) + len(v or b"") for n, v in headers) > MAX_HEADER_BYTES
    ):
        raise Unreadable("oversized")
    attributes, data = _envelope(value, headers)
    at = _check_attributes(attributes, key)
    word = _word(attributes["type"], topic)
    connector = _connector(attributes.get("subject"), key)
    if at is None:
        raise Unreadable("schema")
    body = _body(word, data)
    return Event(attributes["id"], connector, word, _run(body) or at, body.get("generation"))


# The envelope.

_NAME = re.compile(r"[a-z0-9]{1,64}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_JSON_TYPE = re.compile(r"(application/json|[a-z]+/[a-z0-9.+-]+\+json)\s*(;.*)?", re.IGNORECASE)
MAX_ATTRIBUTE_CHARS = 1000


def _envelope(value: bytes | None, headers: Headers) -> tuple[dict[str, str], bytes | Json | None]:
    """The attributes; the data as bytes in binary mode, as JSON in structured mode, `None` without any."""
    attributes: dict[str, str] = {}
    content_type = ""
    for header, raw in headers:
        if header.startswith("ce_"):
            _demand(header[3:] not in attributes)
            attributes[header[3:]] = _attribute(header[3:], _utf8(raw))
        elif header.lower() == "content-type":
            _demand(not content_type)
            content_type = _utf8(raw)
    if content_type.lower().startswith("application/cloudevents"):
        _demand(content_type.partition(";")[0].strip().lower() == "application/cloudevents+json")
        return _structured(value)
    _demand(not content_type or _JSON_TYPE.fullmatch(content_type))
    return attributes, value or None


def _structured(value: bytes | None) -> tuple[dict[str, str], bytes | Json | None]:
    members = _json(value)
    _demand(isinstance(members, dict))
    members = {name: member for name, member in members.items() if member is not None}
    content_type = members.pop("datacontenttype", "application/json" if "data" in members else "")
    _demand(isinstance(content_type, str))
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    _demand(not content_type or _JSON_TYPE.fullmatch(content_type))
    _demand(data is None or encoded is None)
    _demand(not content_type or data is not None or encoded is not None)
    if encoded is not None:
        _demand(isinstance(encoded, str))
        try:
            data = base64.b64decode(encoded, validate=True) or None
        except ValueError:
            raise Unreadable("malformed") from None
    return {name: _attribute(name, _scalar(member)) for name, member in members.items()}, data


def _check_attributes(attributes: Mapping[str, str], key: bytes | None) -> datetime | None:
    """What CloudEvents asks of an event; returns its time."""
    _demand(attributes.get("specversion") == "1.0")
    _demand(all(name in attributes for name in ("id", "source", "type")))
    _demand("data" not in attributes and "datacontenttype" not in attributes)
    try:
        (key or b"").decode()  # the Kafka binding: the key is the attribute `partitionkey`, so a string
    except UnicodeDecodeError:
        raise Unreadable("wrong_key") from None
    time = attributes.get("time")
    if time is None:
        return None
    _demand(_RFC_3339.fullmatch(time))
    try:
        return datetime.fromisoformat(time.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("malformed") from None


def _attribute(name: str, text: str) -> str:
    _demand(_NAME.fullmatch(name) and 0 < len(text) <= MAX_ATTRIBUTE_CHARS and not _CONTROL.search(text))
    return text


def _scalar(member: Json) -> str:
    if isinstance(member, bool):
        return str(member).lower()
    _demand(isinstance(member, str | int))
    return str(member)


def _utf8(raw: bytes | None) -> str:
    _demand(raw is not None)
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError:
        raise Unreadable("malformed") from None


def _json(content: bytes | None) -> Json:
    try:
        return orjson.loads(content or b"")
    except orjson.JSONDecodeError:
        raise Unreadable("malformed") from None


def _demand(holds: object, code: str = "malformed") -> None:
    if not holds:
        raise Unreadable(code)


# What it is, and about whom.

_CONNECTOR_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_VERSIONED = re.compile(r"(.+)\.v\d{1,9}", re.ASCII)


def _word(type_: str, topic: str) -> Word:
    word = WORDS.get(type_)
    if word is None:
        versioned = _VERSIONED.fullmatch(type_)
        raise Unreadable("unknown_version" if versioned and f"{versioned[1]}.v1" in WORDS else "unknown_type")
    _demand(word.topic == topic, "wrong_topic")
    return word


def _connector(subject: str | None, key: bytes | None) -> str:
    if subject is None or not _CONNECTOR_ID.fullmatch(subject):
        raise Unreadable("schema")
    _demand(key == subject.encode(), "wrong_key")
    return subject


# The data: for each field whether a value fits.

Fits = Callable[[Json], bool]


def _text(most: int, least: int = 0, pattern: str | None = None) -> Fits:
    shape = re.compile(pattern or ".*", re.DOTALL)
    return lambda v: isinstance(v, str) and least <= len(v) <= most and shape.fullmatch(v) is not None


def _whole(least: int, most: float = float("inf")) -> Fits:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v <= most


def _number(v: Json) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool) and v >= 0


def _one_of(*values: str) -> Fits:
    return lambda v: isinstance(v, str) and v in values


def _or_null(fits: Fits) -> Fits:
    return lambda v: v is None or fits(v)


def _bool(v: Json) -> bool:
    return isinstance(v, bool)


def _uuid(v: Json) -> bool:
    try:
        return isinstance(v, str) and UUID(v) is not None
    except ValueError:
        return False


# Reading more than RFC 3339 is no violation: a space for the T, no seconds, seconds since 1970 as a string.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt _]\d\d:\d\d(:\d\d([.,]\d+)?)?([Zz]|[+-\u2212]\d\d:?\d\d)", re.ASCII)
_SECONDS = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def _instant(text: str) -> datetime | None:
    try:
        if _INSTANT.fullmatch(text):
            spelled = text.upper().replace("_", "T").replace("\u2212", "-")
            return datetime.fromisoformat(spelled).astimezone(UTC)
        return datetime.fromtimestamp(float(text), UTC) if _SECONDS.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def _is_instant(v: Json) -> bool:
    return isinstance(v, str) and _instant(v) is not None


REASONS = (
    "token_refused",
    "grant_revoked",
    "access_revoked",
    "user_deactivated",
    "account_inactive",
    "client_rejected",
    "rate_limited",
    "provider_unavailable",
    "network_error",
    "sync_fault",
)
"""What a host may give as a failed sync's reason."""

_ERROR: dict[str, Fits] = {
    "status": _or_null(_whole(100, 599)),
    "body": _text(65_536),
    "request_id": _or_null(_text(200)),
    "retry_after_s": _or_null(_number),
}


def _error(v: Json) -> bool:
    return (
        isinstance(v, dict)
        and _one_of("api", "token", "network")(v.get("at"))
        and all(fits(v[name]) for name, fits in _ERROR.items() if name in v)
    )


_NO_NUL = r"[^\x00]*"
_ID = r"[A-Za-z0-9._~-]{1,128}"
_RUN: dict[str, Fits] = {"started_at": _or_null(_is_instant), "generation": _or_null(_whole(0))}
_FIELDS: dict[str, dict[str, Fits]] = {
    "sync_started": _RUN,
    "sync_succeeded": _RUN,
    "sync_failed": _RUN
    | {
        "error": _or_null(_error),
        "reason": _or_null(_one_of(*REASONS)),
        "position": _or_null(_text(1000, pattern=_NO_NUL)),
    },
    "register": {
        "tenant_id": _text(128, pattern=_ID),
        "provider": _text(64, pattern=r"[a-z0-9-]{1,64}"),
        "name": _text(200, 1, r"[^\x00-\x1f\x7f]+"),
        "connected": _bool,
    },
    "update": {"name": _text(200, 1, r"[^\x00-\x1f\x7f]+")},
    "start_reauth": {"attempt_id": _uuid},
    "disconnect": {},
    "delete": {},
}
_NEEDED = {"register": ("tenant_id", "provider", "name"), "update": ("name",), "start_reauth": ("attempt_id",)}


def _body(word: Word, data: bytes | Json | None) -> dict[str, Json]:
    """The data, which fits its schema. Fields of a newer producer are allowed."""
    body = {} if data is None else _json(data) if isinstance(data, bytes) else data
    fields = _FIELDS[word.trigger]
    _demand(isinstance(body, dict), "schema")
    _demand(all(fits(body[name]) for name, fits in fields.items() if name in body), "schema")
    _demand(all(name in body for name in _NEEDED.get(word.trigger, ())), "schema")
    if word.trigger == "sync_failed":
        _demand(body.get("reason") is not None or body.get("error") is not None, "schema")
    return body


def _run(body: Mapping[str, Json]) -> datetime | None:
    started = body.get("started_at")
    return _instant(started) if isinstance(started, str) else None
