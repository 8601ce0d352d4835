"""The image and the composition, read as Docker reads them: what goes in, who it runs as, and what is started how."""

import fnmatch
import gzip
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from service.cli import app

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SCHEMA = Path(__file__).parent / "compose-spec.schema.json.gz"
"""Of compose-go 2.16, without descriptions."""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def result() -> list[tuple[str, str]]:
    """The instructions of the last stage: what becomes the image."""
    last = max(number for number, (word, _) in enumerate(instructions()) if word == "FROM")
    return instructions()[last:]


def copied() -> list[str]:
    """What is copied from this folder."""
    found = [rest.split() for word, rest in instructions() if word == "COPY"]
    return [source for words in found if not words[0].startswith("--from") for source in words[:-1]]


def is_sent(path: str) -> bool:
    """Whether a path goes to the builder, by `.dockerignore`; the last rule that matches counts."""
    sent = True
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        if rule and not rule.startswith("#"):
            pattern = rule.removeprefix("!").removeprefix("**/")
            parts = [part for number in range(1, 9) for part in ["/".join(path.split("/")[:number])]]
            if any(fnmatch.fnmatch(part, pattern) for part in (*parts, path.rpartition("/")[2])):
                sent = rule.startswith("!")
    return sent


def test_every_file_that_is_copied_is_there_and_sent() -> None:
    assert {"service", "schemas", "statemachine", "docs", "pyproject.toml", "requirements/run.txt"} <= set(copied())
    for source in copied():
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


@pytest.mark.parametrize("path", [".git/config", ".venv/bin/python", "build/kube/etcd", "tests/conftest.py", ".env"])
def test_nothing_else_is_sent(path: str) -> None:
    assert not is_sent(path)


def test_what_hatchling_needs_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["force-include"]} <= set(copied())
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= set(copied())


def test_the_base_is_an_argument_that_can_be_pinned_and_is_never_the_newest() -> None:
    (base,) = (rest for word, rest in instructions() if word == "ARG")
    assert re.fullmatch(r"BASE=[\w./]+:\d+\.\d+[\w.-]*", base)
    assert {rest.split()[0] for word, rest in instructions() if word == "FROM"} == {"${BASE}"}
    pinned = re.search(r'python_version = "([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert pinned and f":{pinned[1]}" in base  # the interpreter that the requirements were resolved for


def test_the_result_runs_as_a_number_that_isn_t_root_and_has_nothing_installed_into_it() -> None:
    words = dict(result())
    user, group = words["USER"].split(":")
    assert int(user) > 0 and int(group) > 0
    values = yaml.safe_load((ROOT / "helm" / "regrant" / "values.yaml").read_text())
    assert int(user) == values["runAsUser"]
    assert [word for word, _ in result() if word in ("RUN", "ADD")] == []
    assert [rest.split()[0] for word, rest in result() if word == "COPY"] == ["--from=built"]
    assert json.loads(words["ENTRYPOINT"]) == ["regrant"]


def test_only_wheels_with_hashes_are_installed() -> None:
    installs = re.findall(r"pip install ([^&]*)", "\n".join(rest for word, rest in instructions() if word == "RUN"))
    assert len(installs) == 3
    for options in installs:
        assert ("--require-hashes" in options and "--only-binary :all:" in options) or "--no-index" in options


def test_the_pins_of_the_image_are_all_that_the_service_needs_and_nothing_of_the_tests() -> None:
    def names(listed: list[str]) -> set[str]:
        return {re.split(r"[<>=\[;! ]", name)[0].lower() for name in listed}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pinned = names(re.findall(r"^\S+==", (ROOT / "requirements" / "run.txt").read_text(), flags=re.MULTILINE))
    assert names(project["dependencies"]) | names(extras["otel"]) <= pinned
    assert not pinned & (names(extras["demo"]) | names(extras["dev"]) - names(project["dependencies"]))


def test_the_composition_is_one() -> None:
    schema: Any = json.loads(gzip.decompress(SCHEMA.read_bytes()))  # Any: JSON
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert [*validator.iter_errors({**COMPOSE, "services": {"demo": {"image": "x", "port": 1}}})]


def test_no_image_of_the_composition_is_the_newest() -> None:
    images = {name: service["image"] for name, service in COMPOSE["services"].items()}
    assert images.keys() == {"demo", "kafka", "postgres"}
    assert all(re.search(r":[\w.]+$", image) and not image.endswith(":latest") for image in images.values())
    assert images["kafka"].startswith("apache/kafka:4.")


def test_the_composition_starts_the_demo_on_its_own_servers() -> None:
    demo = COMPOSE["services"]["demo"]
    options = dict(zip(demo["command"][1::2], demo["command"][2::2], strict=True))
    assert demo["command"][0] == "demo" and options["--listen"] == "0.0.0.0"
    assert (
        options["--kafka"] == COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split("//")[1]
    )
    password = COMPOSE["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert options["--postgres"] == f"postgresql://postgres:{password}@postgres/postgres"
    told = CliRunner().invoke(app, ["demo", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert all(option in told for option in options)
    for name, condition in demo["depends_on"].items():
        assert condition == {"condition": "service_healthy"} and "healthcheck" in COMPOSE["services"][name]


def test_the_demo_s_ports_are_published_on_this_machine_alone_under_their_own_numbers() -> None:
    ports = [port.split(":") for port in COMPOSE["services"]["demo"]["ports"]]
    assert [(address, outside) for address, outside, inside in ports if outside == inside] == [
        ("127.0.0.1", str(port)) for port in (8080, 8081, 8082)
    ]


def test_the_demo_s_container_can_write_nothing_but_its_temporary_folder() -> None:
    demo = COMPOSE["services"]["demo"]
    assert demo["read_only"] is True and demo["tmpfs"] == ["/tmp"]
    assert demo["cap_drop"] == ["ALL"] and "no-new-privileges:true" in demo["security_opt"]


def test_make_image_builds_it() -> None:
    told = subprocess.run(["make", "-n", "image"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "docker build" in told and "--tag regrant:" in told
