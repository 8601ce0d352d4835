"""The committed documents: as the code makes them, valid by their own specifications, with examples that validate.

`asyncapi-3.1.0.schema.json.gz` is the AsyncAPI Initiative's own JSON Schema of AsyncAPI 3.1.0 (from its package
`@asyncapi/specs` 6.11.1, Apache-2.0), unchanged but for white space.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, TypeAdapter

from schemas import api, samples
from schemas.channels import CHANNELS, INPUTS
from schemas.dead_letters import DeadLetterCode
from schemas.documents import FOLDER, documents
from schemas.lifecycle import State, Step, Trigger
from schemas.problems import PROBLEMS, ProblemCode
from schemas.reasons import CATALOGUE, Reason
from schemas.routes import ROUTES, Scope
from schemas.secret import Secret

MESSAGES = [message for channel in CHANNELS for message in channel.messages]
RECORD_MODELS = {message.data.__name__: message.data for message in MESSAGES}
BODY_MODELS = {m.__name__: m for route in ROUTES for m in (route.request, route.response) if m} | {
    "Problem": api.Problem
}
MODELS = RECORD_MODELS | BODY_MODELS
SAMPLES = {**samples.RECORDS, **samples.BODIES}


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def validator(schema: Any) -> jsonschema.Draft202012Validator:
    checks = jsonschema.Draft202012Validator.FORMAT_CHECKER
    assert "date-time" in checks.checkers
    return jsonschema.Draft202012Validator(schema, format_checker=checks)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), reference
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


# Valid by their specifications.


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_every_records_schema_is_valid_json_schema_2020_12(message) -> None:
    schema = read(message.schema_file)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:regrant:schemas:{message.name}"
    for reference in references(schema):
        resolve(schema, reference)


def test_the_openapi_document_is_valid() -> None:
    OpenAPIV31SpecValidator(read("openapi.json")).validate()


def test_the_asyncapi_document_is_valid_by_the_official_schema() -> None:
    official = json.loads(gzip.decompress(Path(__file__).with_name("asyncapi-3.1.0.schema.json.gz").read_bytes()))

    errors = [
        f"{e.json_path}: {e.message}" for e in jsonschema.Draft7Validator(official).iter_errors(read("asyncapi.json"))
    ]

    assert errors == []


def test_the_official_asyncapi_schema_notices_an_error() -> None:
    official = json.loads(gzip.decompress(Path(__file__).with_name("asyncapi-3.1.0.schema.json.gz").read_bytes()))
    broken = read("asyncapi.json")
    next(iter(broken["operations"].values()))["action"] = "publish"

    assert not jsonschema.Draft7Validator(official).is_valid(broken)


@pytest.mark.parametrize("name", ["asyncapi.json", "openapi.json"])
def test_every_reference_leads_somewhere(name: str) -> None:
    document = read(name)

    assert references(document)
    for reference in references(document):
        resolve(document, reference)


@pytest.mark.parametrize("name", ["asyncapi.json", "openapi.json"])
def test_every_component_schema_is_used_and_valid(name: str) -> None:
    document = read(name)
    used = set(references(document))

    for schema_name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        if schema_name != "ProblemCode":  # stands alone: the catalogue for programs
            assert f"#/components/schemas/{schema_name}" in used


# The samples.


def test_every_record_and_body_has_a_sample() -> None:
    assert SAMPLES.keys() == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_survives_its_model_unchanged(name: str) -> None:
    adapter: TypeAdapter[BaseModel] = TypeAdapter(MODELS[name])
    given = SAMPLES[name]

    written = adapter.validate_json(json.dumps(given), strict=True)
    back = json.loads(written.model_dump_json(by_alias=True, exclude_unset=True))
    secrets = list(secrets_in(written))

    assert back == without(secrets, given), "no model writes a secret down"
    assert secrets or adapter.validate_json(written.model_dump_json(by_alias=True)) == written


def secrets_in(value: object) -> Iterator[str]:
    """What a model hides, however deep."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, BaseModel):
        for _, field in value:
            yield from secrets_in(field)
    elif isinstance(value, list):
        for one in value:
            yield from secrets_in(one)


def without(secrets: list[str], given: Any) -> Any:
    """A sample as it is written down."""
    if isinstance(given, dict):
        return {name: without(secrets, value) for name, value in given.items()}
    if isinstance(given, list):
        return [without(secrets, one) for one in given]
    return "[redacted]" if given in secrets else given


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_a_records_sample_validates_against_its_schema(message) -> None:
    validator(read(message.schema_file)).validate(samples.RECORDS[message.data.__name__])


