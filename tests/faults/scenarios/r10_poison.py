"""A run of good records with poison among them (R10): what came through, and what was buried."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas import channels
from schemas.dead_letters import DeadLetterHeader
from tests.faults.drained import dealt_with
from tests.faults.poison import DELETED, PROVIDER, TAKEN, TENANT, Kind, Record, catalogue, command, good
from tests.faults.stage import holds
from tests.loop import Loop

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
