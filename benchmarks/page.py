"""The page docs/benchmarks.md: the goals and how each was met, every figure with what it stands for."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.goals import GOALS
from benchmarks.limits import limits
from benchmarks.method import METHOD

Json = Mapping[str, Any]  # Any: what JSON can hold
PLOTS = "benchmarks"


def write(report: Json, docs: Path) -> None:
    """Writes the page and its plots."""
    parts = [
        _head(report),
        _goals(report),
        _throughput(report, docs),
        _latency(report, docs),
        _growth(report, docs),
        _memory_and_restarts(report),
        _profile(report),
        limits(report),
        METHOD,
        _machine(report),
    ]
    (docs / "benchmarks.md").write_text("\n\n".join(part.strip() for part in parts if part) + "\n")


def _head(report: Json) -> str:
    machine = report["machine"]
    modes = {
        "quick": "The quick mode made this page: every point once, some seconds each. It shows that the harness works;"
        " single figures may be off by a third.",
        "full": f"The full mode made this page: {machine['seconds_a_point']:g} s a point, interleaved,"
        f" the median of {machine['repeats']} ratios.",
    }
    failed = "".join(f"\n- {name}: {error.splitlines()[0]}" for name, error in report["errors"].items())
    return f"""# Benchmarks

`make bench` measures this service and four other ways to do the same work, on the same schema, data and machine, and
writes this page. {modes[machine["mode"]]}

Only ratios of two things that were measured in the same run are comparable between machines: a figure alone says as
much about the machine as about the program. This was {machine["cores"]} cores ({machine["processor"]}),
shared by the clients, PostgreSQL {machine["postgres"]} and Kafka.{f" Parts that failed:{failed}" if failed else ""}"""


def _goals(report: Json) -> str:
    rows = []
    for goal in GOALS:
        ratio = report["ratios"].get(goal.key)
        shown = "–" if ratio is None else f"{ratio:g}"
        rows.append((goal.key, goal.says, shown, goal.wanted(), report["goals"][goal.key], goal.how))
    return "## The goals\n\n" + _table(("", "goal", "measured", "wanted", "", "what is divided by what"), rows)


def _throughput(report: Json, docs: Path) -> str:
    database, peers = report["raw"].get("database"), report["raw"].get("peers")
    rows: list[Sequence[object]] = []
    bars: list[tuple[str, float]] = []

    def row(name: str, points: Sequence[Json], ratio: str = "") -> None:
        if points:
            bars.append((name, _median(points, "rate")))
            costs = [f"{_median(points, cost):,.0f}" for cost in ("client_us", "postgres_us", "kafka_us")]
            rows.append((name, f"{bars[-1][1]:,.0f}", *costs, _checked(points), ratio))

    for workers in ("1 workers", "2 workers") if database else ():
        row(f"regrant, {workers.replace('1 workers', '1 worker')}", database[workers]["ours"])
    ours = len(bars)
    for workers in ("1 workers", "2 workers") if database else ():
        row(
            f"bare loop, {workers.replace('1 workers', '1 process').replace('workers', 'processes')}",
            database[workers]["bare"],
        )
    if peers and not ours:
        row("regrant, 1 worker", peers["ours"]["points"])
        ours = 1
    for name, peer in (peers or {}).items():
        if name != "ours":
            row(name, peer["points"], f"{statistics.median(peer['ratios']):,.1f}×" if peer["ratios"] else "failed")
    if not rows:
        return ""
    plots.throughput([name for name, _ in bars], [rate for _, rate in bars], ours, docs / PLOTS / "throughput.svg")
    head = ("", "events/s", "client µs", "PostgreSQL µs", "Kafka µs", "checked", "we are faster by")
    text = "## Throughput: every input a transition\n\n![Events a second](benchmarks/throughput.svg)\n\n"
    text += (
        "The costs are CPU an event. *Checked*: the same final rows and the same records out, as described below.\n\n"
    )
    return text + _table(head, rows) + (_guarantees(peers) if peers else "")


def _guarantees(peers: Json) -> str:
    kinds = ("effects", "order", "crash between commit and publish")
    rows = [("regrant", *(peers["ours"]["guarantees"][kind] for kind in kinds), "")]
    for name, peer in peers.items():
        if name != "ours":
            two = peer.get("two_processes")
            shown = f"{two['rate']:,.0f}/s" if two else "–"
            rows.append((f"{name}: {peer['how']}", *(peer["guarantees"][kind] for kind in kinds), shown))
    return "\n\nWhat each guarantees, and what it isn't:\n\n" + _table(("", *kinds, "with two processes"), rows)


def _latency(report: Json, docs: Path) -> str:
    found = report["raw"].get("latency")
    if not found:
        return ""
    idle = found["idle"]
    plots.latencies(found["loads"], idle["lone_ms"]["p99"], docs / PLOTS / "latency.svg")
    rows = [
        (f"{load['share']:.0%}", f"{load['rate']:,.0f}", *load["durable_ms"], *load["seen_ms"], _cores(load))
        for load in found["loads"]
    ]
    head = ("load", "inputs/s", "durable p50, ms", "p99", "seen p50, ms", "p99", "cores busy")
    return f"""## Latency

![Latency by load](benchmarks/latency.svg)

One input alone on the idle database (one load and one transaction): p50 {idle["lone_ms"]["p50"]} ms, p99
{idle["lone_ms"]["p99"]} ms; a commit's round trip alone: p99 {idle["commit_ms"]["p99"]} ms, which is added to every
*durable* figure. The producer that paces the inputs and the consumer that sees the transitions (*measuring*) share
the cores.

