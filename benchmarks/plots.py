"""The page's plots, as SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "regrant", "svg.fonttype": "none", "font.size": 10, "axes.axisbelow": True})

from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen before

_OURS, _OTHERS = "#1f6f54", "#8a8f98"


def throughput(names: Sequence[str], rates: Sequence[float], ours: int, to: Path) -> None:
    """Events a second of each, on a logarithmic axis; `ours` are the first so many."""
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(names) + 1))
    colours = [_OURS] * ours + [_OTHERS] * (len(names) - ours)
    bars = axes.barh(names, rates, color=colours)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.bar_label(bars, [f" {rate:,.0f}" for rate in rates])
    axes.margins(x=0.2)
    axes.set_xlabel("events a second, from Kafka to durable to Kafka (logarithmic)")
    _save(figure, to)


def lines(series: dict[str, dict[str, dict[str, Any]]], to: Path) -> None:  # Any: points as JSON
    """How the rate changes with each property, one small plot a property."""
    figure, all_axes = plt.subplots(1, len(series), figsize=(3.4 * len(series), 3), squeeze=False)
    for axes, (title, points) in zip(all_axes[0], series.items(), strict=True):
        axes.plot([int(x) for x in points], [point["rate"] for point in points.values()], "o-", color=_OURS)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(title)
        axes.grid(alpha=0.3)
    all_axes[0][0].set_ylabel("events a second")
    _save(figure, to)


def latencies(loads: Sequence[dict[str, Any]], lone_p99: float, to: Path) -> None:  # Any: latencies as JSON
    """p50 and p99 by load."""
    figure, axes = plt.subplots(figsize=(6, 3.4))
    shares = [f"{load['share']:.0%}" for load in loads]
    for what, colour in (("durable", _OURS), ("seen", _OTHERS)):
        for index, (quantile, style) in enumerate((("p50", "--"), ("p99", "-"))):
            values = [load[f"{what}_ms"][index] for load in loads]
            axes.plot(shares, values, style, marker="o", color=colour, label=f"{what} {quantile}")
    axes.axhline(lone_p99, color="#b4552d", linewidth=1, label="one transaction alone, p99")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("share of the maximum")
    axes.set_ylabel("milliseconds since sent")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    _save(figure, to)


def _save(figure: Any, to: Path) -> None:  # Any: matplotlib's figure
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(to, metadata={"Date": None})
    plt.close(figure)
    to.write_text("\n".join(line.rstrip() for line in to.read_text().splitlines()) + "\n")
