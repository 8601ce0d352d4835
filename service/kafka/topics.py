"""The topics: one table of how each must be, what makes them or checks them, and which partition a key belongs to."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from schemas import channels
from schemas.lifecycle import Described

MIB = 1024 * 1024
VISIBLE_WITHIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Topic:
    """How a topic must be. All have as many partitions as there are shards."""

    name: str
    """Without the deployment's prefix."""
    cleanup_policy: str
    max_message_bytes: int
    retention: timedelta | None = None
    """How long records are kept where this service makes the topic; an operator may set another time."""

    def settings(self) -> dict[str, str]:
        """Kafka's settings for a new topic of this kind."""
        settings = {"cleanup.policy": self.cleanup_policy, "max.message.bytes": str(self.max_message_bytes)}
        if self.retention is not None:
            settings["retention.ms"] = str(self.retention // timedelta(milliseconds=1))
        return settings


def _topics() -> Iterable[Topic]:
    for channel in channels.INPUTS:
        # Above the 1 MiB that is accepted, so that a record that is too large is told so in a dead letter.
        yield Topic(channel.topic, "delete", 2 * MIB, timedelta(days=7))
        # A dead letter is its input and why: it must always fit.
        yield Topic(channel.dead_letters, "delete", 4 * MIB, timedelta(days=30))
    yield Topic(channels.TRANSITIONS.topic, "delete", MIB, timedelta(days=30))
    yield Topic(channels.STATES.topic, "compact", MIB)
    yield Topic(channels.SYNC_REQUESTS.topic, "delete", MIB, timedelta(days=7))


TOPICS: tuple[Topic, ...] = tuple(_topics())


class Problem(Described):
    """What may be said of a topic."""

    CREATED = "created", "It was missing and was created."
    MISSING = "missing", "It doesn't exist."
    NOT_CREATED = "not_created", "It doesn't exist, and creating it was refused."
    PARTITIONS = "partitions", "It has another number of partitions than there are shards."
    CLEANUP_POLICY = "cleanup_policy", "Its cleanup policy loses or keeps the wrong records."
    MAX_MESSAGE_BYTES = "max_message_bytes", "It refuses records that are allowed to be larger."
    UNREADABLE = "unreadable", "Its settings may not be read, so they weren't checked."


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one topic (named as Kafka knows it)."""

    topic: str
    problem: Problem
    sentence: str
    """What is wrong and how to mend it."""

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to act before the service can run."""
        return self.problem not in (Problem.CREATED, Problem.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A topic as Kafka describes it."""

    partitions: int
    settings: Mapping[str, str] | None
    """`None` where they may not be read."""


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key as Java's and aiokafka's default partitioners compute it: murmur2, sign bit off."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFF_FFFF) % partitions


async def ensure_topics(
    admin: AIOKafkaAdminClient, shards: int, replication: int, create: bool = True, prefix: str = ""
) -> list[Finding]:
    """Creates the topics that are missing (or reports them), and checks those that are there.

    Takes a started admin client, the number of shards, the replication factor (-1: the broker's default) and what
    stands before every topic's name. Returns what is to be told, when new topics can be used; no finding with
    `is_fault` means that all is well.
    """
    names = [prefix + topic.name for topic in TOPICS]
    seen = await _look(admin, names)
    missing = [topic for topic in TOPICS if prefix + topic.name not in seen]
    findings = []
    if missing and create:
        findings += await _create(admin, missing, shards, replication, prefix)
        refused = {finding.topic for finding in findings if finding.is_fault}
        seen = await _look_until_there(admin, [name for name in names if name not in refused])
    elif missing:
        findings += [missing_topic(topic, shards, prefix) for topic in missing]
    for topic in TOPICS:
        if (there := seen.get(prefix + topic.name)) is not None:
            findings += compare(topic, there, shards, prefix)
    return findings


def missing_topic(topic: Topic, shards: int, prefix: str = "") -> Finding:
    settings = " ".join(f"--config {name}={value}" for name, value in topic.settings().items())
    return Finding(
        prefix + topic.name,
        Problem.MISSING,
        f"doesn't exist: create it with --partitions {shards} {settings}, or let `regrant migrate` do it",
    )


def compare(topic: Topic, seen: Seen, shards: int, prefix: str = "") -> list[Finding]:
    """What is wrong with a topic that is there. How long it keeps records is its operator's business."""
    name = prefix + topic.name
    findings = []
    if seen.partitions != shards:
        findings.append(
            Finding(
                name,
                Problem.PARTITIONS,
                f"has {seen.partitions} partitions, but there are {shards} shards: the numbers must be alike",
            )
        )
    if seen.settings is None:
        findings.append(Finding(name, Problem.UNREADABLE, "may not be described, so its settings weren't checked"))
        return findings
    policy = seen.settings.get("cleanup.policy", "")
    if {word.strip() for word in policy.split(",")} != {topic.cleanup_policy}:
        findings.append(
            Finding(
                name, Problem.CLEANUP_POLICY, f"has cleanup.policy={policy}: it must be {topic.cleanup_policy} alone"
            )
        )
    largest = int(seen.settings.get("max.message.bytes", topic.max_message_bytes))
    if largest < topic.max_message_bytes:
        findings.append(
            Finding(
                name,
                Problem.MAX_MESSAGE_BYTES,
                f"has max.message.bytes={largest}: it must be at least {topic.max_message_bytes}",
            )
        )
    return findings


# Kafka's answers.


async def _look(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Seen]:
    """The topics of those names that exist.

    All topics are listed and ours picked: asking for one by its name would create it where the broker does that.
    """
    partitions = {
        described["topic"]: len(described["partitions"])
        for described in await admin.describe_topics()
        if described["topic"] in names
    }
    if not partitions:
        return {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions]
    settings: dict[str, Mapping[str, str] | None] = {}
    for response in await admin.describe_configs(wanted):
        for resource in response.to_object()["resources"]:
            readable = resource["error_code"] == 0
            settings[resource["resource_name"]] = _settings(resource["config_entries"]) if readable else None
    return {name: Seen(count, settings.get(name)) for name, count in partitions.items()}


async def _look_until_there(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Seen]:
    """The topics once all are known to the brokers, which learn of a new one a moment after it was created.

    Raises `TimeoutError` where that takes more than `VISIBLE_WITHIN`.
    """
    async with asyncio.timeout(VISIBLE_WITHIN.total_seconds()):
        while True:
            seen = await _look(admin, names)
            if len(seen) == len(names):
                return seen
            await asyncio.sleep(0.05)


def _settings(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:  # Any: aiokafka's decoded answer
    return {entry["config_names"]: entry["config_value"] or "" for entry in entries}


async def _create(
    admin: AIOKafkaAdminClient, missing: Sequence[Topic], shards: int, replication: int, prefix: str
) -> list[Finding]:
    # aiokafka takes -1, the broker's default, only beside an explicit (if empty) assignment of replicas.
    assigned: dict[int, list[int]] | None = {} if replication == -1 else None
    wanted = [NewTopic(prefix + t.name, shards, replication, assigned, t.settings()) for t in missing]
    response = await admin.create_topics(wanted)
    found = []
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if code == 0:
            found.append(Finding(name, Problem.CREATED, "was created"))
        elif error is not TopicAlreadyExistsError:  # where somebody else was quicker, what they made is checked
            found.append(Finding(name, Problem.NOT_CREATED, f"can't be created: {message or error.__name__}"))
    return found
