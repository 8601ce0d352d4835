"""What came out, compared with the log: what is missing, what came too early, what was repeated, and the last words."""

from collections import defaultdict
from dataclasses import dataclass, field

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas import channels


@dataclass
class Output:
    """Everything that was published so far; `read` goes on from where it stopped."""

    bootstrap: str
    prefix: str
    records: int = 0
    """Transitions on the topic, repeats included."""
    inversions: list[str] = field(default_factory=list)
    """First occurrences that weren't the next version of their connector."""
    newest: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The highest version of each connector, all before it having been seen."""
    ahead: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    last: dict[str, dict[str, object]] = field(default_factory=dict)
    """The last record of each key in the compacted topic."""
    dead_letters: set[tuple[str, str, str]] = field(default_factory=set)
    """Topic, partition and offset of each input that was given up."""
    _at: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def distinct(self) -> int:
        return sum(self.newest.values()) + sum(len(versions) for versions in self.ahead.values())

    @property
    def repeats(self) -> int:
        return self.records - self.distinct

    async def read(self) -> None:
        """Reads what the topics have now."""
        topics = [self.prefix + channel.topic for channel in (channels.TRANSITIONS, channels.STATES)]
        topics += [self.prefix + channel.dead_letters for channel in channels.INPUTS]
        consumer = AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap, fetch_max_wait_ms=20)
        await consumer.start()
        try:
            partitions = [TopicPartition(t, p) for t in topics for p in consumer.partitions_for_topic(t) or ()]
            ends = await consumer.end_offsets(partitions)
            for partition in partitions:
                consumer.seek(partition, self._at.get(partition, 0))
            while any(self._at.get(partition, 0) < ends[partition] for partition in partitions):
                for partition, records in (await consumer.getmany(timeout_ms=100)).items():
                    for record in records:
                        self._take(partition.topic.removeprefix(self.prefix), record)
                for partition in partitions:  # past the markers of transactions, too
                    self._at[partition] = await consumer.position(partition)
        finally:
            await consumer.stop()

    def _take(self, topic: str, record: ConsumerRecord) -> None:
        key = (record.key or b"").decode(errors="replace")
        if topic == channels.TRANSITIONS.topic:
            self._transition(key, orjson.loads(record.value)["version"])
        elif topic == channels.STATES.topic:
            self.last[key] = orjson.loads(record.value) if record.value else {}
        else:
            said = {name: bytes(text).decode(errors="replace") for name, text in record.headers}
            self.dead_letters.add((said["dlq-topic"], said["dlq-partition"], said["dlq-offset"]))

    def _transition(self, key: str, version: int) -> None:
        self.records += 1
        ahead = self.ahead[key]
        if version <= self.newest[key] or version in ahead:
            return  # a repeat
        if version != self.newest[key] + len(ahead) + 1 or ahead:
            self.inversions.append(f"{key}: {version} after {max(ahead, default=self.newest[key])}")
        ahead.add(version)
        while self.newest[key] + 1 in ahead:
            self.newest[key] += 1
            ahead.discard(self.newest[key])

    async def wrongs(self, dsn: str) -> list[str]:
        """What is wrong with the output, in lines; while the relay still works something may be missing."""
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            rows = await connection.fetch("select connector_id, state::text, version from connector")
            logged = await connection.fetchval("select count(*) from transition")
            buried = await connection.fetch("select topic, partition, record_offset from dead_letter")
        finally:
            await connection.close()
        found = list(self.inversions[:20])
        if self.distinct != logged:
            found.append(f"{logged} in the log, {self.distinct} on the topic")
        for row in rows:
            id_, version = row["connector_id"], row["version"]
            if self.newest[id_] != version:
                found.append(f"{id_}: published up to {self.newest[id_]}, is {version}")
            last = self.last.get(id_, {})
            if (last.get("version"), last.get("state")) != (version, row["state"]):
                found.append(f"{id_}: the compacted topic ends with {last.get('version')}, is {version}")
        wanted = {(row["topic"], str(row["partition"]), str(row["record_offset"])) for row in buried}
        found += [f"dead letters: {len(self.dead_letters ^ wanted)} differ"] if self.dead_letters != wanted else []
        return found
