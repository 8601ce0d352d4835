"""The topics: the table, what is said of a wrong one, and which partition a key belongs to."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from service.kafka.topics import TOPICS, Problem, Seen, Topic, compare, missing_topic, partition_of

STATE = next(topic for topic in TOPICS if topic.name == "connectors.auth.state.v1")
EVENTS = next(topic for topic in TOPICS if topic.name == "connectors.sync.events.v1")


def seen(topic: Topic, partitions: int = 12, **changed: str) -> Seen:
    return Seen(partitions, topic.settings() | {name.replace("_", "."): value for name, value in changed.items()})


@pytest.mark.parametrize(
    ("key", "hashed"),
    [  # the vectors of Apache Kafka's own UtilsTest.testMurmur2, which are signed
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_keys_partition_is_the_one_that_javas_producer_picks(key: bytes, hashed: int) -> None:
    assert partition_of(key, 12) == (hashed & 0x7FFFFFFF) % 12


@given(st.binary(max_size=200), st.integers(1, 1000))
def test_a_keys_partition_is_the_one_that_aiokafkas_producer_picks(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))

    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


def test_the_topics_are_those_of_the_contract() -> None:
    assert {(t.name, t.cleanup_policy, t.max_message_bytes) for t in TOPICS} == {
        ("connectors.sync.events.v1", "delete", 2 * 2**20),
        ("connectors.sync.events.v1.dlq", "delete", 4 * 2**20),
        ("connectors.commands.v1", "delete", 2 * 2**20),
        ("connectors.commands.v1.dlq", "delete", 4 * 2**20),
        ("connectors.auth.transitions.v1", "delete", 2**20),
        ("connectors.auth.state.v1", "compact", 2**20),
        ("connectors.sync.requests.v1", "delete", 2**20),
    }


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_made_by_its_own_settings_has_nothing_wrong(topic: Topic) -> None:
    assert compare(topic, seen(topic), shards=12) == []


def test_an_operators_retention_is_left_to_the_operator() -> None:
    assert compare(EVENTS, seen(EVENTS, retention_ms="-1"), shards=12) == []


@pytest.mark.parametrize(
    ("topic", "there", "problem", "said"),
    [
        (EVENTS, seen(EVENTS, partitions=6), Problem.PARTITIONS, "has 6 partitions, but there are 12 shards"),
        (STATE, seen(STATE, cleanup_policy="delete"), Problem.CLEANUP_POLICY, "must be compact alone"),
        (STATE, seen(STATE, cleanup_policy="compact,delete"), Problem.CLEANUP_POLICY, "must be compact alone"),
        (EVENTS, seen(EVENTS, cleanup_policy="compact"), Problem.CLEANUP_POLICY, "must be delete alone"),
        (EVENTS, seen(EVENTS, max_message_bytes="1048588"), Problem.MAX_MESSAGE_BYTES, "at least 2097152"),
    ],
)
def test_a_wrong_topic_is_told_with_what_it_must_be(topic: Topic, there: Seen, problem: Problem, said: str) -> None:
    (finding,) = compare(topic, there, shards=12, prefix="blue.")

    assert (finding.topic, finding.problem, finding.is_fault) == (f"blue.{topic.name}", problem, True)
    assert said in finding.sentence


def test_everything_that_is_wrong_with_a_topic_is_told_at_once() -> None:
    there = seen(STATE, partitions=1, cleanup_policy="delete", max_message_bytes="1000")

    assert [finding.problem for finding in compare(STATE, there, shards=12)] == [
        Problem.PARTITIONS,
        Problem.CLEANUP_POLICY,
        Problem.MAX_MESSAGE_BYTES,
    ]


def test_settings_that_may_not_be_read_are_told_and_are_no_fault() -> None:
    (finding,) = compare(STATE, Seen(12, None), shards=12)

    assert (finding.problem, finding.is_fault) == (Problem.UNREADABLE, False)


def test_a_missing_topic_is_told_with_how_to_make_it() -> None:
    finding = missing_topic(STATE, shards=12, prefix="blue.")

    assert finding.is_fault
    assert finding.topic == "blue.connectors.auth.state.v1"
    assert "--partitions 12 --config cleanup.policy=compact --config max.message.bytes=1048576" in finding.sentence
