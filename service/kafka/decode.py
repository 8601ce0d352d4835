"""From a Kafka record to an input of the lifecycle: every word that the host may say, and how it may be wrong."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas import channels, records
from schemas.channels import Channel, Message
from schemas.dead_letters import DeadLetterCode
from schemas.ids import AttemptId, ConnectorId, Generation, ProviderId, TenantId
from schemas.lifecycle import ActorKind
from schemas.reasons import Reason
from schemas.value import value
from service.engine.submission import Actor, ReportedFailure, Trace
from service.kafka.cloudevents import BadRecord, CloudEvent, from_record
from statemachine import inputs
from statemachine.inputs import Input

MAX_VALUE_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024

UNMAPPED_TYPE = "io.regrant.adapter.unmapped.v1"
"""What an adapter writes when it can't make an event of a webhook: the webhook's bytes, bound for the dead letters."""
UNMAPPED_WHY = "unmapped"
"""The attribute that says what is missing."""

Body = TypeVar("Body", bound=BaseModel)
Said: TypeAlias = Input | ReportedFailure
ToInput: TypeAlias = Callable[[ConnectorId, datetime, str, Body], Said]
"""From the connector, when it was said, the event's id and the data."""


@value()
class Decoded:
    """What a record says, ready to be submitted."""

    input: Said
    actor: Actor
    """Who says it; its id is the event's `source`."""
    event_id: str
    trace: Trace
    """The event is the cause of what follows; without a correlation of its own it begins one."""
    evidence: records.Evidence | None = None
    """What the provider said, where the host judged it already."""

    @property
    def connector(self) -> ConnectorId:
        return self.input.connector


@dataclass(frozen=True, slots=True)
class _Word(Generic[Body]):
    """One type of record: where it belongs, who says it, how its data is read, and which input it makes."""

    message: Message
    channel: Channel
    actor: ActorKind
    read: TypeAdapter[Body]
    to_input: ToInput[Body]


def decode(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]], *, topic: str
) -> Decoded:
    """Reads a record of the input topic `topic`, named without the deployment's prefix.

    Raises `BadRecord`, whose code and detail go beside the untouched record into the dead letters.
    """
    _check_size(value, headers)
    event = from_record(key, value, headers)
    if event.type == UNMAPPED_TYPE:
        raise BadRecord(DeadLetterCode.UNMAPPED, event.extensions.get(UNMAPPED_WHY, "what it is about"))
    word = _word_for(event.type, topic)
    connector = _connector(event, key)
    if event.time is None:
        raise _wrong("time", "missing")
    body = _read(word.read, event.data or b"{}")
    return Decoded(
        word.to_input(connector, event.time, event.id, body),
        _actor(word.actor, event.source),
        event.id,
        _trace(event),
        _evidence(body),
    )