@pytest.mark.parametrize("name", RECORD_MODELS)
def test_what_a_model_writes_validates_against_its_schema(name: str) -> None:
    message = next(message for message in MESSAGES if message.data.__name__ == name)
    written = RECORD_MODELS[name].model_validate(samples.RECORDS[name]).model_dump_json(by_alias=True)

    validator(read(message.schema_file)).validate(json.loads(written))


def test_the_examples_in_the_asyncapi_document_validate() -> None:
    document = read("asyncapi.json")
    examples = [
        (m["payload"], e["payload"]) for m in document["components"]["messages"].values() for e in m.get("examples", [])
    ]

    assert len(examples) == len(MESSAGES)
    for payload, example in examples:
        validator({**document, **payload}).validate(example)


def test_the_examples_in_the_openapi_document_validate() -> None:
    document = read("openapi.json")
    operations = [
        operation for item in document["paths"].values() for method, operation in item.items() if method != "parameters"
    ]
    contents = [
        content
        for operation in operations
        for body in (operation.get("requestBody", {}), *operation["responses"].values())
        for kind, content in body.get("content", {}).items()
        if kind == "application/json"
    ]

    assert len(contents) == sum(bool(route.request) + bool(route.response) for route in ROUTES)
    for content in contents:
        validator({**document, **content["schema"]}).validate(content["example"])


def test_the_examples_of_parameters_validate() -> None:
    components = read("openapi.json")["components"]
    for parameter in components["parameters"].values():
        if "example" in parameter:
            validator(parameter["schema"] | {"components": components}).validate(parameter["example"])


# Readers stay able to read.


@pytest.mark.parametrize(
    "message", [m for c in CHANNELS if c.direction == "out" for m in c.messages], ids=lambda m: m.name
)
def test_a_reader_that_validates_accepts_fields_that_are_added_later(message) -> None:
    later = samples.RECORDS[message.data.__name__] | {"added_later": 1}

    validator(read(message.schema_file)).validate(later)


def test_a_request_with_an_unknown_field_is_no_valid_request() -> None:
    document = read("openapi.json")
    schema = {**document, "$ref": "#/components/schemas/OpenAttempt"}

    with pytest.raises(jsonschema.ValidationError):
        validator(schema).validate(samples.BODIES["OpenAttempt"] | {"surprise": 1})


# The documents say what the code says.


@pytest.mark.parametrize(("name", "kind"), [("State", State), ("Trigger", Trigger), ("Step", Step), ("Reason", Reason)])
def test_p29_the_enumerations_are_those_of_the_lifecycle_and_the_catalogue(name: str, kind) -> None:
    schema = read("asyncapi.json")["components"]["schemas"][name]

    assert schema["enum"] == [member.value for member in kind]
    assert len(schema["x-enum-descriptions"]) == len(kind)
    assert all(schema["x-enum-descriptions"])


def test_the_topics_are_those_of_the_channels_and_their_dead_letters() -> None:
    document = read("asyncapi.json")

    assert {channel["address"] for channel in document["channels"].values()} == {
        *(channel.topic for channel in CHANNELS),
        *(channel.dead_letters for channel in INPUTS),
    }
    code = document["components"]["messages"]["dead_letter"]["headers"]["properties"]["dlq-reason"]
    assert code["enum"] == [member.value for member in DeadLetterCode]


def test_the_operations_are_those_of_the_routes() -> None:
    paths = read("openapi.json")["paths"]

    assert {
        (operation["operationId"], method.upper(), path)
        for path, item in paths.items()
        for method, operation in item.items()
        if method != "parameters"
    } == {(route.name, route.method, route.path) for route in ROUTES}


def test_no_two_routes_have_the_same_name_or_address() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_every_route_wants_a_token_with_one_scope_and_every_scope_is_used() -> None:
    assert {route.scope for route in ROUTES} == set(Scope)
    paths = read("openapi.json")["paths"]
    for route in ROUTES:
        assert paths[route.path][route.method.lower()]["security"] == [{"bearer": [route.scope.value]}]


def test_every_problem_has_an_entry_and_every_reason_too() -> None:
    assert PROBLEMS.keys() == set(ProblemCode)
    assert CATALOGUE.keys() == set(Reason)


@pytest.mark.parametrize("code", ProblemCode)
def test_a_problem_is_an_error_and_what_is_retryable_is_a_passing_one(code: ProblemCode) -> None:
    assert 400 <= code.entry.status <= 599
    assert code.entry.retryable == (code.entry.status in (429, 500, 503) or code.value.endswith("_running"))


def test_the_documents_hold_every_file_of_the_folder() -> None:
    assert {path.name for path in FOLDER.iterdir()} == documents().keys()
