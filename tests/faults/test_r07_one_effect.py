"""R7: one effect per input. What is delivered many times, out of order or late, does what it says once."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import channels
from schemas.ids import ConnectorId
from schemas.lifecycle import State
from tests.faults.scenarios.r07_repeats import MOST_DELIVERIES, repeated_and_shuffled
from tests.loop import Loop, eventually, running_loop

pytestmark = pytest.mark.slow

COMPANIES = ("Drivewell Inc", "Drivewell Leasing LLC", "Drivewell Canada ULC")


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


async def test_r07_what_is_delivered_ten_times_and_shuffled_does_what_it_does_once(loop: Loop) -> None:
    run = await repeated_and_shuffled(loop, seed=7, inputs=5_000)
    assert run.wrong == []
    assert run.deliveries > 4 * run.inputs and run.stale > 0.03 * run.inputs


async def test_r07_repeats_cause_no_call_to_the_provider(loop: Loop) -> None:
    chance = random.Random(7)
    many = lambda: range(chance.randint(2, MOST_DELIVERIES))  # noqa: E731 - as often as it happens to come

    async def one(company: str) -> None:
        id_ = await loop.connected(company)
        for _ in many():
            await loop.fail(id_)
        await loop.state(id_, State.FAILED)
        _, handoff = await loop.open(id_)
        begun = await loop.begun(handoff)
        query = await loop.signed_in(begun, company=company)
        await asyncio.gather(*(loop.returned(begun, query) for _ in many()))
        await loop.state(id_, State.SYNCING)
        for _ in many():
            await loop.say(id_, channels.SYNC_SUCCEEDED, generation=2)
        await loop.state(id_, State.HEALTHY)
        await _kept(loop, id_, credentials=1)  # the first one is shredded, not revoked: the company is in use
        for _ in many():
            await loop.returned(begun, query)
        for command in (channels.DISCONNECT, channels.DELETE):
            for _ in many():
                await loop.produce(channels.COMMANDS, id_, command.type, {})
        await loop.state(id_, State.DELETED)
        await _kept(loop, id_, credentials=0)

    await asyncio.gather(*(one(company) for company in COMPANIES))
    asked = loop.simulator.journal.by_endpoint
    assert asked["token"] == 2 * len(COMPANIES)  # a first connection and a second one, each with one code
    assert set(loop.simulator.journal.by_code.values()) == {1}
    assert asked["revoke"] == len(COMPANIES)  # the second grants, at the end


async def _kept(loop: Loop, id_: ConnectorId, *, credentials: int) -> None:
    """Waits until the connector has so many credentials, and no job is left."""
    pk = (await loop.row(id_))["id"]

    async def so() -> bool:
        left = "select (select count(*) from credential where connector = $1) = $2"
        left += " and not exists (select from job where connector = $1)"
        return bool(await loop.pool.fetchval(left, pk, credentials))

    await eventually(so, f"{id_}: {credentials} credentials")
