"""What must hold when a run is over: the invariants, by another way than the engine's.

The inputs that were stored are played once more, one by one, through `decide` alone: no batches, no fence, no retries.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
from aiokafka import TopicPartition

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import Ignored, Outcome, Refused, State
from service.engine.fold import Unreadable, Work
from service.engine.submission import ReportedFailure, Submission
from service.store.log import DeadLetter, Logged
from statemachine import decide
from statemachine.connector import Connector
from statemachine.inputs import Input, Register, SyncFailed
from tests.simulation.broker import Broker, Record
from tests.simulation.replica import PREFIX, RULES, SHARDS, TwoProviders
from tests.simulation.store import MemoryStore

if TYPE_CHECKING:
    from tests.simulation.world import Committed

ATTEMPTING = {"awaiting_auth", "verifying"}
CONNECTED = {"healthy", "failed", "syncing", *ATTEMPTING}
BACK = {"healthy", "failed", "disconnected"}

# I1, written from the design's page, not from the code: from where each trigger may lead where.
LEGAL: dict[str, tuple[set[str], set[str]]] = {
    "register": ({"absent"}, {"healthy", "failed"}),
    "update": (CONNECTED | {"disconnected"}, CONNECTED | {"disconnected"}),
    "sync_succeeded": ({"failed", "syncing", *ATTEMPTING}, {"healthy", *ATTEMPTING}),
    "sync_failed": (CONNECTED, {"failed", *ATTEMPTING}),
    "refresh_rejected": (CONNECTED, {"failed", *ATTEMPTING}),
    "start_reauth": (CONNECTED | {"disconnected"}, {"awaiting_auth"}),
    "grant_received": ({"awaiting_auth"}, {"verifying"}),
    "grant_refused": ({"awaiting_auth"}, BACK),
    "cancelled": ({"awaiting_auth"}, BACK),
    "auth_expired": ({"awaiting_auth"}, BACK),
    "verified": ({"verifying"}, {"syncing"}),
    "grant_shared": ({"failed"}, {"syncing"}),
    "verified_again": ({"failed", "healthy"}, {"syncing", "failed"}),
    "rejected": ({"verifying"}, BACK),
    "verify_expired": ({"verifying"}, BACK),
    "sync_expired": ({"syncing"}, {"syncing", "failed"}),
    "reminder_due": ({"failed"}, {"failed"}),
    "expiry_near": ({"healthy"}, {"healthy"}),
    "expiry_moved": ({"healthy"}, {"healthy"}),
    "disconnect": (CONNECTED, {"disconnected"}),
    "delete": (CONNECTED | {"disconnected"}, {"deleted"}),
}
STAYS = {"update", "sync_succeeded", "sync_failed", "refresh_rejected"}
"""Triggers that leave an attempt where it is."""


def faults_of(
    store: MemoryStore, broker: Broker, history: Sequence["Committed"], nonsense: set[bytes], now: datetime
) -> list[str]:
    """Everything that is wrong, in words."""
    return [
        *_log(store),
        *_published(store, broker),
        *_inputs(store, broker, history),
        *_attempts(store),
        *_credentials(store),
        *_deadlines(store, history, now),
        *_replayed(store, broker, history, nonsense),
    ]


def _transitions(store: MemoryStore) -> list[Logged]:
    return [entry for _, entry in sorted(store.tables.log.items()) if isinstance(entry, Logged)]


def _log(store: MemoryStore) -> Iterator[str]:
    versions: dict[ConnectorId, list[int]] = defaultdict(list)
    for entry in _transitions(store):
        versions[entry.connector].append(entry.version)
        said = orjson.loads(entry.record)
        sources, targets = LEGAL.get(said["trigger"], (set(), set()))
        stays = said["trigger"] in STAYS and said["from"] in ATTEMPTING and said["from"] != said["to"]
        if said["from"] not in sources or said["to"] not in targets or stays:
            yield f"I1: {entry.connector} went from {said['from']} to {said['to']} on {said['trigger']}"
    for id_, found in versions.items():
        if found != list(range(1, len(found) + 1)):
            yield f"I2: the log holds the versions {found} of {id_}"
    for id_, row in store.tables.connectors.items():
        if row.connector.version != len(versions[id_]):
            yield f"I3: {id_} is of version {row.connector.version}, the log holds {len(versions[id_])}"
    for shard in range(SHARDS):
        numbers = [seq for of, seq in store.tables.log if of == shard]
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"I3: the log of shard {shard} has gaps: {sorted(numbers)}"


def _published(store: MemoryStore, broker: Broker) -> Iterator[str]:
    logged = {(entry.connector, entry.version): entry.record.encode() for entry in _transitions(store)}
    newest = {id_: row.connector for id_, row in store.tables.connectors.items()}
    told: dict[tuple[ConnectorId, int], bytes | None] = {}
    firsts: dict[ConnectorId, list[int]] = defaultdict(list)
    for record in _topic(broker, channels.TRANSITIONS.topic):
        id_, version = _event_of(record)
        if told.setdefault((id_, version), record.value) != record.value:
            yield f"I4: {id_}/{version} was published with two contents"
        if version not in firsts[id_]:
            firsts[id_].append(version)
    if told != logged:
        yield f"I4: published {sorted(told)}, logged {sorted(logged)}"
    for id_, found in firsts.items():
        if any(later < earlier for earlier, later in pairwise(found)):
            yield f"I5: first occurrences of {id_} come as {found}"
    last = {_event_of(record): record for record in _topic(broker, channels.STATES.topic)}
    last_of_key = {record.key: record for record in last.values()}
    for record in _topic(broker, channels.STATES.topic):
        last_of_key[record.key] = record
    for id_, connector in newest.items():
        record = last_of_key.get(id_.encode())
        if record is None or _event_of(record) != (id_, connector.version):
            yield f"I5: the compacted topic keeps {record and _event_of(record)} of {id_}, not {connector.version}"
        elif (record.value is None) != (connector.state is State.DELETED):
            yield f"I5: {id_} is {connector.state}, its last record {record.value!r}"
    asked = {_event_of(record) for record in _topic(broker, channels.SYNC_REQUESTS.topic)}
    wanted = {(e.connector, e.version) for e in _transitions(store) if e.sync_request is not None}
    if asked != wanted:
        yield f"I4: syncs asked for: {sorted(asked)}, wanted: {sorted(wanted)}"


def _topic(broker: Broker, topic: str) -> list[Record]:
    return [r for p in range(SHARDS) for r in broker.logs.get(TopicPartition(PREFIX + topic, p), ())]


def _event_of(record: Record) -> tuple[ConnectorId, int]:
    id_, version, _ = dict(record.headers)["ce_id"].decode().split("/")
    return ConnectorId(id_), int(version)


def _input_logs(broker: Broker) -> dict[TopicPartition, list[Record]]:
    topics = {PREFIX + channel.topic for channel in channels.INPUTS}
    return {partition: log for partition, log in broker.logs.items() if partition.topic in topics}


def _inputs(store: MemoryStore, broker: Broker, history: Sequence["Committed"]) -> Iterator[str]:
    """Every record is in one batch that was stored, in order; the stored offset says exactly which."""
    stored: dict[TopicPartition, list[int]] = defaultdict(list)
    for committed in history:
        for work in committed.works:
            if (record := work.record) is not None:
                stored[TopicPartition(record.topic, record.partition)].append(record.offset)
    for partition, log in _input_logs(broker).items():
        if stored[partition] != list(range(len(log))):
            yield f"I6/I10: of {len(log)} records of {partition}, these were stored: {stored[partition]}"
        at = store.tables.partitions.get((partition.topic, partition.partition))
        if at is None or at.at != len(stored[partition]):
            yield f"I10: {partition} stands at {at}, {len(stored[partition])} records were stored"


def _attempts(store: MemoryStore) -> Iterator[str]:
    live: dict[int, list[object]] = defaultdict(list)
    for attempt in store.tables.attempts.values():
        if attempt.ended_at is None:
            live[attempt.connector].append(attempt.attempt)
    for row in store.tables.connectors.values():
        expected = [row.connector.attempt] if row.connector.attempt else []
        if live[row.pk] != expected:
            yield f"I7: live attempts of {row.connector.id}: {live[row.pk]}, it knows {expected}"


def _credentials(store: MemoryStore) -> Iterator[str]:
    generations: dict[ConnectorId, int] = {}
    accounts: dict[ConnectorId, str] = {}
    for entry in _transitions(store):
        said = orjson.loads(entry.record)["connector"]
        if said["generation"] < generations.get(entry.connector, 0):
            yield f"I8: {entry.connector} went back to generation {said['generation']}"
        generations[entry.connector] = said["generation"]
        if said["account"] is not None:
            pinned = accounts.setdefault(entry.connector, said["account"]["id"])
            if pinned != said["account"]["id"]:
                yield f"I8: {entry.connector} changed its account"
    for row in store.tables.connectors.values():
        current = [
            c.generation for c in store.tables.credentials.values() if c.connector == row.pk and c.status == "current"
        ]
        off = row.connector.state in (State.DISCONNECTED, State.DELETED)
        expected = [row.connector.generation] if row.connector.generation else []
        if current != expected and not (current == [] and off) and not _was_off(store, row.connector.id):
            yield f"I8: {row.connector.id} is of generation {row.connector.generation}, credentials: {current}"


def _was_off(store: MemoryStore, id_: ConnectorId) -> bool:
    """Whether its credential was shredded since the last swap."""
    off = False
    for entry in _transitions(store):
        if entry.connector == id_:
            said = orjson.loads(entry.record)
            off = said["trigger"] == "disconnect" or (off and said["trigger"] not in ("verified", "grant_shared"))
    return off


def _deadlines(store: MemoryStore, history: Sequence["Committed"], now: datetime) -> Iterator[str]:
    for id_, row in store.tables.connectors.items():
        if row.connector.deadline is not None and row.connector.deadline <= now:
            yield f"I9: {id_} waits since {row.connector.deadline}"


# Once more, one by one.


def _replayed(
    store: MemoryStore, broker: Broker, history: Sequence["Committed"], nonsense: set[bytes]
) -> Iterator[str]:
    stood: dict[ConnectorId, list[Connector]] = defaultdict(list)
    """Each connector after each of its changes: `stood[id][revision]`."""
    moved: dict[int, list[str]] = defaultdict(list)
    fired: Counter[tuple[ConnectorId, datetime]] = Counter()
    buried: dict[tuple[str, int, int], str] = {}
    for committed in history:
        now_is: dict[ConnectorId, Connector] = {}
        for work in committed.works:
            said = work.submission
            if isinstance(said, Unreadable):
                assert work.record is not None
                if not (_opens_again(said, work) or work.record.value in nonsense):
                    yield f"I11: {work.record} was called {said.code}"
                buried[_place(work)] = said.code
                continue
            id_ = said.input.connector
            if id_ not in now_is:
                stood[id_] = stood[id_] or [Connector(id_)]
                now_is[id_] = stood[id_][committed.read[id_]]
            before = now_is[id_]
            outcome, now_is[id_], why = _decided(said, before, committed.now)
            if outcome is Outcome.REFUSED and work.record is not None:
                buried[_place(work)] = str(why)
            if outcome is Outcome.TRANSITION:
                # A caller's batch that was stored unheard is tried again, and `Engine.submit` says so: only what a
                # record, a deadline or a job's result says is never done twice.
                once = work.record is not None or said.lease is not None or not committed.unheard
                moved[id(said)] += [f"{said.input} at {committed.now}"] if once else []
                if (due := getattr(said.input, "due", None)) is not None:
                    fired[id_, due] += 1
                    if before.deadline != due or due > committed.now:
                        yield f"I6: {id_} ended the deadline {before.deadline} by one for {due}"
        for id_, after in now_is.items():
            # What changes a connector was decided on its newest state; what doesn't may have been on an older one.
            if after is not stood[id_][committed.read[id_]]:
                if committed.read[id_] != len(stood[id_]) - 1:
                    yield f"replayed: a change of {id_} was lost"
                stood[id_].append(after)
    for twice in moved.values():
        if len(twice) > 1:
            yield f"I6: an input made two transitions: {twice}"
    if any(count > 1 for count in fired.values()):
        yield f"I6: a deadline fired twice: {fired}"
    stored = {id_: row.connector for id_, row in store.tables.connectors.items()}
    alone = {id_: changes[-1] for id_, changes in stood.items() if changes[-1].version}
    for id_ in sorted(stored.keys() | alone.keys()):
        if stored.get(id_) != alone.get(id_):
            yield f"replayed: {id_} is {stored.get(id_)}, one by one {alone.get(id_)}"
    yield from _dead_letters(store, broker, buried)


def _opens_again(said: Unreadable, work: Work) -> bool:
    """Whether it asks for an attempt by an id that another attempt has: only the database can tell."""
    assert work.record is not None
    return said.code == "id_taken" and b"attempt_id" in (work.record.value or b"")


def _place(work: Work) -> tuple[str, int, int]:
    assert work.record is not None
    return work.record.topic, work.record.partition, work.record.offset


def _decided(said: Submission, before: Connector, now: datetime) -> tuple[Outcome, Connector, Ignored | Refused | None]:
    """What the input does, the door's own questions asked first."""
    input_: Input | ReportedFailure = said.input
    if before.version and said.tenant not in (None, before.tenant):
        why = Refused.ID_TAKEN if isinstance(input_, Register) else Refused.UNKNOWN_CONNECTOR
        return Outcome.REFUSED, before, why
    if before.version and said.if_version is not None and said.if_version != before.version:
        return Outcome.REFUSED, before, Refused.VERSION_MISMATCH
    if isinstance(input_, Register) and not TwoProviders().knows(input_.provider):
        return Outcome.REFUSED, before, Refused.UNKNOWN_PROVIDER
    if isinstance(input_, ReportedFailure):
        input_ = SyncFailed(
            connector=input_.connector,
            occurred=input_.occurred,
            started=input_.started,
            generation=input_.generation,
            position=input_.position,
            reason=TwoProviders().judge(before.provider, input_.error).reason,
        )
    decision = decide(before, input_, now, RULES)
    return decision.outcome, decision.connector, decision.why


def _dead_letters(store: MemoryStore, broker: Broker, expected: dict[tuple[str, int, int], str]) -> Iterator[str]:
    """I11: exactly those, each with its bytes, its origin and its reason; repeats dropped by origin."""
    found: dict[tuple[str, int, int], str] = {}
    for channel in channels.INPUTS:
        for letter in _topic(broker, channel.dead_letters):
            headers = {name: value.decode() for name, value in letter.headers if name.startswith("dlq-")}
            place = (headers["dlq-topic"], int(headers["dlq-partition"]), int(headers["dlq-offset"]))
            found[place] = headers["dlq-reason"]
            original = broker.logs[TopicPartition(place[0], place[1])][place[2]]
            if (original.key, original.value) != (letter.key, letter.value):
                yield f"I11: the bytes of {place} were touched"
    if found != expected:
        yield f"I11: dead letters more or less than expected: {dict(found.items() ^ expected.items())}"
    logged = Counter((e.topic, e.partition, e.offset) for e in store.tables.log.values() if isinstance(e, DeadLetter))
    wanted = Counter(list(expected))
    if logged != wanted:
        yield f"I11: logged more or less than expected: {(logged - wanted) | (wanted - logged)}"
