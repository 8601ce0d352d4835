"""Writes the software bill of materials: CycloneDX JSON of what an image runs, made from the pins.

`python requirements/sbom.py [FILE]`. Each component has its hashes and its licence, where the installed one of that
version names it; no address of a registry stands in it. The same pins give the same bytes.
"""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINS = HERE / "run.txt"
VERSION = "1.6"
ROOT = "pkg:pypi/regrant"

JSON = dict[str, Any]  # Any: a CycloneDX document


def bill(pins: Path = PINS) -> JSON:
    """The document for these pins."""
    tool = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--of", "JSON", "--sv", VERSION]
    command = [*tool, "--output-reproducible", "--pyproject", str(HERE.parent / "pyproject.toml"), str(pins)]
    made: JSON = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for each in made["metadata"]["tools"]["components"]:
        each.pop("externalReferences", None)
    made["metadata"]["component"]["bom-ref"] = ROOT
    made["components"] = [component(each) for each in made["components"]]
    named = {each["name"]: each["bom-ref"] for each in made["components"]}
    direct = sorted(named[name] for name in wanted() if name in named)
    made["dependencies"] = [{"ref": ref} for ref in sorted(named.values())] + [{"ref": ROOT, "dependsOn": direct}]
    return made


def component(made: JSON) -> JSON:
    """A pin: known by its package address (purl), which names no registry."""
    purl = made["purl"].partition("?")[0]
    kept: JSON = {"bom-ref": purl, "type": "library", "name": made["name"], "version": made["version"], "purl": purl}
    hashes = [digest for each in made.get("externalReferences", ()) for digest in each.get("hashes", ())]
    if hashes:  # those of every file that may be installed for it
        kept["externalReferences"] = [{"type": "distribution", "url": purl, "hashes": hashes}]
    if licence := licence_of(made["name"], made["version"]):
        kept["licenses"] = [{"expression": licence, "acknowledgement": "declared"}]
    return kept


def licence_of(name: str, version: str) -> str | None:
    """The SPDX expression that the installed distribution names, if it is that version."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return found.metadata["License-Expression"] if found.version == version else None


def wanted() -> set[str]:
    """The names that pyproject.toml asks for, as an image does."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["otel"]]
    return {re.split(r"[\[><=; ]", line)[0].lower().replace("_", "-") for line in lines}


def main(arguments: list[str]) -> None:
    target = Path(arguments[0]) if arguments else HERE.parent / "build" / "sbom.cdx.json"
    made = bill()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(made, indent=2, sort_keys=True) + "\n", "utf-8")
    print(f"{target}: {len(made['components'])} components")


if __name__ == "__main__":
    main(sys.argv[1:])
