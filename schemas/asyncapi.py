"""The AsyncAPI 3.1 document: the topics and what is on them, with the Kafka bindings 0.5.0."""

from typing import Any

from schemas import samples
from schemas.channels import CHANNELS, INPUTS, Channel, Message
from schemas.dead_letters import DeadLetterCode, DeadLetterHeader
from schemas.json_schema import JSON, components
from schemas.lifecycle import Described

BINDING = "0.5.0"
_KEY = {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$", "description": "The connector id."}


def asyncapi(version: str) -> JSON:
    """The document, for the release `version`."""
    messages = [message for channel in CHANNELS for message in channel.messages]
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "regrant on Kafka",
            "version": version,
            "description": "CloudEvents 1.0, keyed by connector id: binary mode out, binary and structured mode in. "
            "Deployments may put a prefix before every topic.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {c.topic: _channel(c) for c in CHANNELS}
        | {c.dead_letters: _dead_letter_channel(c) for c in INPUTS},
        "operations": {_operation_id(c): _operation(c) for c in CHANNELS}
        | {f"send.{c.dead_letters}": _dead_letter_operation(c) for c in INPUTS},
        "components": {
            "messages": {m.name: _message(m) for m in messages}
            | {"tombstone": _tombstone(), "dead_letter": _dead_letter()},
            "schemas": components([m.data for m in messages], "#/components/schemas/"),
        },
    }


def _operation_id(channel: Channel) -> str:
    return f"{'receive' if channel.direction == 'in' else 'send'}.{channel.topic}"


def _names(channel: Channel) -> list[str]:
    return [m.name for m in channel.messages] + (["tombstone"] if channel.tombstones else [])


def _channel(channel: Channel) -> JSON:
    return {
        "address": channel.topic,
        "summary": channel.summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(channel)},
        "bindings": _channel_binding("compact" if channel.tombstones else "delete"),
    }


def _dead_letter_channel(channel: Channel) -> JSON:
    return {
        "address": channel.dead_letters,
        "summary": f"Records of {channel.topic} that couldn't be handled, untouched, with why.",
        "messages": {"dead_letter": {"$ref": "#/components/messages/dead_letter"}},
        "bindings": _channel_binding("delete"),
    }


def _channel_binding(policy: str) -> JSON:
    return {"kafka": {"topicConfiguration": {"cleanup.policy": [policy]}, "bindingVersion": BINDING}}


def _operation(channel: Channel) -> JSON:
    at = f"#/channels/{channel.topic}"
    return {
        "action": "receive" if channel.direction == "in" else "send",
        "channel": {"$ref": at},
        "summary": channel.summary,
        "messages": [{"$ref": f"{at}/messages/{name}"} for name in _names(channel)],
    }


def _dead_letter_operation(channel: Channel) -> JSON:
    at = f"#/channels/{channel.dead_letters}"
    return {
        "action": "send",
        "channel": {"$ref": at},
        "summary": f"What couldn't be handled of {channel.topic}.",
        "messages": [{"$ref": f"{at}/messages/dead_letter"}],
    }


def _message(message: Message) -> JSON:
    model = message.data.__name__
    return {
        "name": message.type,
        "title": model,
        "summary": message.summary,
        "contentType": "application/json",
        "headers": _cloud_event(message.type),
        "payload": {"$ref": f"#/components/schemas/{model}"},
        "bindings": _message_binding(),
        "examples": [{"name": model, "payload": samples.RECORDS[model]}],
    }


def _tombstone() -> JSON:
    return {
        "name": "tombstone",
        "title": "Tombstone",
        "summary": "The connector was deleted: a record with its key and no value.",
        "headers": _cloud_event("io.regrant.connector.state.v1"),
        "payload": {"type": "null"},
        "bindings": _message_binding(),
    }


def _dead_letter() -> JSON:
    return {
        "name": "dead_letter",
        "title": "DeadLetter",
        "summary": "The record as it was, key, value and headers, with why it couldn't be handled.",
        "headers": {
            "type": "object",
            "required": [header.value for header in DeadLetterHeader],
            "properties": {header.value: _dead_letter_header(header) for header in DeadLetterHeader},
        },
        "payload": {"description": "Any bytes, or none."},
        "bindings": {"kafka": {"bindingVersion": BINDING}},
    }


def _dead_letter_header(header: DeadLetterHeader) -> JSON:
    if header is DeadLetterHeader.CODE:
        return {"type": "string", "description": header.sentence, **_values(DeadLetterCode)}
    return {"type": "string", "description": header.sentence}


def _values(kind: type[Described]) -> JSON:
    return {"enum": [m.value for m in kind], "x-enum-descriptions": [m.sentence for m in kind]}


def _message_binding() -> JSON:
    return {"kafka": {"key": _KEY, "bindingVersion": BINDING}}


def _cloud_event(type_: str) -> JSON:
    """The headers of a record in binary mode."""

    def text(description: str, **more: Any) -> JSON:  # Any: further keywords of JSON Schema
        return {"type": "string", "description": description, **more}

    return {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time"],
        "properties": {
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_type": {"type": "string", "const": type_},
            "ce_id": text("The same for every repeat of the event."),
            "ce_source": text("Who wrote it: of regrant, `/regrant/tenants/<tenant>`.", format="uri-reference"),
            "ce_subject": text("The connector id, which is the record's key, too."),
            "ce_time": text("When it happened, by the writer's clock.", format="date-time"),
            "ce_dataschema": text("Where the JSON Schema of the data is.", format="uri"),
            "ce_partitionkey": text("The connector id."),
            "ce_sequence": text("The connector's version, ten digits: sorts as a string."),
            "ce_traceparent": text("W3C Trace Context."),
            "ce_correlationid": text("Alike on everything that one beginning led to."),
            "ce_causationid": text("The id of the event that caused this one."),
        },
    }
