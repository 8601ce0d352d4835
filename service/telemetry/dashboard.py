"""The Grafana dashboard, made from the rows below: what is shown, and by which query.

As in the alert rules: `max` over processes of what is of the fleet, `sum` of what they counted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FILE = Path(__file__).parents[2] / "helm" / "regrant" / "files" / "dashboards" / "regrant.json"

Json = dict[str, Any]  # Any: what JSON can hold

COLUMNS, HEIGHT = 24, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: a title, the lines with their names, and what they count in (Grafana's word for the unit)."""

    title: str
    lines: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "bargauge"] = "timeseries"
    width: int = 8


def _quantile(q: float, histogram: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


def _rate(counter: str, by: str, only: str = "") -> str:
    return f"sum by ({by}) (rate({counter}{only}[$__rate_interval]))"


ROWS: dict[str, Sequence[Panel]] = {
    "Overview": (
        Panel("Connectors by state", [("sum by (state) (max by (state, provider) (regrant_connectors))", "{{state}}")]),
        Panel(
            "Not healthy, by provider",
            [('sum by (provider) (max by (state, provider) (regrant_connectors{state!="healthy"}))', "{{provider}}")],
        ),
        Panel("Longest in its state", [("max by (state) (regrant_state_age_seconds)", "{{state}}")], "s"),
        Panel("Deadlines overdue", [("max(regrant_deadlines_overdue)", "")], kind="stat", width=4),
        Panel("Dead letters waiting", [("max(regrant_dead_letters_waiting)", "")], kind="stat", width=4),
        Panel("Relay behind by", [("max(regrant_relay_lag_seconds)", "")], "s", "stat", 4),
        Panel("Jobs waiting", [("max(regrant_jobs_waiting)", "")], kind="stat", width=4),
        Panel("Database", [("min(regrant_database_up)", "")], "bool_on_off", "stat", 4),
        Panel("Figures are old", [("min(regrant_fleet_age_seconds)", "")], "s", "stat", 4),
    ),
    "Re-authorisation": (
        Panel(
            "How far attempts came that ended",
            [("sum by (step, outcome) (increase(regrant_reauth_step_total[$__range]))", "{{step}}: {{outcome}}")],
            kind="bargauge",
        ),
        Panel(
            "Why they stopped",
            [('sum by (code) (increase(regrant_reauth_step_total{outcome="stopped"}[$__range]))', "{{code}}")],
            kind="bargauge",
        ),
        Panel(
            "Ended with data flowing",
            [
                ("regrant:reauth_conversion:ratio6h", "of six hours"),
                ("regrant:reauth_conversion:low7d", "low for the last week"),
            ],
            "percentunit",
        ),
        Panel(
            "Who takes the time (median)",
            [(_quantile(0.5, "regrant_reauth_duration_seconds", "part"), "{{part}}")],
            "s",
        ),
        Panel("People who come back", [(_rate("regrant_callbacks_total", "outcome"), "{{outcome}}")], "reqps"),
        Panel("Transitions", [(_rate("regrant_transitions_total", "from, to"), "{{from}} → {{to}}")], "ops"),
    ),
    "Engine": (
        Panel("Inputs", [(_rate("regrant_inputs_total", "source"), "{{source}}")], "ops"),
        Panel("Records that wait", [("sum by (topic) (regrant_consumer_lag)", "{{topic}}")]),
        Panel(
            "Published, and what waits",
            [
                ("sum(rate(regrant_published_total[$__rate_interval]))", "published a second"),
                ("max(regrant_relay_lag_entries)", "waiting"),
            ],
        ),
        Panel(
            "A batch takes",
            [(_quantile(0.5, "regrant_batch_seconds"), "median"), (_quantile(0.99, "regrant_batch_seconds"), "p99")],
            "s",
        ),
        Panel("Inputs of a batch", [(_quantile(0.5, "regrant_batch_inputs"), "median")]),
        Panel(
            "What is tried again",
            [
                (_rate("regrant_batch_retries_total", "why"), "batch: {{why}}"),
                (_rate("regrant_relay_restarts_total", "why"), "relay: {{why}}"),
                (_rate("regrant_consumer_restarts_total", "why"), "consumer: {{why}}"),
            ],
            "ops",
        ),
        Panel("Jobs", [(_rate("regrant_jobs_total", "kind, outcome"), "{{kind}}: {{outcome}}")], "ops"),
        Panel("Dead letters", [(_rate("regrant_dead_letters_total", "code"), "{{code}}")], "ops"),
        Panel("Requests (p99)", [(_quantile(0.99, "regrant_http_request_seconds", "route"), "{{route}}")], "s"),
    ),
    "Providers": (
        Panel(
            "Token requests",
            [
                (
                    _rate("regrant_token_requests_total", "provider, grant, outcome"),
                    "{{provider}} {{grant}}: {{outcome}}",
                )
            ],
            "reqps",
        ),
        Panel(
            "Answers take (p95)",
            [(_quantile(0.95, "regrant_provider_request_seconds", "provider, at"), "{{provider}} {{at}}")],
            "s",
        ),
        Panel("Asked for no refresh", [("max by (provider) (regrant_circuit_open)", "{{provider}}")], "bool_yes_no"),
        Panel(
            "Sign-ins that end",
            [("max by (provider, within) (regrant_credential_expiry)", "{{provider}} within {{within}}")],
        ),
        Panel("Secrets that don't open", [(_rate("regrant_sealed_row_failures_total", "found"), "{{found}}")], "ops"),
    ),
    "Webhooks": (
        Panel("Sent", [(_rate("regrant_webhooks_total", "endpoint, outcome"), "{{endpoint}}: {{outcome}}")], "ops"),
        Panel(
            "The oldest event that waits", [("max by (endpoint) (regrant_webhook_lag_seconds)", "{{endpoint}}")], "s"
        ),
        Panel(
            "What waits",
            [
                ("max by (endpoint) (regrant_webhook_lag_entries)", "{{endpoint}}: entries of the log"),
                ("max by (endpoint) (regrant_webhook_connectors_waiting)", "{{endpoint}}: connectors"),
            ],
        ),
        Panel(
            "Taken from senders",
            [(_rate("regrant_adapter_webhooks_total", "adapter, outcome"), "{{adapter}}: {{outcome}}")],
            "ops",
        ),
    ),
    "Processes": (
        Panel(
            "Event loop is late by (p99)",
            [(_quantile(0.99, "regrant_event_loop_lag_seconds", "instance"), "{{instance}}")],
            "s",
        ),
        Panel(
            "CPU",
            [('rate(process_cpu_seconds_total{job=~".*regrant.*"}[$__rate_interval])', "{{instance}}")],
            "percentunit",
        ),
        Panel("Memory", [('process_resident_memory_bytes{job=~".*regrant.*"}', "{{instance}}")], "bytes"),
        Panel("Versions", [("count by (version) (regrant_build_info)", "{{version}}")], kind="stat", width=4),
        Panel("Jobs running", [("sum(regrant_jobs_running)", "")], kind="stat", width=4),
    ),
}


def dashboard() -> str:
    """The dashboard's JSON model."""
    panels: list[Json] = []
    y = 0
    for title, row in ROWS.items():
        at = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": at, "panels": []})
        x, y = 0, y + 1
        for panel in row:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            panels.append(_drawn(panel, x, y))
            x += panel.width
        y += HEIGHT
    for number, made in enumerate(panels, 1):
        made["id"] = number
    return json.dumps(_around(panels), indent=2, ensure_ascii=False) + "\n"


def _drawn(panel: Panel, x: int, y: int) -> Json:
    instant = panel.kind != "timeseries"
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"h": HEIGHT, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": query, "legendFormat": name, "datasource": _SOURCE, "instant": instant}
            for i, (query, name) in enumerate(panel.lines)
        ],
    }


def _around(panels: Sequence[Json]) -> Json:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "regrant",
        "title": "regrant",
        "tags": ["regrant"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }
