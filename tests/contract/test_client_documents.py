"""The hosts' client against the published documents: no word, field, operation or problem is missing or different."""

import ast
import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

import regrant_client
from regrant_client import Problem, Regrant, bodies, kafka, records, words
from regrant_client.operations import OPERATIONS
from regrant_client.refusals import REFUSALS
from regrant_client.shape import Word
from schemas import api, samples
from schemas.channels import CHANNELS
from schemas.documents import FOLDER
from schemas.routes import ROUTES
from schemas.secret import Secret

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "python"
OPENAPI = json.loads((FOLDER / "openapi.json").read_text())
MODULES = sorted((CLIENT / "src" / "regrant_client").rglob("*.py"))

BODIES: dict[str, Any] = {name: s for name, s in OPENAPI["components"]["schemas"].items() if name != "Problem"}
RECORDS: dict[str, Any] = {}
for path in sorted(FOLDER.glob("*.schema.json")):
    document = json.loads(path.read_text())
    RECORDS |= document.pop("$defs", {}) | {document["title"]: document}

SAYS_NOTHING_OF_TYPES = {
    *("title", "description", "x-enum-descriptions", "$id", "$schema", "$defs", "default"),
    *("pattern", "minLength", "maxLength", "minimum", "maximum", "maxItems", "minItems"),
}
"""What the client leaves to regrant, which answers 422. Whether there is a default, `required` says."""


def types_of(schema: Any) -> Any:
    """A schema as far as names, types, words and what is required go."""
    if isinstance(schema, list):
        return [types_of(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "properties" in schema:
        fields = {name: types_of(field) for name, field in schema["properties"].items()}
        return {"fields": fields, "required": sorted(schema.get("required", ()))}
    told = {
        name: value.rpartition("/")[2] if name == "$ref" else types_of(value)
        for name, value in schema.items()
        if name not in SAYS_NOTHING_OF_TYPES and not (name == "additionalProperties" and value is False)
    }
    return {**told, "enum": sorted(told["enum"])} if "enum" in told else told


def of_the_client(name: str, module: Any) -> Any:
    kind = getattr(module, name, None) or getattr(words, name, None)
    if kind is None:
        return None
    if issubclass(kind, Word):
        return types_of({"type": "string", "enum": [word.value for word in kind]})
    _, made = models_json_schema([(kind, "validation")], ref_template="#/{model}")
    return types_of(made["$defs"][name])


def test_the_client_is_made_from_todays_documents() -> None:
    done = subprocess.run(
        [sys.executable, CLIENT / "from_documents.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_as_the_openapi_document_says(name: str) -> None:
    assert of_the_client(name, bodies) == types_of(BODIES[name])


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_as_its_json_schema_says(name: str) -> None:
    assert of_the_client(name, records) == types_of(RECORDS[name])


@pytest.mark.parametrize("name", sorted({*samples.BODIES, *samples.RECORDS} - {"Problem"}))
def test_a_sample_goes_through_the_clients_model_unchanged(name: str) -> None:
    model: type[BaseModel] = getattr(bodies if name in samples.BODIES else records, name)
    given = {**samples.RECORDS, **samples.BODIES}[name]
    read = model.model_validate_json(json.dumps(given))
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    assert again.keys() == given.keys() and adapter.validate_json(json.dumps(again)) == read


def test_every_problem_has_a_class() -> None:
    assert set(REFUSALS) == set(OPENAPI["components"]["schemas"]["ProblemCode"]["enum"])
    assert all(issubclass(kind, Problem) for kind in REFUSALS.values())


# What a parameter of the document is called in a method, where that is another name.
CALLED = {
    "limit": {"page_size"},
    "cursor": set(),
    "If-Match": {"if_version"},
    "Idempotency-Key": {"idempotency_key"},
    "Last-Event-ID": {"after"},
    "Accept-Language": set(),
    "Regrant-Tenant": set(),
    "person": {"person_id", "person_name"},
}
PERSON = {"id": {"person_id"}, "name": {"person_name"}}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_operation_has_a_method_that_takes_what_it_takes(route: Any) -> None:
    operation = OPENAPI["paths"][route.path][route.method.lower()]
    assert tuple(OPERATIONS[route.name]) == (route.method, route.path, operation["security"][0]["bearer"][0])
    expected: set[str] = set()
    for reference in [*OPENAPI["paths"][route.path].get("parameters", ()), *operation.get("parameters", ())]:
        name = OPENAPI["components"]["parameters"][reference["$ref"].rpartition("/")[2]]["name"]
        expected |= CALLED.get(name, {name})
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        names = PERSON if schema == "Person" else CALLED
        for field in BODIES[schema]["properties"]:
            expected |= names.get(field, {field})
    method = getattr(Regrant, route.name)
    assert set(inspect.signature(method).parameters) - {"self"} == expected


def test_the_followers_and_tellers_know_the_topics_and_types() -> None:
    said = {channel.topic: {message.type for message in channel.messages} for channel in CHANNELS}
    followers = (kafka.Transitions, kafka.States, kafka.SyncRequests)
    assert all(said[follower.topic] == {follower.kind} for follower in followers)
    text = (CLIENT / "src" / "regrant_client" / "kafka" / "tell.py").read_text()
    for teller in (kafka.SyncEvents, kafka.Commands):
        assert {kind.split(".")[-2] for kind in said.pop(teller.topic)} <= set(dir(teller))
    assert "io.regrant.sync." in text and "io.regrant.connector." in text
    assert said.keys() == {follower.topic for follower in followers}


def test_no_repr_of_the_client_shows_what_regrant_keeps_out_of_its_own() -> None:
    checked = set()
    for model in {m for route in ROUTES for m in (route.request, route.response) if m} | {api.Handoff}:
        for name, field in model.model_fields.items():
            if not field.repr or Secret.__name__ in str(field.annotation):
                assert getattr(bodies, model.__name__).model_fields[name].repr is False, f"{model.__name__}.{name}"
                checked.add(f"{model.__name__}.{name}")
    assert {"AccessToken.access_token", "Handoff.url", "ImportCredential.refresh_token", "ConsoleLink.url"} <= checked


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_the_client_imports_nothing_of_the_service(module: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    named = {"aiohttp", "pydantic", "joserfc", "yarl"} | ({"aiokafka"} if "kafka" in module.parts else set())
    assert imported - sys.stdlib_module_names <= named | {"regrant_client"}


def test_the_version_is_that_of_the_distribution() -> None:
    told = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert regrant_client.__version__ == told["version"]
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
