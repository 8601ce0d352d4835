"""Three brokers: what two have acknowledged survives the loss of any one, and the lost one comes back."""

from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.broker import read, write
from tests.faults.cluster import three_brokers
from tests.loop import eventually

pytestmark = pytest.mark.slow


async def led(admin: AIOKafkaAdminClient, topic: str) -> Any:
    """The only partition of a topic, once the broker that was asked knows its leader."""
    (described,) = await admin.describe_topics([topic])
    return next((one for one in described["partitions"] if one["leader"] > 0), None)


async def test_three_brokers_keep_what_was_acknowledged_when_one_is_killed_and_take_it_back(tmp_path: Path) -> None:
    async with three_brokers(tmp_path) as cluster:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic("kept", 1, 3)])
            partition = await eventually(lambda: led(admin, "kept"), "the topic has a leader")
        finally:
            await admin.close()
        assert len(partition["replicas"]) == 3
        leader = partition["leader"] - 1
        await write(cluster.bootstrap, "kept", b"before")
        cluster.nodes[leader].kill()
        await write(cluster.bootstrap, "kept", b"while its leader is dead")
        await cluster.nodes[leader].start()
        assert await read(cluster.nodes[leader].bootstrap, "kept") == [b"before", b"while its leader is dead"]
