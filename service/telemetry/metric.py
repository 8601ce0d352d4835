"""What a metric is: its row of the table, and the instrument of Prometheus's client that it stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

PREFIX = "regrant"
REGISTRY = CollectorRegistry()
"""This process's metrics; those of the process itself (`process_…`) are there, too."""
ProcessCollector(registry=REGISTRY)
disable_created_metrics()  # type: ignore[no-untyped-call]  # a series beside each counter, which nobody asks for

Values: TypeAlias = str | Sequence[str]
"""What a label may be: every word of a short list, each of which is there from the start, or a sentence."""

FROM_A_MILLISECOND = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TO_A_WEEK = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600)


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table."""

    name: str
    """As Prometheus knows it; a histogram's series have it with `_bucket`, `_sum` and `_count`."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, Values]
    of: Literal["process", "fleet"]
    """Of the fleet: the same from every process, so it is `max`ed; of the process: it is added up."""
    buckets: Sequence[float] = ()


TABLE: dict[str, Metric] = {}


def counter(name: str, help_: str, labels: Mapping[str, Values] | None = None) -> Counter:
    """How often something happened in this process."""
    metric = _row(name, "counter", help_, labels or {})
    made = Counter(name, help_, list(metric.labels), namespace=PREFIX, registry=REGISTRY)
    return _begun(made, metric)


def gauge(
    name: str, help_: str, labels: Mapping[str, Values] | None = None, *, of: Literal["process", "fleet"] = "process"
) -> Gauge:
    """How much of something there is."""
    metric = _row(name, "gauge", help_, labels or {}, of)
    made = Gauge(name, help_, list(metric.labels), namespace=PREFIX, registry=REGISTRY)
    return made if of == "fleet" else _begun(made, metric)


def histogram(
    name: str, help_: str, labels: Mapping[str, Values] | None = None, buckets: Sequence[float] = FROM_A_MILLISECOND
) -> Histogram:
    """How long something took in this process, or how large it was."""
    metric = _row(name, "histogram", help_, labels or {}, buckets=buckets)
    made = Histogram(name, help_, list(metric.labels), namespace=PREFIX, registry=REGISTRY, buckets=buckets)
    return _begun(made, metric)


def _row(
    name: str,
    kind: Literal["counter", "gauge", "histogram"],
    help_: str,
    labels: Mapping[str, Values],
    of: Literal["process", "fleet"] = "process",
    buckets: Sequence[float] = (),
) -> Metric:
    full = f"{PREFIX}_{name}"
    assert full not in TABLE, full
    TABLE[full] = Metric(full, kind, help_, labels, of, buckets)
    return TABLE[full]


_Made = TypeVar("_Made", Counter, Gauge, Histogram)


def _begun(made: _Made, metric: Metric) -> _Made:
    """Every series that is known beforehand begins at nothing: a rate sees the first of a kind, too."""
    if metric.labels and not any(isinstance(values, str) for values in metric.labels.values()):
        for words in product(*metric.labels.values()):
            made.labels(*words)
    return made
