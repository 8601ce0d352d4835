"""What the Helm chart's `values.schema.json` says of `config`: every setting, and no secret."""

import json
from pathlib import Path
from typing import Any

from service.settings.variables import ANY, Variable, variables

VALUES_SCHEMA = Path(__file__).parents[2] / "helm" / "regrant" / "values.schema.json"

Schema = dict[str, Any]  # Any: JSON

_TYPES: dict[str, Schema] = {
    "number": {"type": "integer"},
    "true or false": {"type": "boolean"},
    "duration": {"type": ["string", "number"]},
    "list": {"type": "array"},
    "JSON": {"type": "object"},
}


def config_schema() -> Schema:
    """The JSON Schema of `config`. A secret isn't in it: those come from Secrets, as files."""
    root = _object("The settings file; docs/settings.md says what each is for.")
    for variable in variables():
        if not variable.secret:
            section = root
            for part in variable.path[:-1]:
                section = _below(section, part)
            section["properties"][variable.path[-1]] = _of(variable)
    return root


def _below(section: Schema, part: str) -> Schema:
    if not part.startswith(ANY):
        below: Schema = section["properties"].setdefault(part, _object())
        return below
    if section["additionalProperties"] is False:
        section["additionalProperties"] = _object()
    any_: Schema = section["additionalProperties"]
    return any_


def _object(description: str | None = None) -> Schema:
    described = {"description": description} if description else {}
    return {"type": "object", **described, "additionalProperties": False, "properties": {}}


def _of(variable: Variable) -> Schema:
    # A null in a values file takes one of the chart's defaults away, before the schema is asked.
    if ", " in variable.kind:
        return {"description": variable.sentence, "enum": variable.kind.split(", ")}
    return {"description": variable.sentence, **_TYPES.get(variable.kind, {"type": "string"})}


def with_config(schema: str) -> str:
    """The chart's schema with `config` as it should be."""
    values = json.loads(schema)
    values["properties"]["config"] = config_schema()
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
