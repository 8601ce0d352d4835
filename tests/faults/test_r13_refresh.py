"""R13, P20: no race between replicas kills a grant, and no kill does where the provider takes a lost token again."""

from datetime import timedelta

import pytest

from tests.faults.scenarios.r13_refresh import refreshes_under_kills

pytestmark = pytest.mark.slow


async def test_r13_p20_p27_with_a_replay_grace_no_kill_costs_a_grant_that_two_live_on_neither(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    told = await refreshes_under_kills(
        database,
        kafka_bootstrap,
        topic_prefix,
        seed=13,
        refreshes=500,
        shared=4,
        grace=timedelta(minutes=30),
        say=print,
    )
    assert (told.lost, told.wrong) == ([], [])
    assert told.refreshes >= 500 and told.kills >= 3
    assert told.repeated <= told.interrupted, "a refresh token is sent again only where a replica died with it"


async def test_r13_p20_s33_without_a_grace_only_the_window_costs_a_grant(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    told = await refreshes_under_kills(
        database, kafka_bootstrap, topic_prefix, seed=14, refreshes=500, grace=timedelta(), say=print
    )
    assert told.wrong == []
    assert len(told.lost) == told.in_the_window, "each loss is one that the service counts itself"
    assert told.repeated <= told.interrupted
