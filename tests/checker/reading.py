"""Which input records can be handled at all: a strict reader of the checker's own.

Written from CloudEvents 1.0.2 with its Kafka binding and JSON format, from docs/integrate.md and from the JSON Schemas
of the data. Of several faults the outermost counts: size, envelope, type, topic, subject and key, time, data.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tests.checker.envelope import Headers, Unreadable, check_attributes, check_size, demand, envelope
from tests.checker.fields import body_of, run_of

SYNC_EVENTS = "connectors.sync.events.v1"
COMMANDS = "connectors.commands.v1"

UNREADABLE = frozenset(
    {"malformed", "oversized", "unknown_type", "unknown_version", "wrong_topic", "wrong_key", "schema", "unmapped"}
)
"""The codes of records that can't be read, whatever the state of anything."""

_SYNC, _COMMAND = "io.regrant.sync.", "io.regrant.connector."
_UNMAPPED = "io.regrant.adapter.unmapped.v1"


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
    check_size(value, headers)
    attributes, data = envelope(value, headers)
    at = check_attributes(attributes, key)
    demand(attributes["type"] != _UNMAPPED, "unmapped")
    word = _word(attributes["type"], topic)
    connector = _connector(attributes.get("subject"), key)
    if at is None:
        raise Unreadable("schema")
    body = body_of(word.trigger, data)
    return Event(attributes["id"], connector, word, run_of(body) or at, body.get("generation"))


# What it is, and about whom.

_CONNECTOR_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_VERSIONED = re.compile(r"(.+)\.v\d{1,9}", re.ASCII)


def _word(type_: str, topic: str) -> Word:
    word = WORDS.get(type_)
    if word is None:
        versioned = _VERSIONED.fullmatch(type_)
        raise Unreadable("unknown_version" if versioned and f"{versioned[1]}.v1" in WORDS else "unknown_type")
    demand(word.topic == topic, "wrong_topic")
    return word


def _connector(subject: str | None, key: bytes | None) -> str:
    if subject is None or not _CONNECTOR_ID.fullmatch(subject):
        raise Unreadable("schema")
    demand(key == subject.encode(), "wrong_key")
    return subject
