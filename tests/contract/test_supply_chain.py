"""What is shipped can be checked: the same source gives the same wheel, and a bill says what an image runs."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from requirements import sbom
from requirements.pin import SETS

ROOT = Path(__file__).parents[2]
CLIENT = Path("clients") / "python"
NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", "build", "dist", "node_modules", "__pycache__", ".*_cache")


def built(project: Path, out: Path, umask: int) -> bytes:
    """The wheel that is built from there."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1764288000"}
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, umask=umask)
    (made,) = out.glob("*.whl")
    return made.read_bytes()


@pytest.mark.parametrize("project", [Path("."), CLIENT], ids=["regrant", "regrant-client"])
def test_two_builds_at_other_places_and_times_give_the_same_wheel(project: Path, tmp_path: Path) -> None:
    digests = set()
    for number, (place, umask) in enumerate((("here", 0o022), ("at/another/place", 0o077))):
        copy = tmp_path / place
        shutil.copytree(ROOT / project, copy, ignore=NOT_SOURCE, copy_function=shutil.copy)
        for path in copy.rglob("*"):
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        digests.add(hashlib.sha256(built(copy, tmp_path / f"out{number}", umask)).hexdigest())
    assert len(digests) == 1


@pytest.fixture(scope="module")
def bill() -> sbom.JSON:
    return sbom.bill()


def test_the_bill_of_materials_is_cyclonedx(bill: sbom.JSON) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    bill = {**bill, "components": [{"type": "no such type", "name": "x"}]}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is not None


def test_the_bill_has_every_pin_of_an_image_with_its_hashes_and_no_registry(bill: sbom.JSON) -> None:
    pins = (ROOT / "requirements" / "run.txt").read_text()
    listed = {f"{each['name']}=={each['version']}" for each in bill["components"]}
    assert listed == set(re.findall(r"^[a-z0-9-]+==[^\s;]+", pins, re.MULTILINE))
    told = {digest["content"] for each in bill["components"] for digest in each["externalReferences"][0]["hashes"]}
    assert told == set(re.findall(r"sha256:([0-9a-f]{64})", pins))
    (root,) = (each for each in bill["dependencies"] if each["ref"] == sbom.ROOT)
    assert len(root["dependsOn"]) == len(sbom.wanted())
    assert not re.search(
        r"https?://(?!cyclonedx\.org|json-schema\.org)", json.dumps(bill).replace("http://cyclonedx", "")
    )


def test_the_same_pins_give_the_same_bill(bill: sbom.JSON) -> None:
    assert sbom.bill() == bill


@pytest.mark.parametrize("name", SETS)
def test_every_pin_has_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    pins = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert pins and [pin.partition("==")[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_no_set_is_missing() -> None:
    assert {path.stem for path in (ROOT / "requirements").glob("*.txt")} == set(SETS)
