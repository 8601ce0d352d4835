"""The committed documents in `schemas/documents/`: `python -m schemas.documents` writes them, `--check` compares.

A JSON Schema for the data of every record, `asyncapi.json` and `openapi.json`.
"""

import json
import sys
from pathlib import Path

from schemas.asyncapi import asyncapi
from schemas.channels import CHANNELS
from schemas.json_schema import JSON, document
from schemas.made import Made, run
from schemas.openapi import openapi

VERSION = "1.0.0"
"""Of the contracts: the major version is the one in the topics' and types' names."""

FOLDER = Path(__file__).parent / "documents"


def documents() -> dict[str, JSON]:
    """Every document by its file's name."""
    schemas = {
        message.schema_file: document(message.data, f"urn:regrant:schemas:{message.name}")
        for channel in CHANNELS
        for message in channel.messages
    }
    return {**schemas, "asyncapi.json": asyncapi(VERSION), "openapi.json": openapi(VERSION)}


def files(folder: Path = FOLDER) -> Made:
    """The folder as it should be: exactly the documents."""
    wanted = {folder / name: text(content) for name, content in documents().items()}
    return {**dict.fromkeys(sorted(folder.glob("*.json"))), **wanted}


def text(content: JSON) -> str:
    """A document as it stands in its file."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(run("schemas.documents", files(), sys.argv[1:]))
