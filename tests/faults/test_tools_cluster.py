"""Three brokers: what two have acknowledged survives the loss of any one, and the lost one comes back."""

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.broker import read, write
from tests.faults.cluster import three_brokers

pytestmark = pytest.mark.slow


async def test_three_brokers_keep_what_was_acknowledged_when_one_is_killed_and_take_it_back(tmp_path: Path) -> None:
    async with three_brokers(tmp_path) as cluster:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic("kept", 1, 3)])
            (described,) = await admin.describe_topics(["kept"])
        finally:
            await admin.close()
        assert len(described["partitions"][0]["replicas"]) == 3
        leader = described["partitions"][0]["leader"] - 1
        await write(cluster.bootstrap, "kept", b"before")
        cluster.nodes[leader].kill()
        await write(cluster.bootstrap, "kept", b"while its leader is dead")
        await cluster.nodes[leader].start()
        assert await read(cluster.nodes[leader].bootstrap, "kept") == [b"before", b"while its leader is dead"]