{_table(head, rows)}"""


def _cores(load: Json) -> str:
    parts = ", ".join(f"{part} {cores:.2f}" for part, cores in load["cores"].items())
    return f"{sum(load['cores'].values()):.2f}: {parts}"


def _growth(report: Json, docs: Path) -> str:
    found = report["raw"].get("growth")
    if not found:
        return ""
    titles = {"connectors": "connectors", "batches": "inputs a batch (bare loop)", "shards": "shards"}
    series = {title: found[key] for key, title in titles.items() if found.get(key)}
    if series:
        plots.lines(series, docs / PLOTS / "growth.svg")
    rows = [
        (f"{x} {title}", f"{point['rate']:,.0f}", point["client_us"], point["postgres_us"], point["rss_mb"] or "–")
        for title, points in series.items()
        for x, point in points.items()
    ]
    for name in ("hot key", "fleet mix", "straight after a checkpoint"):
        if name in found:
            point = found[name]
            rows.append((name, f"{point['rate']:,.0f}", point["client_us"], point["postgres_us"], point["rss_mb"]))
    text = "## How cost grows\n\n"
    if series:
        text += "![The rate by connectors, batch and shards](benchmarks/growth.svg)\n\n"
    text += _table(("", "events/s", "client µs", "PostgreSQL µs", "worker MiB"), rows)
    if disk := found.get("on disk"):
        text += (
            f"\n\nA million transitions take {disk['heap_mb']:,} MB on disk, and {disk['indexes_mb']:,} MB of indexes."
        )
    if found["left_out"]:
        text += f"\n\nLeft out for want of time: {', '.join(found['left_out'])}."
    return text


def _memory_and_restarts(report: Json) -> str:
    raw, lines = report["raw"], []
    if memory := raw.get("memory"):
        small, large = memory["small"], memory["large"]
        lines.append(
            f"- Memory of the worker under load: {small['rss_mb']} MiB with {small['settings']['connectors']:,}"
            f" connectors, {large['rss_mb']} MiB with {large['settings']['connectors']:,}."
        )
    if backlog := raw.get("backlog"):
        steady = _median(backlog["steady"], "rate")
        lines.append(
            f"- A backlog of {backlog['backlog']:,} drains at {backlog['drain']['rate']:,.0f}/s,"
            f" beside {steady:,.0f}/s before and after."
        )
    if restart := raw.get("restart"):
        lines.append(
            f"- After kill -9 of the only worker the next commit comes in {restart['restart_s']} s, of which the"
            f" group's session timeout is {restart['session_timeout_s']:g} s: until then the broker keeps its"
            f" place."
        )
        lines.append(
            f"- From a cold start to the first commit: {restart['cold_start_s']} s, {restart['cold_start_over_import']}"
            f" times the import of its modules ({restart['import_s']} s)."
        )
    if back := raw.get("callbacks"):
        lines.append(
            f"- From the callback to the sync request (P2), at {back['a_second']}/s with a provider that takes"
            f" {back['provider_ms']:g} ms a call: p50 {back['ms']['p50']} ms, p95 {back['ms']['p95']} ms, p99"
            f" {back['ms']['p99']} ms; {back['missing']} of {back['callbacks']} missing. People, provider and service"
            f" share the cores."
        )
    if read := raw.get("tokens"):
        lines += [
            f"- Fresh access tokens of {read['connectors']:,} connectors (P19), {where}: {found['rate']:,}/s,"
            f" {found['us_a_read']} µs of CPU a read, so {found['a_core']:,}/s a core; at {read['pace']}/s p50"
            f" {found['ms']['p50']} ms, p99 {found['ms']['p99']} ms. Each read is sealed at rest and audited."
            for where, found in (("in the service's process", read["service"]), ("over HTTP", read["http"]))
        ]
    if guarantees := raw.get("guarantees"):
        lines.append(f"- With the guarantees, by without, in each interleaving: {guarantees['ratios']}.")
    return "## Memory, restarts, guarantees\n\n" + "\n".join(lines) if lines else ""


def _profile(report: Json) -> str:
    found = report["raw"].get("profile")
    if not found:
        return ""
    costs = found["us_an_event"]
    tables = []
    for key, title in (
        ("client_by_library", "CPU of the client by library or room"),
        ("client_by_function", "CPU of the client by the innermost function of ours"),
        ("backends_at", "What PostgreSQL's active backends are at"),
    ):
        tables.append(_table((title, "share"), [(name, f"{share:.1%}") for name, share in found[key].items()]))
    return (
        f"## Where the time goes\n\nOne worker that samples itself, at {found['rate']:,.0f} events/s:"
        f" {costs['client']} µs of CPU an event in the client, {costs['postgres']} µs in PostgreSQL,"
        f" {costs['kafka']} µs in Kafka; together {found['cores_busy']} of {found['cores']} cores are busy.\n\n"
        + "\n\n".join(tables)
    )


def _machine(report: Json) -> str:
    machine = report["machine"]
    rows = [(name, _shown(value)) for name, value in machine.items()]
    return "## The machine\n\n" + _table(("", ""), rows)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)


def _checked(points: Iterable[Json]) -> str:
    found = {point["checked"] for point in points}
    return "no" if False in found else "yes" if True in found else "–"


def _median(points: Iterable[Json], key: str) -> float:
    return float(statistics.median(point[key] for point in points))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
