"""The committed documents in `schemas/documents/`: `python -m schemas.documents` writes them, `--check` compares.

A JSON Schema for the data of every record, `asyncapi.json` and `openapi.json`.
"""

import json
import sys
from pathlib import Path

from schemas.asyncapi import asyncapi
from schemas.channels import CHANNELS
from schemas.json_schema import JSON, document
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


def stale(folder: Path = FOLDER) -> list[str]:
    """The names of files that are missing, not as they should be, or not wanted any more."""
    wanted = {name: text(content) for name, content in documents().items()}
    there = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def write(folder: Path = FOLDER) -> None:
    """Makes the folder hold exactly the documents."""
    folder.mkdir(exist_ok=True)
    made = documents()
    for path in folder.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, content in made.items():
        (folder / name).write_text(text(content), "utf-8")


def text(content: JSON) -> str:
    """A document as it stands in its file."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """The exit code: 1 where `--check` found a stale document."""
    if "--check" not in arguments:
        write()
        return 0
    old = stale()
    if old:
        sys.stderr.write(f"stale: {', '.join(old)}: run python -m schemas.documents\n")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
