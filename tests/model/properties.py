"""What must hold in every state, numbered as the invariants of the checker of real runs, and what a good end is."""

from collections import Counter
from itertools import pairwise

from tests.model.protocol import World


def i2_i3_versions_have_no_gap_and_each_is_in_the_log_once(w: World) -> str | None:
    for c, connector in enumerate(w.database.connectors):
        logged = [1, *(entry.version for entry in sorted(w.database.log) if entry.connector == c)]
        if any(later != earlier + 1 for earlier, later in pairwise(logged)):
            return f"I2: the log holds the versions {logged[1:]} of connector {c}"
        if connector.version != logged[-1]:
            return f"I3: connector {c} is of version {connector.version}, the log ends with {logged[-1]}"
    return None


def i4_what_the_watermark_covers_was_published(w: World) -> str | None:
    for entry in w.database.log:
        if entry.seq <= w.database.published and entry.version > w.topic[entry.connector].newest:
            return f"I4: number {entry.seq} is behind the watermark {w.database.published} and was never published"
    return None


def i5_first_occurrences_come_in_order(w: World) -> str | None:
    return f"I5: {w.gap}" if w.gap else None


def i5_at_rest_the_last_record_of_a_key_is_its_newest_version(w: World) -> str | None:
    if not _all_published(w):
        return None
    for c, connector in enumerate(w.database.connectors):
        if w.topic[c].last != connector.version:
            return f"I5: the compacted topic keeps version {w.topic[c].last} of connector {c}, not {connector.version}"
    return None


def i6_i10_a_record_is_stored_once_and_the_offset_says_exactly_which_are(w: World) -> str | None:
    stored = Counter(w.database.handled)
    for offset, record in enumerate(w.records):
        consumed = offset < w.database.next_offset
        if stored[record.cause] != consumed:
            number = "I6" if stored[record.cause] > 1 else "I10"
            times = f"{stored[record.cause]} times"
            return f"{number}: {record.cause} was stored {times}, the offset is {w.database.next_offset}"
    return None


def i6_a_caller_changes_a_connector_once(w: World) -> str | None:
    return "I6: the caller's input was applied twice" if Counter(w.database.handled)["the caller"] > 1 else None


def i6_a_deadline_fires_once_and_only_the_one_that_it_was_set_for(w: World) -> str | None:
    fired = [(entry.connector, entry.due) for entry in w.database.log if entry.due is not None]
    if len(set(fired)) < len(fired):
        return "I6: a deadline fired twice"
    for entry in w.database.log:
        if entry.due is not None and entry.due != entry.ran:
            return (
                f"I6: the deadline set by version {entry.due} ended what waits for the one set by version {entry.ran}"
            )
    return None


PROPERTIES = (
    i2_i3_versions_have_no_gap_and_each_is_in_the_log_once,
    i4_what_the_watermark_covers_was_published,
    i5_first_occurrences_come_in_order,
    i5_at_rest_the_last_record_of_a_key_is_its_newest_version,
    i6_i10_a_record_is_stored_once_and_the_offset_says_exactly_which_are,
    i6_a_caller_changes_a_connector_once,
    i6_a_deadline_fires_once_and_only_the_one_that_it_was_set_for,
)


def is_good(w: World) -> bool:
    """Everything was consumed, answered and published."""
    living = [replica for replica in w.replicas if replica is not None]
    return (
        w.database.next_offset == len(w.records)
        and not any(replica.calls or replica.chunks for replica in living)
        and (_all_published(w) or not w.relays)
    )


def _all_published(w: World) -> bool:
    """The watermark is at the log's end, and no relay has anything left to send."""
    if any(replica and replica.relay and (replica.relay.pending or replica.relay.memory) for replica in w.replicas):
        return False
    return w.database.published == max((entry.seq for entry in w.database.log), default=0)
