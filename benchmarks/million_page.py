"""The table of the run with a million connectors, for docs/scale.md: between its two markers."""

from collections.abc import Mapping
from typing import Any

BEGIN, END = "<!-- The run begins. -->", "<!-- The run ends. -->"

Json = Mapping[str, Any]  # Any: what JSON can hold


def written(page: str, report: Json) -> str:
    """The page with this report's table in place of the one that it has."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(report)}\n\n{END}{after}"


def table(report: Json) -> str:
    """What was measured, in words and figures."""
    machine, drain, steady, sizes = report["machine"], report["drain"], report["steady"], report["sizes"]
    fewest, most = report["connectors_a_shard"]
    few_moves, many_moves = sizes["transitions_a_shard"]
    cores, us, waited = steady["cores"], steady["us_an_input"], steady["durable_ms"]
    rows = {
        "connectors, shards, workers": f"{report['connectors']:,}, {report['shards']}, {report['workers']}, and one api"
        " process",
        "connectors a shard": f"{fewest:,} to {most:,}",
        "filling them (COPY, indexes in place)": f"{report['filled_s']} s",
        "a backlog is drained": f"{drain['rate']:,.0f} inputs/s ({report['waiting']:,} inputs; CPU an input:"
        f" {drain['client_us']:.0f} µs service, {drain['postgres_us']:.0f} µs PostgreSQL, {drain['kafka_us']:.0f} µs"
        " Kafka)",
        "steady load": f"{steady['rate']:,.0f} inputs/s for {steady['seconds']} s: {steady['inputs']:,} inputs, and"
        f" {steady['renamed']} renames over HTTP",
        "behind when the load ended": f"{steady['lag_at_end']:,} inputs",
        "from sending to durable": f"p50 {waited[0]} ms, p99 {waited[1]} ms ({steady['transitions_timed']:,}"
        " transitions)",
        "cores busy": f"service {cores['service']}, PostgreSQL {cores['postgres']}, Kafka {cores['kafka']}",
        "CPU an input": f"service {us['service']} µs, PostgreSQL {us['postgres']} µs, Kafka {us['kafka']} µs",
        "memory": f"workers {steady['rss_mb']['workers']} MiB together, api {steady['rss_mb']['api']} MiB",
        "the first `GET /v1/fleet`, which makes the sums": f"{steady['first_fleet_ms']:,} ms",
        **{
            f"`{what}`" if what.startswith("GET /") else what: f"p50 {ms['p50']} ms, p95 {ms['p95']} ms"
            for what, ms in steady["http_ms"].items()
        },
        "transitions a shard": f"{few_moves:,} to {many_moves:,}",
        "on disk": f"connectors {_mb(sizes['connectors'])} and {_mb(sizes['connector_indexes'])} of indexes;"
        f" the log {_mb(sizes['log'])} for {sizes['transitions']:,} transitions; the database {_mb(sizes['database'])}",
        "checked": "every connector's state and version, the log, and both topics are what the inputs lead to"
        if drain["checked"]
        else f"FAILED: {'; '.join(drain['faults'])}",
        "machine": f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB,"
        f" {machine['filesystem']}, {machine['system']}; PostgreSQL {machine['postgres']}, {machine['kafka']}",
        "load by other work": f"{machine['load_when_begun']} when the run began, {machine['load_when_over']} (its own"
        " included) when it was over",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())])


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f} MB"
