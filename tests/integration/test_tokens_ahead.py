"""Refreshing ahead of time, and leaving a provider in peace that is down or asks for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.ids import ConnectorId
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.oauth.circuit import FAILURES
from service.oauth.refresh import Denied, NoToken
from tests.integration.test_tokens import good, token_requests
from tests.loop import Loop, eventually, running_loop


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


async def _is_due(loop: Loop, id_: ConnectorId) -> None:
    await loop.pool.execute("update credential set refresh_due = now() where id = $1", (await loop.current(id_))["id"])


async def test_p19_a_token_that_is_read_is_refreshed_ahead_and_one_that_is_not_is_left(loop: Loop) -> None:
    id_ = await loop.connected()
    assert (await loop.current(id_))["refresh_wanted"] is False
    await good(loop.token(id_))
    row = await loop.current(id_)
    life = row["access_expires_at"] - row["refreshed_at"]
    assert row["access_expires_at"] - 0.25 * life <= row["refresh_due"] <= row["access_expires_at"] - 0.1 * life
    await _is_due(loop, id_)
    before = token_requests(loop)

    async def refreshed() -> bool:
        return bool((await loop.current(id_))["rotation"] == 1)

    await eventually(refreshed, "it is refreshed ahead of its end, and nobody waited")
    row = await loop.current(id_)
    assert (row["refresh_wanted"], token_requests(loop)) == (False, before + 1)
    assert row["refresh_due"] - row["refreshed_at"] > timedelta(days=25), "nobody has read it: it is only kept alive"
    assert row["refresh_due"] - row["refreshed_at"] < timedelta(days=50)


async def test_p19_refreshes_ahead_of_time_are_spread(loop: Loop) -> None:
    id_ = await loop.connected()
    moments = set()
    for _ in range(20):
        await loop.pool.execute("update credential set refresh_wanted = false")
        await good(loop.token(id_))
        moments.add((await loop.current(id_))["refresh_due"])
    assert max(moments) - min(moments) > timedelta(minutes=2)


async def test_p05_a_dead_grant_is_never_due_again(loop: Loop) -> None:
    id_ = await loop.failed()
    await _is_due(loop, id_)
    before = token_requests(loop)

    async def forgotten() -> bool:
        return (await loop.current(id_))["refresh_due"] is None

    await eventually(forgotten, "nobody refreshes it")
    assert token_requests(loop) == before


async def test_s32_a_provider_that_is_down_is_called_a_few_times_and_then_left_alone(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.ages(id_)
    fault = loop.simulator.faults.throw("status", "oauth", endpoint="token", status=503)
    before = token_requests(loop)
    for _ in range(50):
        denied = await loop.token(id_)
        assert isinstance(denied, Denied) and denied.why is NoToken.PROVIDER_UNAVAILABLE
    assert FAILURES <= token_requests(loop) - before <= FAILURES + 2
    loop.simulator.faults.lift(fault.id)

    async def well() -> bool:
        return not isinstance(await loop.token(id_), Denied)

    await eventually(well, "it is tried again by itself")
    assert (await loop.row(id_))["state"] == State.HEALTHY


async def test_s32_a_limit_holds_for_the_whole_app_as_long_as_the_provider_says(loop: Loop) -> None:
    inc, leasing = await asyncio.gather(loop.connected(), loop.connected("Drivewell Leasing LLC"))
    for id_ in (inc, leasing):
        await loop.ages(id_)
    loop.simulator.faults.throw("status", "oauth", endpoint="token", status=429, retry_after="600", remaining=1)
    before = token_requests(loop)
    limited = await loop.token(inc)
    assert limited == Denied(NoToken.PROVIDER_UNAVAILABLE, Reason.RATE_LIMITED, timedelta(seconds=600))
    for id_ in (inc, leasing) * 5:
        waits = await loop.token(id_)
        assert isinstance(waits, Denied) and waits.retry_after is not None
        assert timedelta(seconds=590) < waits.retry_after <= timedelta(seconds=600)
    assert token_requests(loop) == before + 1, "the other company's refresh waits, too"
