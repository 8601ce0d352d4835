"""The check after a run: the same final rows and the same records out, whoever did it."""

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.measure import Point
from benchmarks.place import Place

_SHOWN = 3


async def check(place: Place, point: Point) -> None:
    """Notes in `point` whether the run did what every contender must do, and what is wrong, in sentences."""
    through = point.drained_s is not None
    point.faults = await _faults(place) if through else ["not all inputs were through when the time was over"]
    point.checked = not point.faults


async def _faults(place: Place) -> list[str]:
    faults = await _rows(place)
    seen = await _records(place, place.transitions_topic)
    wanted = {id_: set(range(2, version + 1)) for id_, version in place.workload.versions.items()}
    got = {id_: set(versions) for id_, versions in seen.items()}
    faults += _differ("transitions on the topic", wanted, got)
    unordered = [id_ for id_, versions in seen.items() if _first_occurrences(versions) != sorted(set(versions))]
    if unordered:
        faults.append(f"{len(unordered)} connectors' first occurrences are out of order: {unordered[:_SHOWN]}")
    newest = {id_: versions[-1] for id_, versions in (await _records(place, place.states_topic)).items()}
    faults += _differ("last states on the compacted topic", place.workload.versions, newest)
    return faults


async def _rows(place: Place) -> list[str]:
    connection = await asyncpg.connect(place.dsn, timeout=10)
    try:
        rows = await connection.fetch("select connector_id, state, version from connector where version > 1")
        logged = await connection.fetchrow(
            "select count(*) as rows, count(distinct (connector, version)) as steps from transition"
        )
    finally:
        await connection.close()
    workload = place.workload
    wanted = {id_: (workload.state_of(id_), version) for id_, version in workload.versions.items()}
    faults = _differ("connectors' rows", wanted, {row["connector_id"]: (row["state"], row["version"]) for row in rows})
    assert logged is not None
    if (logged["rows"], logged["steps"]) != (workload.transitions, workload.transitions):
        faults.append(f"the log has {logged['rows']} rows, {logged['steps']} distinct, not {workload.transitions}")
    return faults


def _differ(what: str, wanted: dict[str, object], got: dict[str, object]) -> list[str]:
    wrong = [id_ for id_ in wanted.keys() | got.keys() if wanted.get(id_) != got.get(id_)]
    if not wrong:
        return []
    shown = "; ".join(
        f"{id_}: {_short(got.get(id_))} instead of {_short(wanted.get(id_))}" for id_ in sorted(wrong)[:_SHOWN]
    )
    return [f"{what}: {len(wrong)} differ: {shown}"]


def _short(value: object) -> str:
    return f"{len(value)} versions up to {max(value)}" if isinstance(value, set) and value else str(value)


async def _records(place: Place, topic: str) -> dict[str, list[int]]:
    """By key: the versions in the order in which they lie on the topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=place.servers.bootstrap, enable_auto_commit=False, isolation_level="read_uncommitted"
    )
    await consumer.start()
    seen: dict[str, list[int]] = {}
    try:
        partitions = [TopicPartition(topic, number) for number in range(place.fleet.shards)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while True:
            at = {partition: await consumer.position(partition) for partition in partitions}
            if all(at[partition] >= ends[partition] for partition in partitions):
                return seen
            for records in (await consumer.getmany(timeout_ms=200, max_records=10_000)).values():
                for record in records:
                    version = int(next(value for name, value in record.headers if name == "ce_sequence"))
                    seen.setdefault(record.key.decode(), []).append(version)
    finally:
        await consumer.stop()


def _first_occurrences(versions: list[int]) -> list[int]:
    return list(dict.fromkeys(versions))
