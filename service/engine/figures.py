"""What the door counts of a batch, for the metrics: once a batch, never once an input."""

from collections import Counter
from operator import attrgetter

from service.store.batch import Batch
from service.telemetry import metrics

_MOVE = attrgetter("from_state", "to_state", "trigger", "provider")


def count_batch(batch: Batch, *, callers: int, records: int, took_s: float) -> None:
    """Counts a batch that is stored. One whose commit nobody was told of isn't counted."""
    metrics.INPUTS.labels("callers").inc(callers)
    metrics.INPUTS.labels("kafka").inc(records)
    metrics.BATCH_INPUTS.observe(callers + records)
    metrics.BATCH_SECONDS.observe(took_s)
    for labels, times in Counter(map(_MOVE, batch.transitions)).items():
        metrics.TRANSITIONS.labels(*labels).inc(times)
    for code, times in Counter(letter.code for letter in batch.dead_letters).items():
        metrics.DEAD_LETTERS.labels(code).inc(times)


def count_retry(why: str) -> None:
    """Counts that a batch is tried again."""
    metrics.BATCH_RETRIES.labels(why).inc()
