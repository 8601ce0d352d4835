"""A run of good records with poison among them (R10): what came through, and what was buried."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas import channels
from schemas.dead_letters import DeadLetterHeader
from schemas.reasons import Reason
from tests.faults.drained import dealt_with
from tests.faults.poison import DELETED, PROVIDER, TAKEN, TENANT, Kind, Record, catalogue, command, good
from tests.faults.stage import holds
from tests.loop import Loop, eventually

LARGEST = 4 * 1024 * 1024
IN_FLIGHT = 500
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class PoisonRun:
    """What was sent. `wrong` is what doesn't hold afterwards, in sentences."""

    connectors: list[str]
    good: int = 0
    kinds: set[str] = field(default_factory=set)
    poison: dict[tuple[str, int, int], tuple[Kind, Record]] = field(default_factory=dict)
    """By topic, partition and offset."""
    newest: dict[str, datetime] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


async def poison_among_good(loop: Loop, *, seed: int, good_records: int, share: float, connectors: int) -> PoisonRun:
    """Sends `good_records` successes of healthy connectors with poison among them, and waits until all are dealt with.

    Every kind comes at least once; beyond that `share` of all records are poison.
    """
    chance = random.Random(seed)
    run = PoisonRun([f"r{seed}-{number:04}" for number in range(connectors)])
    producer = AIOKafkaProducer(bootstrap_servers=loop.topics.bootstrap, max_request_size=LARGEST, linger_ms=2)
    await producer.start()
    try:
        await _prepare(loop, producer, run)
        await _send(loop, producer, run, _plan(chance, good_records, share))
    finally:
        await producer.stop()
    await dealt_with(loop)
    await _check_the_good(loop, run)
    await _check_the_letters(loop, run)
    await holds(loop.service.settings.database.dsn.reveal(), loop.topics.bootstrap, loop.topics.prefix)
    return run


async def _prepare(loop: Loop, producer: AIOKafkaProducer, run: PoisonRun) -> None:
    register = {"tenant_id": TENANT, "provider": PROVIDER, "name": "Books", "connected": True}
    first = [command(channels.REGISTER, id_, register) for id_ in (*run.connectors, DELETED)]
    first.append(command(channels.REGISTER, TAKEN, register | {"tenant_id": "another"}))
    first.append(command(channels.DELETE, DELETED, {}))
    await asyncio.gather(*[await _put(loop, producer, record) for record in first])
    await dealt_with(loop)


def _plan(chance: random.Random, good_records: int, share: float) -> list[Kind | None]:
    """What comes when: a kind of poison, or `None` for a good record."""
    kinds = catalogue()
    more = max(0, round(good_records * share) - len(kinds))
    plan: list[Kind | None] = [*kinds, *chance.choices(kinds, k=more), *([None] * good_records)]
    chance.shuffle(plan)
    return plan


async def _send(loop: Loop, producer: AIOKafkaProducer, run: PoisonRun, plan: Sequence[Kind | None]) -> None:
    pending: list[tuple[Kind | None, Record, Any]] = []  # Any: the producer's future
    for number, kind in enumerate(plan):
        connector = run.connectors[number % len(run.connectors)]
        if kind is None:
            at = BEGAN + timedelta(seconds=number)
            run.newest[connector] = at
            run.good += 1
            data = {"started_at": at.isoformat()}
            record = good(channels.SYNC_EVENTS, channels.SYNC_SUCCEEDED, connector, data, at=at.isoformat())
        else:
            record = kind.make(connector)
            run.kinds.add(kind.name)
        pending.append((kind, record, await _put(loop, producer, record)))
        if len(pending) >= IN_FLIGHT:
            await _noted(run, pending)
    await _noted(run, pending)


async def _put(loop: Loop, producer: AIOKafkaProducer, record: Record) -> Any:
    return await producer.send(
        loop.topics.prefix + record.topic, key=record.key, value=record.value, headers=list(record.headers)
    )


async def _noted(run: PoisonRun, pending: list[tuple[Kind | None, Record, Any]]) -> None:
    """Where the broker put the poison: that is what a dead letter must say."""
    for kind, record, future in pending:
        at = await future
        if kind is not None:
            run.poison[at.topic, at.partition, at.offset] = (kind, record)
    pending.clear()


async def _check_the_good(loop: Loop, run: PoisonRun) -> None:
    rows = await loop.pool.fetch(
        "select connector_id, state, version, last_success from connector where connector_id = any($1)", run.connectors
    )
    seen = {row["connector_id"]: row["last_success"] for row in rows}
    run.wrong += [f"{id_}: {seen.get(id_)}, not {at}" for id_, at in run.newest.items() if seen.get(id_) != at]
    run.wrong += [f"{r['connector_id']}: moved" for r in rows if (r["state"], r["version"]) != ("healthy", 1)]


