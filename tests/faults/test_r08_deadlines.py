"""R8, P14: durable deadlines. The database's clock decides; what the workers' clocks say doesn't matter."""

import pytest

from tests.faults.scenarios.r08_deadlines import RULES, deadlines
from tests.faults.stage import staged

pytestmark = pytest.mark.slow


async def test_r08_p14_deadlines_fire_once_and_in_time_though_workers_are_killed_and_clocks_jump(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with staged(database, kafka_bootstrap, topic_prefix, seed=8, connectors=500, rules=RULES, say=print) as stage:
        await deadlines(stage, over_s=12)
