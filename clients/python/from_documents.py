"""Makes the client's words, bodies, records, refusals and operations from the published documents.

`python clients/python/from_documents.py` writes them, `--check` says which are stale. It reads `schemas/documents/`
and nothing else of regrant: what it makes is what any reader of those documents could make.
"""

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENTS = HERE.parents[1] / "schemas" / "documents"
PACKAGE = HERE / "src" / "regrant_client"

JSON = dict[str, Any]  # Any: a JSON Schema is as deep as it likes
WIDTH = 112

SECRET_FIELDS = {"access_token", "refresh_token", "completion_token", "address"}
"""What no log of a host's should show; `address` is a person's."""
SECRET_URLS = {"Handoff", "ConsoleLink"}
"""Bodies whose `url` lets somebody in."""
KEYWORDS = {"from"}


def read(name: str) -> JSON:
    document: JSON = json.loads((DOCUMENTS / name).read_text("utf-8"))
    return document


def made() -> dict[str, str]:
    """Every file by its name."""
    openapi = read("openapi.json")
    bodies: dict[str, JSON] = openapi["components"]["schemas"]
    records: dict[str, JSON] = {}
    for path in sorted(DOCUMENTS.glob("*.schema.json")):
        document = read(path.name)
        records |= document.pop("$defs", {}) | {document["title"]: document}
    enums = {name: schema for name, schema in {**records, **bodies}.items() if "enum" in schema}
    shapes = {name: schema for name, schema in bodies.items() if name not in enums and name != "Problem"}
    shared = {name for name in records if name in shapes and plain(records[name]) == plain(shapes[name])}
    own = {name: schema for name, schema in records.items() if name not in enums and name not in shared}
    for name in written_by_hosts(read("asyncapi.json")):
        own[name] = {**own[name], "additionalProperties": False}
    files = {
        "words.py": words(enums),
        "bodies.py": models("The bodies of the HTTP API: what is sent, and what comes back.", shapes, enums, set()),
        "records.py": models("The data of the Kafka records.", own, enums, shared),
        "refusals.py": refusals(bodies["ProblemCode"]),
        "operations.py": operations(openapi["paths"]),
    }
    return formatted(files)


