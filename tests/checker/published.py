"""What was published against the log: I4 and I5, and of I11 what stands on the dead letters' topics."""

from collections.abc import Iterator, Mapping

import orjson
from aiokafka import ConsumerRecord

from tests.checker.ledger import SEEN_REQUEST, SEEN_TRANSITION, Connector, Ledger, Letter, content_of, digest_json
from tests.checker.lifecycle import DELETED
from tests.checker.report import Report
from tests.checker.topics import DEAD_LETTERS, STATES, SYNC_REQUESTS, TRANSITIONS, Topics

TOLD = frozenset({"dlq-reason", "dlq-detail", "dlq-topic", "dlq-partition", "dlq-offset", "dlq-first-seen"})
"""The headers behind a dead letter's own."""


async def check_published(topics: Topics, ledger: Ledger, report: Report) -> None:
    """Reads every output topic once."""
    await _transitions(topics, ledger, report)
    await _requests(topics, ledger, report)
    await _states(topics, ledger, report)
    await _dead_letters(topics, ledger, report)


async def _transitions(topics: Topics, ledger: Ledger, report: Report) -> None:
    begins_late = False
    for part in await topics.parts(TRANSITIONS):
        begins_late |= part.begin > 0
        newest: dict[str, int] = {}
        """The highest version of each connector that this partition has shown."""
        async for record in topics.records(part):
            report.counts["published transitions"] += 1
            known = _known(record, "connector.transition.v1", ledger, report)
            if known is None:
                continue
            connector, version = known
            place = connector.at(version)
            if _json_digest(record.value) != connector.records[place]:
                report.violated("I4", _where(record), f"version {version} as the log has it", "another value")
            if connector.seen[place] & SEEN_TRANSITION:
                report.counts["published repeats"] += 1
                continue
            connector.seen[place] |= SEEN_TRANSITION
            if version < newest.get(connector.id, 0):
                expected = f"version {version} of {connector.id} before version {newest[connector.id]}"
                report.violated("I5", _where(record), expected, "it for the first time here")
            newest[connector.id] = version
    for connector in ledger.by_pk.values():
        for version in _published(connector, ledger, SEEN_TRANSITION if begins_late else 0):
            if not connector.seen[connector.at(version)] & SEEN_TRANSITION:
                seq = connector.seqs[connector.at(version)]
                expected = f"a record of version {version}, since seq {seq} of shard {connector.shard} is published"
                report.violated("I4", connector.id, expected, "none")


async def _requests(topics: Topics, ledger: Ledger, report: Report) -> None:
    begins_late = False
    for part in await topics.parts(SYNC_REQUESTS):
        begins_late |= part.begin > 0
        async for record in topics.records(part):
            report.counts["published sync requests"] += 1
            known = _known(record, "sync.requested.v1", ledger, report)
            if known is None:
                continue
            connector, version = known
            if connector.requests.get(version) != _json_digest(record.value):
                report.violated("I4", _where(record), f"the sync request of version {version}, as logged", "another")
            connector.seen[connector.at(version)] |= SEEN_REQUEST
    for connector in ledger.by_pk.values():
        if not connector.requests:
            continue
        for version in _published(connector, ledger, SEEN_REQUEST if begins_late else 0):
            if version in connector.requests and not connector.seen[connector.at(version)] & SEEN_REQUEST:
                report.violated("I4", connector.id, f"the published sync request of version {version}", "none")


def _published(connector: Connector, ledger: Ledger, since: int) -> Iterator[int]:
    """The versions that the watermark says are published. `since`: only from the first that a topic showed on, where
    the topic no longer holds what is older.
    """
    begun = not since
    for place, seq in enumerate(connector.seqs):
        begun = begun or bool(connector.seen[place] & since)
        if begun and seq and ledger.is_published(connector.shard, seq):
            yield connector.first + place


async def _states(topics: Topics, ledger: Ledger, report: Report) -> None:
    """I5: a reader of the compacted topic knows each connector's newest version."""
    missing = {one.id for one in ledger.by_pk.values() if one.state != DELETED}
    for part in await topics.parts(STATES):
        last: dict[str, tuple[int, int | None]] = {}
        """Key -> version and digest of the last record; no digest for a tombstone."""
        async for record in topics.records(part):
            report.counts["published states"] += 1
            known = _known(record, "connector.state.v1", ledger, report)
            if known is not None:
                last[known[0].id] = known[1], _json_digest(record.value) if record.value is not None else None
        for id_, (version, value) in last.items():
            connector = ledger.by_id[id_]
            if connector.shard == part.partition:  # else it is left from before the number of shards was changed
                missing.discard(id_)
                _state(connector, version, value, ledger, report)
    for id_ in missing:
        newest = max(_published(ledger.by_id[id_], ledger, 0), default=None)
        if newest is not None:
            report.violated("I5", id_, f"version {newest} in the compacted topic", "no record of this key")


