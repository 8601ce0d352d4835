"""Nothing waits for ever: every timed state ends at its deadline, with its reason, where it came from."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from schemas import channels
from schemas.lifecycle import Notice, State
from schemas.reasons import Reason
from tests.loop import Loop, eventually, running_loop

H, F, A, V, S = State.HEALTHY, State.FAILED, State.AWAITING_AUTH, State.VERIFYING, State.SYNCING
FIRST = (F, A, V, S, H)
SHORT = {
    "attempt_time": timedelta(seconds=3),
    "verification_time": timedelta(seconds=3),
    "sync_start_time": timedelta(seconds=1.5),
    "sync_asks": 2,
    "reminders": (timedelta(seconds=1), timedelta(seconds=1)),
}


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, rules=SHORT) as loop:
        yield loop


async def test_p14_an_attempt_that_nobody_takes_goes_back_to_failed_with_its_reason_kept(loop: Loop) -> None:
    id_ = await loop.failed()
    await loop.open(id_)
    await loop.state(id_, A)
    row = await loop.state(id_, F)
    assert (row["reason"], row["attempt_reason"]) == (Reason.TOKEN_REFUSED, Reason.ATTEMPT_EXPIRED)


async def test_p14_a_healthy_connector_whose_edit_is_forgotten_is_healthy_again(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.open(id_)
    await loop.state(id_, A)
    row = await loop.state(id_, H)
    assert (row["reason"], row["attempt_reason"]) == (None, Reason.ATTEMPT_EXPIRED)


async def test_p14_p07_a_provider_that_stays_away_ends_the_verification_and_nothing_old_was_touched(
    loop: Loop,
) -> None:
    id_ = await loop.connected()
    before = dict(await loop.current(id_))
    await loop.fail(id_)
    await loop.state(id_, F)
    _, handoff = await loop.open(id_)
    begun = await loop.begun(handoff)
    query = await loop.signed_in(begun)
    await loop.simulator.down("oauth")
    await loop.returned(begun, query)
    await loop.path(id_, *FIRST, F, A, V, F)
    assert loop.topics.data(channels.TRANSITIONS, id_)[-1]["reason"] == Reason.VERIFICATION_TIMED_OUT
    assert dict(await loop.current(id_)) == before


async def test_p16_a_sync_that_doesnt_answer_is_asked_for_again_and_then_an_operator_is_told(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.fail(id_, position="page-3")
    await loop.state(id_, F)
    await loop.reconnect(id_)
    await loop.state(id_, S)
    await loop.say(id_, channels.SYNC_SUCCEEDED, generation=1)  # of the older credential: it changes nothing
    await loop.path(id_, *FIRST, F, A, V, S, S, F)
    requests = [r for r in loop.topics.data(channels.SYNC_REQUESTS, id_) if r["generation"] == 2]
    assert [r["ask"] for r in requests] == [1, 2]
    assert {r["position"] for r in requests} == {"page-3"}
    last = loop.topics.data(channels.TRANSITIONS, id_)[-1]
    assert (last["reason"], last["notice"]) == (Reason.SYNC_DID_NOT_START, Notice.OPERATOR_NEEDED)


async def test_p17_reminders_come_on_their_schedule_and_stop_with_the_recovery(loop: Loop) -> None:
    id_ = await loop.register(connected=True)
    await loop.fail(id_, generation=None)
    await loop.path(id_, H, F, F)
    await loop.say(id_, channels.SYNC_SUCCEEDED)
    await loop.path(id_, H, F, F, H)
    notices = [t["notice"] for t in loop.topics.data(channels.TRANSITIONS, id_)]
    assert notices == [None, Notice.PERSON_NEEDED, Notice.REMINDER, Notice.RECOVERED]

    async def silent() -> bool:
        return (await loop.row(id_))["deadline"] is None

    await eventually(silent, "no further reminder is due")


async def test_p14_deadlines_pass_while_the_service_is_down_and_fire_when_it_is_back(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path / "a", rules=SHORT) as loop:
        id_ = await loop.register(connected=True)
        await loop.open(id_)
        await loop.state(id_, A)
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path / "b", rules=SHORT) as loop:
        await loop.state(id_, H)
