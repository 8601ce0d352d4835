"""Documents against Kubernetes' own schemas, strictly: no unknown kind, no unknown field, no wrong type.

The schemas are packed by `tests/kubernetes/schemas.py`.
"""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
MINORS = tuple(sorted(path.name[11:-8] for path in HERE.glob("kubernetes-*.json.gz")))

Json = dict[str, Any]  # Any: what JSON can hold

_FORMATS: dict[str, Json] = {
    "int-or-string": {"type": ["integer", "string"]},
    "date-time": {"type": "string"},
}
_QUANTITY = {"type": ["number", "string"], "pattern": r"^[+-]?[0-9.]+([KMGTPE]i?|[numk]|[eE][+-]?[0-9]+)?$"}


def faults(document: Json, minor: str) -> list[str]:
    """What Kubernetes of that minor version, with our CRDs, would not take; empty for nothing."""
    return list(_faults(json.dumps(document, sort_keys=True), minor))


@cache
def _faults(document: str, minor: str) -> tuple[str, ...]:
    """As above. Most documents of two renderings are the same."""
    parsed = json.loads(document)
    kind = f"{parsed.get('apiVersion')} {parsed.get('kind')}"
    validator = validators(minor).get(kind)
    if validator is None:
        return (f"there is no {kind}",)
    return tuple(f"{kind} {error.json_path}: {error.message}"[:400] for error in validator.iter_errors(parsed))


@cache
def validators(minor: str) -> dict[str, Draft202012Validator]:
    """By `apiVersion kind`."""
    definitions = unpacked(f"kubernetes-{minor}.json.gz")
    strict = {name: _strict(schema) for name, schema in definitions.items()}
    strict["io.k8s.apimachinery.pkg.api.resource.Quantity"] = _QUANTITY
    found = {}
    for name, schema in definitions.items():
        for of in schema.get("x-kubernetes-group-version-kind", []):
            kind = f"{of['group']}/{of['version']} {of['kind']}".removeprefix("/")
            found[kind] = Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": strict})
    for crd in crds():
        for kind, schema in _kinds(crd):
            found[kind] = Draft202012Validator(_strict(schema))
    return found


@cache
def crds() -> list[Json]:
    """The CustomResourceDefinitions, as a cluster takes them."""
    return list(unpacked("crds.json.gz"))


def unpacked(name: str) -> Any:  # Any: JSON
    return json.loads(gzip.decompress((HERE / name).read_bytes()))


def _kinds(crd: Json) -> Iterator[tuple[str, Json]]:
    for version in crd["spec"]["versions"]:
        if version["served"]:
            kind = f"{crd['spec']['group']}/{version['name']} {crd['spec']['names']['kind']}"
            yield kind, version["schema"]["openAPIV3Schema"]


def _strict(schema: Json) -> Json:
    """A schema of Kubernetes' as JSON Schema, which knows no other fields than those that are named.

    What stands below `anyOf` and its like says more of the same fields, and stays as it is.
    """
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/definitions/", "#/$defs/")}
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    made = {name: below for name, below in schema.items() if name not in ("format", "default")}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            made[name] = _strict(schema[name])
    if "properties" in schema:
        made["properties"] = {name: _strict(below) for name, below in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    return made
