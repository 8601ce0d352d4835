"""The fleet and its load: processes can be killed, frozen and drained, and the oracle agrees with what is stored."""

import pytest

from tests.faults.stage import Violation, staged

pytestmark = pytest.mark.slow


async def test_a_fleet_that_is_killed_frozen_and_drained_does_what_the_oracle_says(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with staged(database, kafka_bootstrap, topic_prefix, seed=1, connectors=100) as stage:
        first, second = await stage.fleet.start(), await stage.fleet.start()
        await stage.registered()
        await stage.load.round()
        first.kill()
        assert not first.is_running
        second.freeze()
        await stage.load.round()
        second.thaw()
        await stage.until_normal()
        assert stage.load.transitions > 250
        assert second.memory_mb() > 20
        assert await second.drain() == 0


async def test_the_oracle_and_the_output_notice_what_is_missing(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with staged(database, kafka_bootstrap, topic_prefix, seed=2, connectors=10, is_checked=False) as stage:
        worker = await stage.fleet.start()
        await stage.registered()
        await stage.until_all_is_out(20)
        worker.kill()
        await stage.load.round()
        with pytest.raises(Violation, match="aren't as they must be"):
            await stage.until_all_is_stored(0.5)
        stage.output.newest["c00000"] = 0
        stage.output.last["c00001"] = {"version": 7}
        wrongs = await stage.output.wrongs(database)
        assert any("c00000: published up to 0" in wrong for wrong in wrongs)
        assert any("c00001: the compacted topic ends with 7" in wrong for wrong in wrongs)
