"""`docs/metrics.md`, made from the table."""

from pathlib import Path

from service.telemetry import metrics  # noqa: F401 - fills the table
from service.telemetry.metric import TABLE, Metric, Values

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Made from `service/telemetry/metrics.py` by `python -m service.telemetry`; don't edit it here.

With `REGRANT_METRICS__PORT` set, each process answers `/metrics` on a port of its own, for Prometheus: text, or
OpenMetrics where that is asked for. The port is for the inside: it tells how many connectors there are.

- What is **of the fleet** is read from the database by whichever process is scraped, at most every 15 seconds, and is
  the same from every process: take `max`. While the database is away the last figures stay, and
  `regrant_fleet_age_seconds` tells how old they are. A scrape never waits longer than a second for them.
- All else is **of a process**, counted since it started: add the processes up.
- No label grows with the fleet: ids of connectors and tenants stand in logs and traces.
- What Prometheus's client tells of the process itself is there, too: `process_cpu_seconds_total`,
  `process_resident_memory_bytes` and their like.

Alert rules and dashboards that use them are files of the chart, `helm/regrant/files/`; what to do when an alert fires
stands in [the runbook](runbook.md).
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            _HEAD,
            _table("Of the fleet", [metric for metric in TABLE.values() if metric.of == "fleet"]),
            _table("Of a process", [metric for metric in TABLE.values() if metric.of == "process"]),
        ]
    )


def _table(title: str, rows: list[Metric]) -> str:
    lines = [f"## {title}", "", "| metric | kind | what it tells | labels |", "| --- | --- | --- | --- |"]
    for row in rows:
        labels = "<br>".join(f"`{name}`: {_written(values)}" for name, values in row.labels.items())
        lines.append(f"| `{row.name}` | {row.kind} | {row.help} | {labels} |")
    return "\n".join(lines) + "\n"


def _written(values: Values) -> str:
    return values if isinstance(values, str) else ", ".join(f"`{value}`" for value in values)
