"""Making and checking the topics, on a real broker."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from service.kafka.topics import TOPICS, Problem, ensure_topics, partition_of


@pytest.fixture
async def admin(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("replication", [1, -1], ids=["factor 1", "the broker's default"])
async def test_missing_topics_are_created_as_the_table_says_and_are_well_at_once(
    admin: AIOKafkaAdminClient, topic_prefix: str, replication: int
) -> None:
    created = await ensure_topics(admin, 3, replication, prefix=topic_prefix)

    assert [(f.topic, f.problem) for f in created] == [(topic_prefix + t.name, Problem.CREATED) for t in TOPICS]
    assert not any(finding.is_fault for finding in created)
    assert await ensure_topics(admin, 3, replication, prefix=topic_prefix) == []


async def test_without_leave_to_create_missing_topics_are_told_and_stay_missing(
    admin: AIOKafkaAdminClient, topic_prefix: str
) -> None:
    for _ in range(2):
        told = await ensure_topics(admin, 3, 1, create=False, prefix=topic_prefix)

        assert {finding.problem for finding in told} == {Problem.MISSING}
        assert len(told) == len(TOPICS)


async def test_an_operators_own_topic_is_checked_and_left_as_it_is(
    admin: AIOKafkaAdminClient, topic_prefix: str
) -> None:
    state = f"{topic_prefix}connectors.auth.state.v1"
    await admin.create_topics([NewTopic(state, 2, 1)])

    for _ in range(2):
        findings = await ensure_topics(admin, 3, 1, prefix=topic_prefix)

        assert [f.problem for f in findings if f.topic == state] == [Problem.PARTITIONS, Problem.CLEANUP_POLICY]


async def test_creating_that_the_broker_refuses_is_told_in_its_words(
    admin: AIOKafkaAdminClient, topic_prefix: str
) -> None:
    refused = await ensure_topics(admin, 3, replication=99, prefix=topic_prefix)

    assert {finding.problem for finding in refused} == {Problem.NOT_CREATED}
    assert all("replication" in finding.sentence.lower() for finding in refused)


async def test_a_record_lands_on_the_partition_of_its_key(
    admin: AIOKafkaAdminClient, kafka_bootstrap: str, topic_prefix: str
) -> None:
    await ensure_topics(admin, 5, 1, prefix=topic_prefix)
    keys = [f"connector-{n}".encode() for n in range(20)]

    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        landed = [
            (await producer.send_and_wait(f"{topic_prefix}connectors.commands.v1", b"{}", key)).partition
            for key in keys
        ]

    assert landed == [partition_of(key, 5) for key in keys]
