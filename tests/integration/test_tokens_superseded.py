"""P4: who was asleep holds a refresh token that somebody else has used meanwhile. It costs nobody a login.

The provider gives a new refresh token at each use, and takes the former one never again. One replica's request is held
at the provider while its lease ends; the other takes over. Whose request the provider sees first, and whose answer is
stored first, comes from a seed.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.ids import ConnectorId
from schemas.lifecycle import State
from service.app import Service
from service.demo.simulator.faults import Fault
from tests.integration.test_tokens import another_replica, good, grant_of, is_taken, rotates, token_requests
from tests.loop import TENANT, Loop, running_loop

pytestmark = pytest.mark.slow

ROUNDS = 1000
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


async def test_p04_a_superseded_refresh_token_costs_no_login_in_any_of_a_thousand_interleavings(loop: Loop) -> None:
    id_ = await loop.connected()
    rotates(loop, grace=timedelta())
    orders: dict[str, int] = {}
    async with another_replica(loop) as other:
        for seed in range(ROUNDS):
            order = await _interleaved(loop, (loop.service, other), id_, random.Random(seed))
            orders[order] = orders.get(order, 0) + 1
    assert (await loop.row(id_))["state"] == State.HEALTHY
    told = await loop.pool.fetch("select to_state from transition where reason is distinct from 'never_connected'")
    assert State.FAILED not in {row["to_state"] for row in told}
    assert min(orders.values()) > ROUNDS / 10, orders


async def _interleaved(loop: Loop, services: tuple[Service, Service], id_: ConnectorId, chance: random.Random) -> str:
    """One round. Returns whose request the provider took, and whether the other one's came at all."""
    sleeper, other = chance.sample(services, 2)
    await loop.ages(id_)
    before, taken = token_requests(loop), grant_of(loop).refreshes
    held = loop.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=60, remaining=1)
    late = [asyncio.create_task(_asked(sleeper, id_)) for _ in range(chance.randint(1, 3))]
    await loop.simulator.journal.until(lambda journal: journal.by_endpoint["token"] == before + 1)
    await loop.pool.execute("update credential set refresh_until = now() - interval '1 second'")
    waking = asyncio.create_task(_wakes(loop, held, before, chance))
    awake = [asyncio.create_task(_asked(other, id_)) for _ in range(chance.randint(1, 3))]
    tokens = [await good(one) for one in (*late, *awake)]
    order = await waking
    rotations = {token.rotation for token in tokens}
    assert grant_of(loop).refreshes == taken + 1 and len(rotations) == 1, (order, rotations)
    assert all(is_taken(loop, token) for token in tokens), order
    return order


async def _wakes(loop: Loop, held: Fault, before: int, chance: random.Random) -> str:
    """Lets the sleeper's request go: at once, while the other one's is on its way, or after it."""
    order = chance.choice(("at once", "meanwhile", "afterwards"))
    if order == "meanwhile":
        for _ in range(chance.randrange(1, 60)):
            await asyncio.sleep(0)
    elif order == "afterwards":
        await loop.simulator.journal.until(lambda journal: journal.by_endpoint["token"] >= before + 2)
        for _ in range(chance.randrange(0, 60)):
            await asyncio.sleep(0)
    loop.simulator.faults.lift(held.id)
    return order


async def _asked(service: Service, id_: ConnectorId) -> object:
    return await service.tokens.access_token(TENANT, id_, MINUTE, "worker")
