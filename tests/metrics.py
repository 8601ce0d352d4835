"""Metrics as a reader sees them: every sample of this process, or of an answer, by name and labels."""

from collections.abc import Iterable
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.metric import REGISTRY

Samples: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]


def here() -> Samples:
    """Those of the test's own process."""
    return _samples(REGISTRY.collect())


def of_answer(text: str) -> Samples:
    """Those of a scrape's answer."""
    return _samples(text_string_to_metric_families(text))


def _samples(families: Iterable[Metric]) -> Samples:
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def grown(before: Samples, after: Samples, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """By how much each series of a counter grew."""
    return {
        labels: value - before.get((name_, labels), 0.0)
        for (name_, labels), value in after.items()
        if name_ == name and value != before.get((name_, labels), 0.0)
    }


def labelled(**labels: str) -> frozenset[tuple[str, str]]:
    """The labels of a series; `from_` stands for `from`."""
    return frozenset((name.rstrip("_"), value) for name, value in labels.items())
