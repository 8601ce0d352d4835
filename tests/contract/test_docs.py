"""The pages: every path that they name is there, every link leads somewhere, every variable is a setting."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from service.settings import load
from service.settings.variables import FILE, variables
from tests.contract.chart import pods, rendered
from tests.kubernetes import strict

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "clients" / "python" / "README.md"])

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def paths_named_by(page: Path) -> Iterator[str]:
    """What stands in backquotes and begins with a folder of ours."""
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for quoted in re.findall(r"`([^`\s]+)`", page.read_text()):
        if "/" in quoted and quoted.partition("/")[0] in tops and not re.search(r"[<>*{…]", quoted):
            yield quoted


def test_contributing_names_a_place_for_each_kind_of_change() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = [line for line in text.partition("## What is made")[0].splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 12
    assert all(re.search(r"`[^`]+`", row) for row in rows)


@every_page
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    assert [path for path in paths_named_by(page) if not (ROOT / path).exists()] == []


@every_page
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@every_page
def test_every_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    known = {"REGRANT_", "REGRANT_CONFIG", "REGRANT_TEST_POSTGRES", "REGRANT_TEST_KAFKA"}
    for variable in variables():
        known |= {variable.name, variable.name + FILE.upper()} if variable.secret else {variable.name}
    named = re.findall(r"\bREGRANT_[A-Z0-9_]*(?:<[A-Z]+>[A-Z0-9_]*)?", page.read_text())
    assert [name for name in named if name not in known] == []


def test_every_decision_record_is_in_the_list() -> None:
    listed = (ROOT / "docs" / "adr" / "README.md").read_text()
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [record.name for record in records if f"({record.name})" not in listed] == []
    for record in records:
        text = record.read_text()
        assert all(f"**{part}" in text for part in ("Context.", "Decision.", "Consequences."))


def test_the_settings_in_the_installation_page_hold(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    (block,) = (b for b in re.findall(r"```yaml\n(.*?)```", page, flags=re.S) if "/etc/regrant/regrant.yaml" in b)
    (tmp_path / "keys").mkdir()
    for secret in ("dsn", "quickbooks-online"):
        (tmp_path / secret).write_text("a secret")
    (tmp_path / "regrant.yaml").write_text(block.replace("/etc/regrant/", f"{tmp_path}/"))
    settings = load({}, tmp_path / "regrant.yaml")
    assert settings.providers.keys() == yaml.safe_load(block)["providers"].keys()


def test_the_values_in_the_installation_page_make_a_release() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    (block,) = (b for b in re.findall(r"```yaml\n(.*?)```", page, flags=re.S) if "# my-values.yaml" in b)
    documents = rendered(yaml.safe_load(block))
    assert [fault for document in documents for fault in strict.faults(document, strict.MINORS[-1])] == []
    made = set(re.findall(r"create secret generic (\S+)", page))
    asked = {
        source["secret"]["name"]
        for pod in pods(documents)
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
    }
    assert asked <= made
    chart = yaml.safe_load((ROOT / "helm" / "regrant" / "Chart.yaml").read_text())
    assert set(re.findall(r"regrant:(\d[\w.]*)", page)) == {chart["appVersion"]}


def test_the_threat_model_names_every_defence_and_each_has_a_test() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    named = {number for row in rows for number in re.findall(r"\bS(\d{1,2})\b", row)}
    assert named == {str(number) for number in range(1, 41)}
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tested = {str(int(number)) for name in re.findall(r"def test_(\w+)", tests) for number in _defences(name)}
    assert named - tested == set()


def _defences(test: str) -> list[str]:
    """The S-numbers that a test's name begins with."""
    numbers = re.match(r"((?:[spr]\d{2}_)+)", test)
    return re.findall(r"s(\d{2})_", numbers[0]) if numbers else []


@pytest.mark.parametrize("page", [ROOT / "docs" / "clients.md"], ids=lambda page: page.name)
def test_the_code_that_a_page_shows_of_the_client_stands_in_an_example_that_runs(page: Path) -> None:
    examples = [_lines(path.read_text()) for path in (ROOT / "clients" / "python" / "examples").glob("*.py")]
    shown = [_lines(block) for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S)]
    assert len(shown) >= 4
    for lines in shown:
        assert any(_within(lines, example) for example in examples), "\n".join(lines)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def _within(lines: list[str], example: list[str]) -> bool:
    return any(example[start : start + len(lines)] == lines for start in range(len(example)))
