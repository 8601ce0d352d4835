"""JSON Schema 2020-12 of our models, as the documents show them."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from schemas.acting import WhoActs
from schemas.api import Response
from schemas.fleet import LetterStatus
from schemas.lifecycle import ActorKind, Ignored, Notice, Outcome, State, Step, Trigger
from schemas.problems import ProblemCode
from schemas.reasons import Reason
from schemas.records import Outgoing
from schemas.webhooks import WebhookStatus

JSON: TypeAlias = dict[str, Any]  # Any: a JSON Schema is as deep as it likes
Model: TypeAlias = type[BaseModel]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DESCRIBED = (State, Trigger, Outcome, Ignored, Notice, Step, ActorKind, WhoActs, LetterStatus, WebhookStatus)


def _sentences() -> dict[str, list[str]]:
    sentences = {kind.__name__: [member.sentence for member in kind] for kind in _DESCRIBED}
    sentences[Reason.__name__] = [reason.entry.title for reason in Reason]
    sentences[ProblemCode.__name__] = [code.entry.title for code in ProblemCode]
    return sentences


_SENTENCES = _sentences()


class _Plain(GenerateJsonSchema):
    """Without a title for every field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # Any: pydantic's own core schema
        return False


def _kinds_of(model: Model) -> Iterator[str]:
    for kind in model.__subclasses__():
        yield kind.__name__
        yield from _kinds_of(kind)


def _written_by_us() -> set[str]:
    """Asked when a document is made: by then every module with models is there, whatever was read first."""
    return {*_kinds_of(Outgoing), *_kinds_of(Response)}


def components(models: Iterable[Model], at: str) -> dict[str, JSON]:
    """The schemas of the models and of all that they use, by name; `at` is where references look for them."""
    wanted: list[tuple[Model, JsonSchemaMode]] = [
        (model, "serialization" if model.__name__ in _written_by_us() else "validation") for model in models
    ]
    _, made = models_json_schema(wanted, ref_template=at + "{model}", schema_generator=_Plain)
    definitions: dict[str, JSON] = made.get("$defs", {})
    return {name: _dressed(name, schema) for name, schema in sorted(definitions.items())}


def enumeration(kind: type[StrEnum]) -> JSON:
    """The schema of an enumeration, with a sentence for each value."""
    schema: JSON = {"title": kind.__name__, "type": "string", "enum": [member.value for member in kind]}
    return _dressed(kind.__name__, schema)


def document(model: Model, id_: str) -> JSON:
    """The model's schema as a document of its own."""
    schemas = components([model], "#/$defs/")
    top = schemas.pop(model.__name__)
    return {"$schema": DIALECT, "$id": id_, **top, **({"$defs": schemas} if schemas else {})}


def _dressed(name: str, schema: JSON) -> JSON:
    """Enumerations get a sentence a value; what we write may gain fields, so its readers must not forbid them."""
    if "enum" in schema and name in _SENTENCES:
        schema = {**schema, "x-enum-descriptions": _SENTENCES[name]}
    if name in _written_by_us() and schema.get("additionalProperties") is False:
        schema = {key: value for key, value in schema.items() if key != "additionalProperties"}
    return schema
