"""The JSON Schema of a provider's file, for editors: `python -m service.oauth.description_schema` writes it.

It knows keys, types and patterns; what only makes sense together is said by `regrant providers check`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from schemas.json_schema import document
from schemas.made import Made, run
from service.oauth.description_file import Description

FILE = Path(__file__).parent / "providers" / "description.schema.json"


def text() -> str:
    """The schema as it stands in its file. With `extends`, the other file says whatever this one leaves out."""
    schema: dict[str, Any] = document(Description, "urn:regrant:schemas:provider")
    required = schema.pop("required")
    schema["properties"] = {
        "extends": {"type": "string", "description": "The id of the description that this one is built on."},
        **schema["properties"],
    }
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {"required": required}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def files() -> Made:
    """What the file should hold."""
    return {FILE: text()}


if __name__ == "__main__":
    sys.exit(run("service.oauth.description_schema", files(), sys.argv[1:]))
