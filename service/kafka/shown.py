"""What consumers were shown since an instant: each connector's newest version, by the two output topics."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas import channels
from schemas.ids import ConnectorId
from service.kafka.clients import make_offsets_reader
from service.settings.model import Kafka

TOPICS = (channels.TRANSITIONS.topic, channels.STATES.topic)
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest that was published of a connector."""

    version: int
    deleted: bool
    snapshot: Mapping[str, Any] | None
    """The connector then, as `connectors.auth.state.v1` has it; `None` where only a tombstone is left."""


async def shown_since(kafka: Kafka, since: datetime | None) -> dict[ConnectorId, Shown]:
    """What was published since then, or ever, by connector. Records that aren't ours are left out."""
    reader = make_offsets_reader(kafka)
    await reader.start()
    try:
        reader.subscribe([kafka.topic_prefix + topic for topic in TOPICS])
        return await _read(reader, kafka.topic_prefix, since)
    finally:
        await reader.stop()


async def _read(reader: AIOKafkaConsumer, prefix: str, since: datetime | None) -> dict[ConnectorId, Shown]:
    parts = await _parts(reader, prefix)
    ends: dict[TopicPartition, int] = await reader.end_offsets(parts)
    begins: dict[TopicPartition, int] = await reader.beginning_offsets(parts)
    if since is not None:
        found = await reader.offsets_for_times(dict.fromkeys(parts, int(since.timestamp() * 1000)))
        begins |= {part: at.offset if at is not None else ends[part] for part, at in found.items()}
    for part in parts:
        reader.seek(part, begins[part])
    shown: dict[ConnectorId, Shown] = {}
    while [part for part in parts if await reader.position(part) < ends[part]]:
        for part, records in (await reader.getmany(timeout_ms=200)).items():
            for record in records:
                _take(shown, part.topic.removeprefix(prefix), record)
    return shown


async def _parts(reader: AIOKafkaConsumer, prefix: str) -> list[TopicPartition]:
    """All partitions of both topics, once they are the reader's."""
    while True:
        parts = {TopicPartition(prefix + t, p) for t in TOPICS for p in reader.partitions_for_topic(prefix + t) or ()}
        if {part.topic for part in parts} == {prefix + topic for topic in TOPICS} and parts == reader.assignment():
            return sorted(parts)
        await asyncio.sleep(LOOK_EVERY_S)


def _take(shown: dict[ConnectorId, Shown], topic: str, record: ConsumerRecord) -> None:
    id_ = bytes(dict(record.headers).get("ce_id") or b"").decode(errors="replace").split("/")
    if len(id_) != 3 or not id_[1].isdecimal():
        return
    connector, version = ConnectorId(id_[0]), int(id_[1])
    known = shown.get(connector)
    if known is not None and (known.version, known.snapshot is not None) >= (version, record.value is not None):
        return
    data = orjson.loads(record.value) if record.value else None
    if topic == channels.TRANSITIONS.topic and data is not None:
        shown[connector] = Shown(version, data["to"] == "deleted", data["connector"])
    else:
        shown[connector] = Shown(version, data is None, data)