def _state(connector: Connector, version: int, value: int | None, ledger: Ledger, report: Report) -> None:
    newest = max(_published(connector, ledger, 0), default=version)
    is_last = version == connector.first + len(connector.seqs) - 1
    if version < newest:
        report.violated("I5", connector.id, f"version {newest} last in the compacted topic", version)
    elif is_last and (value is None) != (connector.state == DELETED):
        expected = "a tombstone" if connector.state == DELETED else "the connector's state"
        report.violated("I5", connector.id, f"{expected} last in the compacted topic", f"version {version}")
    elif value is not None and value != connector.states[connector.at(version)]:
        report.violated("I5", connector.id, f"version {version} in the compacted topic as logged", "another value")


async def _dead_letters(topics: Topics, ledger: Ledger, report: Report) -> None:
    begins_late = False
    for topic in DEAD_LETTERS:
        for part in await topics.parts(topic):
            begins_late |= part.begin > 0
            async for record in topics.records(part):
                report.counts["published dead letters"] += 1
                _dead_letter(record, ledger, report)
    for (topic, partition, offset), letter in ledger.letters.items():
        if not letter.published and not begins_late and ledger.is_published(letter.shard, letter.seq):
            report.violated("I4", f"{topic}[{partition}]@{offset}", "its dead letter published", "none")


def _dead_letter(record: ConsumerRecord, ledger: Ledger, report: Report) -> None:
    own, told = _parted(record)
    if told.keys() != TOLD or not (told["dlq-partition"] + told["dlq-offset"]).isdecimal():
        report.violated("I11", _where(record), f"the headers {', '.join(sorted(TOLD))} at the end", sorted(told))
        return
    origin = (told["dlq-topic"], int(told["dlq-partition"]), int(told["dlq-offset"]))
    letter = ledger.letters.get(origin)
    if letter is None:
        report.violated("I4", _where(record), "a dead letter of the log", f"one of {origin}")
        return
    if content_of(record.key, record.value, own) != letter.content:
        report.violated("I4", _where(record), "key, value and headers as the log has them", "others")
    letter.published = True
    _told_right(record, told, letter, report)


def _told_right(record: ConsumerRecord, told: Mapping[str, str], letter: Letter, report: Report) -> None:
    """I11: the dead letter names where it came from and why."""
    if told["dlq-reason"] != letter.code:
        report.violated("I11", _where(record), f"the reason {letter.code}", told["dlq-reason"])
    if f"{told['dlq-topic']}.dlq" != record.topic:
        report.violated(
            "I11", _where(record), f"a dead letter of {record.topic.removesuffix('.dlq')}", told["dlq-topic"]
        )


def _parted(record: ConsumerRecord) -> tuple[list[tuple[str, bytes | None]], dict[str, str]]:
    """A dead letter's own headers, and those that were put behind them. An input that was a dead letter before has
    the same names among its own.
    """
    headers = list(record.headers)
    behind = headers[-len(TOLD) :]
    return headers[: -len(TOLD)], {name: (value or b"").decode(errors="replace") for name, value in behind}


# What all have in common.


def _known(record: ConsumerRecord, name: str, ledger: Ledger, report: Report) -> tuple[Connector, int] | None:
    """The connector and version that a record is about; what the log doesn't have, is told."""
    id_ = next(((value or b"").decode(errors="replace") for header, value in record.headers if header == "ce_id"), "")
    parts = id_.split("/")
    connector = ledger.by_id.get(parts[0])
    if len(parts) != 3 or parts[2] != name or not parts[1].isdecimal() or connector is None:
        report.violated("I4", _where(record), "an event of the log", f"the id {id_!r}")
        return None
    version = int(parts[1])
    if record.key != connector.id.encode():
        report.violated("I4", _where(record), f"the key {connector.id}", record.key)
        return None
    if not connector.has(version):
        if version >= connector.first:
            report.violated("I4", _where(record), "an event of the log", f"the id {id_!r}")
        return None
    return connector, version


def _json_digest(value: bytes | None) -> int | None:
    try:
        return digest_json(orjson.loads(value or b""))
    except orjson.JSONDecodeError:
        return None


def _where(record: ConsumerRecord) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"