def written_by_hosts(asyncapi: JSON) -> set[str]:
    """The names of the schemas of what regrant receives, and of what they hold."""
    schemas: JSON = asyncapi["components"]["schemas"]
    found: set[str] = set()
    for operation in asyncapi["operations"].values():
        if operation["action"] == "receive":
            channel = asyncapi["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
            for message in channel["messages"].values():
                told = asyncapi["components"]["messages"][message["$ref"].rpartition("/")[2]]
                found.add(told["payload"]["$ref"].rpartition("/")[2])
    within = {used for name in found for used in re.findall(r"schemas/(\w+)", json.dumps(schemas[name]))}
    return found | {name for name in within if "enum" not in schemas[name]}


def plain(schema: Any) -> Any:  # Any: JSON
    """A schema as far as types go: the names of what it refers to, no words."""
    if isinstance(schema, dict):
        return {
            name: value.rpartition("/")[2] if name == "$ref" else plain(value)
            for name, value in schema.items()
            if name not in ("description", "$id", "$schema")
        }
    return [plain(item) for item in schema] if isinstance(schema, list) else schema


def docstring(text: str, indent: str = "") -> str:
    lines = textwrap.wrap(text, WIDTH - len(indent)) or [""]
    if len(lines) == 1:
        return f'{indent}"""{lines[0]}"""'
    return "\n".join([f'{indent}"""{lines[0]}', *(indent + line for line in lines[1:]), f'{indent}"""'])


def words(enums: Mapping[str, JSON]) -> str:
    parts = [
        docstring("The words that regrant uses. One that a newer regrant adds is kept as it is."),
        "# Made by from_documents.py: don't edit.",
        "from regrant_client.shape import Word",
    ]
    for name, schema in sorted(enums.items()):
        parts.append(f"class {name}(Word):\n" + docstring(_about(name, schema), "    ") + "\n")
        told: list[str] = schema.get("x-enum-descriptions", [])
        for number, value in enumerate(schema["enum"]):
            member = re.sub(r"\W", "_", value).upper()
            # A code such as `access_token` is no password, whatever its name says.
            parts.append(f"    {member} = {value!r}")
            if told:
                parts.append(docstring(told[number], "    "))
    return "\n".join(parts)


def _about(name: str, schema: JSON) -> str:
    return str(schema.get("description", f"One of the {name} words.")).partition("\n")[0]


def models(about: str, schemas: Mapping[str, JSON], enums: Mapping[str, JSON], shared: set[str]) -> str:
    text = "\n\n".join(model(name, schemas[name]) for name in in_order(schemas))
    used = set(re.findall(r"\b[A-Z]\w+", text))
    parts = [docstring(about), "# Made by from_documents.py: don't edit."]
    for module, names in {"typing": {"Any", "Literal"}, "uuid": {"UUID"}}.items():
        if found := sorted(names & used):
            parts.append(f"from {module} import {', '.join(found)}")
    parts.append(f"from pydantic import {', '.join(sorted({'AwareDatetime', 'Field'} & used))}")
    if found := sorted(shared & used):
        parts.append(f"from regrant_client.bodies import {', '.join(found)}")
    parts.append(f"from regrant_client.shape import {', '.join(sorted({'Received', 'Sent'} & used))}")
    parts.append(f"from regrant_client.words import {', '.join(sorted(enums.keys() & used))}")
    return "\n".join([*parts, text])


def in_order(schemas: Mapping[str, JSON]) -> Iterator[str]:
    """Names of the schemas, each behind those that it uses."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in done or name not in schemas:
            return
        done.add(name)
        for used in re.findall(r'"\$ref": "[^"]*/(\w+)"', json.dumps(schemas[name])):
            yield from visit(used)
        yield name

    for name in sorted(schemas):
        yield from visit(name)


def model(name: str, schema: JSON) -> str:
    base = "Sent" if schema.get("additionalProperties") is False else "Received"
    lines = [f"class {name}({base}):", docstring(schema.get("description", name), "    ")]
    required = set(schema.get("required", ()))
    for field, its in schema.get("properties", {}).items():
        lines.append(f"    {field_line(name, field, its, field in required)}")
        if "description" in its:
            lines.append(docstring(its["description"], "    "))
    return "\n".join(lines)


def field_line(model_name: str, field: str, schema: JSON, is_required: bool) -> str:
    arguments = []
    if not is_required:
        arguments.append(f"default={schema.get('default')!r}")
    python = field
    if field in KEYWORDS:
        python = f"{field}_"
        arguments.append(f"alias={field!r}")
    if field in SECRET_FIELDS or (model_name in SECRET_URLS and field == "url"):
        arguments.append("repr=False")
    if not arguments:
        return f"{python}: {type_of(schema)}"
    if len(arguments) == 1 and not is_required:
        return f"{python}: {type_of(schema)} = {schema.get('default')!r}"
    return f"{python}: {type_of(schema)} = Field({', '.join(arguments)})"


def type_of(schema: JSON) -> str:
    match schema:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"anyOf": list(kinds)}:
            return " | ".join(type_of(kind) for kind in kinds)
        case {"const": value}:
            return f"Literal[{value!r}]"
        case {"enum": list(values)}:
            return f"Literal[{', '.join(map(repr, values))}]"
        case {"type": "array"}:
            return f"list[{type_of(schema['items'])}]"
        case {"type": "object"}:
            inside = schema.get("additionalProperties")
            return f"dict[str, {type_of(inside) if isinstance(inside, dict) and inside else 'Any'}]"
        case {"type": "string", "format": "date-time"}:
            return "AwareDatetime"
        case {"type": "string", "format": "uuid"}:
            return "UUID"
        case {"type": str(kind)}:
            return {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}[kind]
    raise ValueError(f"no type for {schema}")


def refusals(codes: JSON) -> str:
    names = {code: "".join(word.capitalize() for word in code.split("_")) for code in codes["enum"]}
    parts = [
        docstring("Problems of the API, a class each."),
        "# Made by from_documents.py: don't edit.",
        "from typing import Final",
        "from regrant_client.problem import Problem",
    ]
    for code, sentence in zip(codes["enum"], codes["x-enum-descriptions"], strict=True):
        parts.append(f"class {names[code]}(Problem):\n" + docstring(f"{sentence.rstrip('.?')}.", "    "))
    table = ", ".join(f"{code!r}: {name}" for code, name in names.items())
    parts.append(f"REFUSALS: Final[dict[str, type[Problem]]] = {{{table}}}")
    return "\n\n".join(parts)


def operations(paths: JSON) -> str:
    rows = [
        f"{one['operationId']!r}: Operation({method.upper()!r}, {path!r}, {one['security'][0]['bearer'][0]!r})"
        for path, item in paths.items()
        for method, one in item.items()
        if method != "parameters"
    ]
    return "\n".join(
        [
            docstring("Every operation of the API: its method, its path, and the scope that a token needs for it."),
            "# Made by from_documents.py: don't edit.",
            "from typing import Final, NamedTuple",
            "class Operation(NamedTuple):",
            docstring("How one is called.", "    "),
            *(f"    {name}: str" for name in ("method", "path", "scope")),
            f"OPERATIONS: Final[dict[str, Operation]] = {{{', '.join(rows)}}}",
        ]
    )


def formatted(files: Mapping[str, str]) -> dict[str, str]:
    """The files as ruff would have them."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(f"{text}\n", "utf-8")
        for step in (["check", "--fix-only", "--quiet", "--select", "I,UP"], ["format", "--quiet"]):
            command = [sys.executable, "-m", "ruff", *step, "--config", "pyproject.toml", folder]
            subprocess.run(command, cwd=HERE.parents[1], check=True)
        return {name: (Path(folder) / name).read_text("utf-8") for name in files}


def stale(files: Mapping[str, str]) -> Iterable[str]:
    """The names of files that aren't as the documents say."""
    return [name for name, text in files.items() if _there(PACKAGE / name) != text]


def _there(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def main(arguments: list[str]) -> int:
    """The exit code: 1 where `--check` found a stale file."""
    files = made()
    if "--check" in arguments:
        old = list(stale(files))
        if old:
            sys.stderr.write(f"stale: {', '.join(old)}: run python clients/python/from_documents.py\n")
        return 1 if old else 0
    for name, text in files.items():
        (PACKAGE / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
