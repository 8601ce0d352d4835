"""Alert rules and the dashboard: what they use is exported, what fires has a page, and each fires when it should."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.telemetry.metric import TABLE
from tests.alerts.set_up import promtool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm" / "regrant" / "files" / "alerts.yaml"
DASHBOARDS = sorted((RULES.parent / "dashboards").glob("*.json"))
SCENARIOS = Path(__file__).parent / "scenarios"

Rule = dict[str, Any]  # Any: YAML


def rules() -> list[Rule]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
OF_ANY_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}

every_alert = pytest.mark.parametrize("alert", ALERTS)


def queries() -> list[str]:
    """Every expression of the rules and the dashboards."""
    found = [rule["expr"] for rule in rules()]
    for file in DASHBOARDS:
        panels = json.loads(file.read_text())["panels"]
        found += [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return found


def series() -> set[str]:
    """What the table's metrics are called where they are queried."""
    named = {name for name, metric in TABLE.items() if metric.kind != "histogram"}
    for name, metric in TABLE.items():
        if metric.kind == "histogram":
            named |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return named | RECORDED | OF_ANY_PROCESS


@pytest.mark.parametrize("query", queries())
def test_every_metric_and_label_of_a_query_is_exported(query: str) -> None:
    bare = re.sub(r'"[^"]*"', '""', query)
    names = set(re.findall(r"\b(?:regrant|process)[a-z0-9_:]*\b", bare))
    assert names and names <= series()
    exported = {"le", "instance", "job", "pod"} | {label for row in TABLE.values() for label in row.labels}
    asked = {label for group in re.findall(r"by \(([^)]*)\)", bare) for label in group.split(", ")}
    asked |= set(re.findall(r'([a-z_]+)(?:=|!=|=~|!~)""', bare))
    assert asked <= exported


def test_figures_of_the_fleet_are_never_added_up_over_processes() -> None:
    fleet = "|".join(name for name, metric in TABLE.items() if metric.of == "fleet")
    for query in queries():
        assert not re.search(rf"\b(?:sum|count|avg)(?: by \([^)]*\))? \(?(?:{fleet})\b", query), query


def test_the_dashboard_shows_what_a_grafana_can_draw() -> None:
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        panels = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
        assert len(set(places)) == len(places)
        assert {panel["title"] for panel in panels if panel["type"] == "row"} >= {"Overview", "Engine", "Providers"}


@every_alert
def test_every_alert_says_what_it_is_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"/help/runbook#{alert.lower()}"
    page = (ROOT / "docs" / "runbook.md").read_text()
    (section,) = re.findall(rf"^## {alert}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert all(word in section for word in ("**What it means.**", "**Look at**", "**Do.**"))


def test_the_runbook_has_no_section_of_an_alert_that_isn_t() -> None:
    assert set(re.findall(r"^## (\S+)", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)) == ALERTS.keys()


@every_alert
def test_every_alert_has_scenarios_in_which_it_fires_and_stays_silent(alert: str) -> None:
    scenarios = yaml.safe_load((SCENARIOS / f"{alert}.yaml").read_text())["tests"]
    assert len(scenarios) >= 2
    checked = [scenario["alert_rule_test"] for scenario in scenarios]
    assert {check["alertname"] for checks in checked for check in checks} == {alert}
    fires = [any(check.get("exp_alerts") for check in checks) for checks in checked]
    assert any(fires) and not all(fires)


def told(*words: str | Path) -> str:
    done = subprocess.run([promtool(), *words], cwd=SCENARIOS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_the_rules() -> None:
    assert f"{len(rules())} rules found" in told("check", "rules", RULES)


def test_alerts_fire_in_scenarios_that_deserve_it_and_in_no_others() -> None:
    files = sorted(SCENARIOS.glob("*.yaml"))
    assert [file.stem for file in files] == sorted(ALERTS)
    assert told("test", "rules", *files).count("SUCCESS") == len(files)
