"""The tests' servers by testcontainers: collected where a Docker daemon answers."""

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests import servers
from tests.broker import LARGEST_VALUE, make_topic, read, write

pytestmark = [pytest.mark.docker, pytest.mark.slow]


async def test_postgresql_runs_in_a_container() -> None:
    with servers.postgres_container() as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("show max_connections") == "200"
        await connection.close()


async def test_apache_kafka_runs_in_a_container_and_takes_the_largest_record() -> None:
    with servers.kafka_container() as bootstrap:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        assert await admin.list_topics() == []
        await admin.close()
        await make_topic(bootstrap, "largest")
        await write(bootstrap, "largest", b"x" * LARGEST_VALUE)
        assert await read(bootstrap, "largest") == [b"x" * LARGEST_VALUE]