async def _check_the_letters(loop: Loop, run: PoisonRun) -> None:
    """The dead letters are exactly the poison: each once, its bytes untouched, with what is wrong beside them."""
    topics = [channel.dead_letters for channel in channels.INPUTS]

    def letters() -> list[Any]:
        return [r for t in topics for records in list(loop.topics.records[t].values()) for r in records]

    for _ in range(400):
        if len(letters()) >= len(run.poison):
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)  # for one too many
    told: Counter[tuple[str, int, int]] = Counter()
    for letter in letters():
        names = {name.value for name in DeadLetterHeader}
        said = {name: value.decode() for name, value in letter.headers if name in names}
        at = (said["dlq-topic"], int(said["dlq-partition"]), int(said["dlq-offset"]))
        told[at] += 1
        if at not in run.poison:
            run.wrong.append(f"a dead letter of a good record: {at}: {said}")
            continue
        kind, record = run.poison[at]
        original = [header for header in letter.headers if header[0] not in names]
        if (letter.key, letter.value, original) != (record.key, record.value, list(record.headers)):
            run.wrong.append(f"{kind.name}: its bytes were touched")
        if said["dlq-reason"] != kind.code:
            run.wrong.append(f"{kind.name}: {said['dlq-reason']} ({said.get('dlq-detail')}), not {kind.code}")
        if set(said) != names:
            run.wrong.append(f"{kind.name}: lacks {names - set(said)}")
        if letter.topic != f"{at[0]}.dlq":
            run.wrong.append(f"{kind.name}: on {letter.topic}")
    run.wrong += [f"{kind.name}: no dead letter" for at, (kind, _) in run.poison.items() if told[at] == 0]
    run.wrong += [f"{at}: {count} dead letters" for at, count in told.items() if count > 1]


# How long the others wait: printed by the soak, since a machine that others use can't be held to a time.


@dataclass(frozen=True, slots=True)
class Waited:
    """How long good records took from being sent to being published, in milliseconds."""

    p50: float
    p99: float


async def waited(loop: Loop, *, seed: int, records: int, a_second: int, share: float) -> Waited:
    """Sends good records at a pace, each of which makes a transition, with so much poison among them."""
    chance, kinds = random.Random(seed), [kind for kind in catalogue() if not kind.name.endswith("too large")]
    ids = [f"w{seed}-{number:03}" for number in range(100)]
    sent: dict[str, float] = {}
    producer = AIOKafkaProducer(bootstrap_servers=loop.topics.bootstrap, linger_ms=0)
    await producer.start()
    try:
        register = {"tenant_id": TENANT, "provider": PROVIDER, "name": "Books", "connected": True}
        await asyncio.gather(*[await _put(loop, producer, command(channels.REGISTER, id_, register)) for id_ in ids])
        await dealt_with(loop)
        began = time.monotonic()
        for number in range(records):
            await asyncio.sleep(max(0.0, began + number / a_second - time.monotonic()))
            id_, turn = ids[number % len(ids)], number // len(ids)
            data: dict[str, Any] = {"started_at": (BEGAN + timedelta(seconds=turn)).isoformat()}
            message = channels.SYNC_SUCCEEDED if turn % 2 else channels.SYNC_FAILED
            data |= {} if turn % 2 else {"reason": Reason.TOKEN_REFUSED}
            record = good(channels.SYNC_EVENTS, message, id_, data)
            sent[next(v for n, v in record.headers if n == "ce_id" and v).decode()] = time.time() * 1000
            await _put(loop, producer, record)
            if chance.random() < share:
                await _put(loop, producer, chance.choice(kinds).make(id_))
    finally:
        await producer.stop()
    took = sorted(at - sent[cause] for cause, at in (await _published(loop, set(sent))).items())
    return Waited(took[len(took) // 2], took[int(len(took) * 0.99)])


async def _published(loop: Loop, causes: set[str]) -> dict[str, float]:
    """When the transition of each event was published, by the broker's clock, which is ours."""

    def found() -> dict[str, float]:
        told: dict[str, float] = {}
        for records in list(loop.topics.records[channels.TRANSITIONS.topic].values()):
            for record in records:
                cause = next((v.decode() for n, v in record.headers if n == "ce_causationid" and v), "")
                if cause in causes:
                    told.setdefault(cause, record.timestamp)
        return told

    return dict(await eventually(lambda: found() if len(found()) == len(causes) else None, "all are published"))
