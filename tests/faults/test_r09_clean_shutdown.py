"""R9: clean shut-down. SIGTERM under load drops nothing and exits 0; a second one ends at once, corrupting nothing."""

import asyncio
import time
from contextlib import closing

import pytest

from schemas.lifecycle import State
from service.demo.embedded.child import Supervisor
from tests.faults.crashes import connected_books
from tests.faults.lane import lane_on
from tests.faults.scenarios.r09_shutdown import stop_under_load
from tests.faults.stage import holds
from tests.faults.victims import template

pytestmark = pytest.mark.slow

DRAIN_BUDGET_S = 20.0


async def test_r09_sigterm_under_load_exits_0_in_time_and_drops_no_callback(
    postgres_server: str, kafka_bootstrap: str
) -> None:
    told = await stop_under_load(postgres_server, kafka_bootstrap, seed=9, stops=10)
    assert told.exit_codes == [0] * 10
    assert max(told.seconds) < DRAIN_BUDGET_S
    assert told.dropped == []
    assert told.callbacks > 10 and told.records > 100


async def test_r09_a_second_sigterm_ends_it_at_once_and_corrupts_nothing(
    postgres_server: str, kafka_bootstrap: str
) -> None:
    with closing(Supervisor()) as supervisor:
        async with (
            template(supervisor) as born_of,
            lane_on(postgres_server, kafka_bootstrap, supervisor, born_of) as lane,
        ):
            await lane.start()
            books = await connected_books(lane)
            before = await lane.credential(books)
            slow = lane.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=8)
            async with lane.person() as person:
                page = await lane.come_back(person, await lane.begin(books, person))
                journal, code = lane.simulator.journal, lane.codes[-1]
                await journal.until(lambda journal: journal.exchanges_of(code) == 1)
                victim = lane.victim
                victim.stop()
                await asyncio.sleep(0.5)
                assert victim.is_alive, "it waits for the exchange that is on its way"
                began = time.monotonic()
                victim.stop()
                assert await asyncio.wait_for(asyncio.shield(victim.ended), 5) not in (0, -15)
                assert time.monotonic() - began < 4, "at once: the exchange alone would take twice as long"
                lane.simulator.faults.lift(slow.id)
                await lane.start()
                screen = await lane.ending(person, page)
                assert await lane.was_interrupted(books, screen, before), "the code isn't sent again"
            await lane.bring_back(books)
            await lane.is_in(books, State.HEALTHY)
            await holds(lane.deployment.dsn, lane.deployment.bootstrap, lane.deployment.topic_prefix)
