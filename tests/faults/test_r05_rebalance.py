"""R5: rebalances under load, a worker that sleeps past its session, and a zombie relay. The full run is `make soak`."""

import pytest

from tests.faults.scenarios.r05_rebalance import a_zombie_relay, rebalances
from tests.faults.stage import staged

pytestmark = pytest.mark.slow

SECONDS = 40


async def test_r05_workers_come_go_and_oversleep_and_nothing_is_lost_doubled_or_out_of_order(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with staged(database, kafka_bootstrap, topic_prefix, seed=5, connectors=300, shards=6, say=print) as stage:
        await rebalances(stage, SECONDS)


async def test_r05_a_zombie_relay_leaves_the_newest_version_last_in_the_compacted_topic(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with staged(database, kafka_bootstrap, topic_prefix, seed=55, connectors=300, say=print) as stage:
        await a_zombie_relay(stage)