def _check_size(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> None:
    if value is not None and len(value) > MAX_VALUE_BYTES:
        raise BadRecord(DeadLetterCode.OVERSIZED, f"the value has more than {MAX_VALUE_BYTES} bytes")
    header_bytes = 0
    for name, raw in headers:
        header_bytes += len(name) + (len(raw) if raw is not None else 0)
    if header_bytes > MAX_HEADER_BYTES:
        raise BadRecord(DeadLetterCode.OVERSIZED, f"the headers have more than {MAX_HEADER_BYTES} bytes")


_VERSIONED = re.compile(r"(.+)\.v(\d{1,9})", re.ASCII)


def _word_for(type_: str, topic: str) -> "_Word[Any]":  # Any: each word has its own model
    word = _WORDS.get(type_)
    if word is None:
        versioned = _VERSIONED.fullmatch(type_)
        if versioned is not None and versioned[1] in _NAMES:
            raise BadRecord(DeadLetterCode.UNKNOWN_VERSION, "the type's major version isn't v1")
        raise BadRecord(DeadLetterCode.UNKNOWN_TYPE, "the type isn't one of " + ", ".join(_WORDS))
    if word.channel.topic != topic:
        raise BadRecord(DeadLetterCode.WRONG_TOPIC, f"{type_} belongs on {word.channel.topic}")
    return word


_CONNECTOR_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def _connector(event: CloudEvent, key: bytes | None) -> ConnectorId:
    if event.subject is None:
        raise _wrong("subject", "missing")
    if _CONNECTOR_ID.fullmatch(event.subject) is None:
        raise _wrong("subject", "string_pattern_mismatch")
    if key is None:
        raise BadRecord(DeadLetterCode.WRONG_KEY, "the key is missing: it must be the connector id")
    if key != event.subject.encode():
        raise BadRecord(DeadLetterCode.WRONG_KEY, "the key isn't the connector id in the subject")
    return ConnectorId(event.subject)


def _read(adapter: TypeAdapter[Body], data: bytes) -> Body:
    try:
        body = adapter.validate_json(data, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise BadRecord(DeadLetterCode.MALFORMED, "the data isn't JSON") from None
        wrong = [f"{'.'.join(map(str, e['loc'])) or 'data'}: {e['type']}" for e in found[:5]]
        raise BadRecord(DeadLetterCode.SCHEMA, "; ".join(wrong)) from None
    # In a field that is ignored, pydantic lets numbers pass that RFC 8259 doesn't have.
    if b"NaN" in data or b"Infinity" in data:
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError:
            raise BadRecord(DeadLetterCode.MALFORMED, "the data isn't JSON") from None
    # PostgreSQL's text can't hold NUL, and one such string would hold up every record of its batch.
    if b"\\u0000" in data:
        for name, text in body:
            if isinstance(text, str) and "\0" in text:
                raise _wrong(name, "null_character")
    return body


# W3C Trace Context, 3.2: a wrong traceparent is ignored.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def _trace(event: CloudEvent) -> Trace:
    parent = event.extensions.get("traceparent")
    if parent is not None and _TRACEPARENT.fullmatch(parent) is None:
        parent = None
    return Trace(event.extensions.get("correlationid", event.id), event.id, parent)


def _wrong(field: str, kind: str) -> BadRecord:
    return BadRecord(DeadLetterCode.SCHEMA, f"{field}: {kind}")


_actor = lru_cache(maxsize=1024)(Actor)


# The words.


def _generation(body: records.SyncRun) -> Generation | None:
    return None if body.generation is None else Generation(body.generation)


def _started(body: records.SyncRun) -> datetime | None:
    if body.started_at is None:
        return None
    try:
        started = body.started_at
        return started if started.tzinfo is UTC else started.astimezone(UTC)
    except OverflowError:  # before the year 1, or after 9999, in UTC
        raise _wrong("started_at", "datetime_out_of_range") from None


def _sync_started(connector: ConnectorId, occurred: datetime, event_id: str, body: records.SyncStarted) -> Input:
    return inputs.SyncStarted(
        connector=connector, occurred=occurred, started=_started(body), generation=_generation(body)
    )


def _sync_succeeded(connector: ConnectorId, occurred: datetime, event_id: str, body: records.SyncSucceeded) -> Input:
    return inputs.SyncSucceeded(
        connector=connector, occurred=occurred, started=_started(body), generation=_generation(body)
    )


REASONS_OF_A_SYNC = frozenset(
    {
        Reason.TOKEN_REFUSED,
        Reason.GRANT_REVOKED,
        Reason.ACCESS_REVOKED,
        Reason.USER_DEACTIVATED,
        Reason.ACCOUNT_INACTIVE,
        Reason.CLIENT_REJECTED,
        Reason.RATE_LIMITED,
        Reason.PROVIDER_UNAVAILABLE,
        Reason.NETWORK_ERROR,
        Reason.SYNC_FAULT,
    }
)
"""The reasons that a host may give for a failed sync; the others are regrant's own to say."""


def _sync_failed(connector: ConnectorId, occurred: datetime, event_id: str, body: records.SyncFailed) -> Said:
    started, generation = _started(body), _generation(body)
    if body.reason is not None:
        if body.reason not in REASONS_OF_A_SYNC:
            raise _wrong("reason", "not_a_reason_of_a_sync")
        return inputs.SyncFailed(
            connector=connector,
            occurred=occurred,
            started=started,
            generation=generation,
            reason=body.reason,
            position=body.position,
        )
    if body.error is None:
        raise _wrong("error", "missing, and so is reason")
    return ReportedFailure(
        connector=connector,
        occurred=occurred,
        started=started,
        generation=generation,
        position=body.position,
        error=body.error,
    )


def _evidence(body: BaseModel) -> records.Evidence | None:
    if not isinstance(body, records.SyncFailed) or body.reason is None or body.error is None:
        return None
    return records.Evidence(at=body.error.at, status=body.error.status, request_id=body.error.request_id)


def _register(connector: ConnectorId, occurred: datetime, event_id: str, body: records.Register) -> Input:
    return inputs.Register(
        connector=connector,
        tenant=TenantId(body.tenant_id),
        provider=ProviderId(body.provider),
        name=body.name,
        connected=body.connected,
    )


def _update(connector: ConnectorId, occurred: datetime, event_id: str, body: records.Update) -> Input:
    return inputs.Update(connector=connector, said=occurred, event=event_id, name=body.name)


def _start_reauth(connector: ConnectorId, occurred: datetime, event_id: str, body: records.StartReauth) -> Input:
    return inputs.StartReauth(connector=connector, said=occurred, event=event_id, attempt=AttemptId(body.attempt_id))


def _disconnect(connector: ConnectorId, occurred: datetime, event_id: str, body: records.Disconnect) -> Input:
    return inputs.Disconnect(connector=connector, said=occurred, event=event_id)


def _delete(connector: ConnectorId, occurred: datetime, event_id: str, body: records.Delete) -> Input:
    return inputs.Delete(connector=connector)


def _event(message: Message, model: type[Body], to_input: ToInput[Body]) -> _Word[Body]:
    return _Word(message, channels.SYNC_EVENTS, ActorKind.SYNC_ENGINE, TypeAdapter(model), to_input)


def _command(message: Message, model: type[Body], to_input: ToInput[Body]) -> _Word[Body]:
    return _Word(message, channels.COMMANDS, ActorKind.HOST, TypeAdapter(model), to_input)


_WORDS: dict[str, _Word[Any]] = {  # Any: each word has its own model
    word.message.type: word
    for word in (
        _event(channels.SYNC_STARTED, records.SyncStarted, _sync_started),
        _event(channels.SYNC_SUCCEEDED, records.SyncSucceeded, _sync_succeeded),
        _event(channels.SYNC_FAILED, records.SyncFailed, _sync_failed),
        _command(channels.REGISTER, records.Register, _register),
        _command(channels.UPDATE, records.Update, _update),
        _command(channels.START_REAUTH, records.StartReauth, _start_reauth),
        _command(channels.DISCONNECT, records.Disconnect, _disconnect),
        _command(channels.DELETE, records.Delete, _delete),
    )
}
_NAMES = {type_.rpartition(".v")[0] for type_ in _WORDS}
