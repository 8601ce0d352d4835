"""P27: connectors that live on one grant refresh it once for all of them.

Refresh tokens work once here, and one that comes again kills its grant: two connectors that refreshed by themselves
would end it for both.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.api import AccessToken
from schemas.ids import ConnectorId, Generation
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.simulator.faults import Fault
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_INC
from service.oauth.refresh import Denied, NoToken
from service.oauth.tokens import RefusedToken
from service.store import probes
from tests.integration.test_tokens import another_replica, is_taken, token_requests
from tests.loop import QUICKBOOKS, TENANT, Loop, eventually, running_loop
from tests.sharing import (
    MINUTE,
    belongs,
    connected,
    credentials,
    fail,
    fresh,
    log_of,
    repaired,
    share,
    signed_in,
    works_once,
)


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


async def refreshing(loop: Loop, id_: ConnectorId) -> "tuple[Fault, asyncio.Task[AccessToken | Denied]]":
    """A refresh whose token request has reached the provider, which holds its answer back until the fault is lifted."""
    await loop.ages(id_)
    held = loop.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=60, remaining=1)
    asked = asyncio.create_task(fresh(loop.service, id_))
    before = token_requests(loop)
    await loop.simulator.journal.until(lambda journal: journal.by_endpoint["token"] == before + 1)
    return held, asked


async def failed_late(loop: Loop) -> ConnectorId:
    """One more failed connector of the account, which no sign-in has repaired."""
    (late,) = await connected(loop, "late", realm=ACME_LTD)
    await belongs(loop, late, DRIVEWELL_INC)
    await fail(loop, late)
    return late


async def test_p27_p20_connectors_of_one_grant_refresh_it_once_for_all_of_them(loop: Loop) -> None:
    ids = await repaired(loop, "a", "b", "c")
    presented = works_once(loop)
    async with another_replica(loop) as other:
        for round_ in range(1, 41):
            await loop.pool.execute("update credential set access_expires_at = now()")
            asked = [fresh(service, id_) for service in (loop.service, other) for id_ in ids]
            tokens = await asyncio.gather(*asked)
            assert all(isinstance(token, AccessToken) and is_taken(loop, token) for token in tokens), (round_, tokens)
            assert {row["rotation"] for row in await credentials(loop, *ids)} == {round_}
    assert set(presented.values()) == {1} and len(presented) == 40


async def test_p27_a_token_that_was_refused_for_one_is_served_to_none_of_them(loop: Loop) -> None:
    a, b = await repaired(loop, "a", "b")
    before = token_requests(loop)
    refused = RefusedToken(Generation(2), 0)
    told = await loop.service.tokens.access_token(TENANT, a, MINUTE, "worker", refused)
    others = await fresh(loop.service, b)
    assert isinstance(told, AccessToken) and isinstance(others, AccessToken)
    assert (told.rotation, others.access_token, token_requests(loop)) == (1, told.access_token, before + 1)


async def test_p27_p05_a_dead_grant_is_told_to_all_of_them_and_nobody_calls_again(loop: Loop) -> None:
    ids = await repaired(loop, "a", "b", "c")
    await loop.pool.execute("update credential set access_expires_at = now()")
    loop.simulator.world.grants.disconnect(DRIVEWELL_INC)
    before = token_requests(loop)
    assert await fresh(loop.service, ids[1]) == Denied(NoToken.NEEDS_REAUTHORISATION, Reason.GRANT_REVOKED)
    for id_ in ids:
        assert (await loop.row(id_))["reason"] == Reason.GRANT_REVOKED, "before the one who asked is answered"
        assert [row["trigger"] for row in await log_of(loop, id_)][-1] == "refresh_rejected"
        assert isinstance(await fresh(loop.service, id_), Denied)
    assert token_requests(loop) == before + 1


async def test_p27_p23_a_hint_has_a_grant_probed_once_however_many_hold_it(loop: Loop) -> None:
    await repaired(loop, "a", "b")
    await connected(loop, "alone")
    async with loop.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await probes.want(connection, QUICKBOOKS, DRIVEWELL_INC, MINUTE)
        asked = await connection.fetchval("select count(*) from job where kind = 'probe'")
        await transaction.rollback()
    assert asked == 2, "of the grant that two hold, and of the other one"


async def test_p27_a_broken_seal_fails_one_and_holds_up_none_of_the_others(loop: Loop) -> None:
    a, broken, c = await repaired(loop, "a", "broken", "c")
    presented = works_once(loop)
    pk = (await loop.row(broken))["id"]
    key = await loop.pool.fetchval("select wrapped from data_key where connector = $1 and not retired", pk)
    other = await loop.pool.fetchval("select wrapped from data_key where connector <> $1 limit 1", pk)
    spoilt = "update data_key set wrapped = $2 where id = (select data_key from credential where connector = $1)"
    await loop.pool.execute(spoilt, pk, other[:-1] + bytes([other[-1] ^ 1]))

    for rotation in (1, 2):
        await loop.pool.execute("update credential set access_expires_at = now()")
        for id_ in (a, c):
            token = await fresh(loop.service, id_)
            assert isinstance(token, AccessToken) and token.rotation == rotation and is_taken(loop, token)
    assert (await loop.state(broken, State.FAILED))["reason"] == Reason.VAULT_INTEGRITY

    # Its data key is mended, and a sync that went well with an older token clears the reason: what it holds is still
    # worth nothing, and to send it would end the grant for the others.
    await loop.pool.execute(spoilt, pk, key)
    await loop.pool.execute("update connector set state = 'healthy', reason = null where id = $1", pk)
    assert await fresh(loop.service, broken) == Denied(NoToken.NEEDS_REAUTHORISATION, Reason.VAULT_INTEGRITY)
    assert set(presented.values()) == {1} and len(presented) == 2
    await loop.pool.execute("update credential set access_expires_at = now()")
    assert isinstance(await fresh(loop.service, a), AccessToken)


async def test_p27_nobody_joins_while_the_grant_is_refreshed(loop: Loop) -> None:
    (a,) = await connected(loop, "a")
    await fail(loop, a)
    attempt = await signed_in(loop, a)
    presented = works_once(loop)
    held, asked = await refreshing(loop, a)
    late = await failed_late(loop)
    job = await share(loop, late, attempt)

    async def tried() -> bool:
        return bool(await loop.pool.fetchval("select tries > 1 from job where id = $1", job.id))

    await eventually(tried, "it was tried, and is tried again")
    assert (await loop.row(late))["state"] == State.FAILED
    loop.simulator.faults.lift(held.id)
    assert isinstance(await asked, AccessToken)
    await loop.state(late, State.SYNCING)
    assert [row["rotation"] for row in await credentials(loop, a, late)] == [1, 1]
    await loop.pool.execute("update credential set access_expires_at = now()")
    assert isinstance(await fresh(loop.service, late), AccessToken)
    assert isinstance(await fresh(loop.service, a), AccessToken)
    assert set(presented.values()) == {1}


async def test_p27_who_joined_while_a_refresher_slept_gets_what_it_brings(loop: Loop) -> None:
    (a,) = await connected(loop, "a")
    await fail(loop, a)
    attempt = await signed_in(loop, a)
    presented = works_once(loop)
    held, asked = await refreshing(loop, a)
    await loop.pool.execute(
        "update credential set refresh_until = now() - interval '1 second' where status = 'current'"
    )
    late = await failed_late(loop)
    await share(loop, late, attempt)
    await loop.state(late, State.SYNCING)
    assert [row["rotation"] for row in await credentials(loop, a, late)] == [0, 0]

    loop.simulator.faults.lift(held.id)

    assert isinstance(await asked, AccessToken)
    assert [row["rotation"] for row in await credentials(loop, a, late)] == [1, 1]
    await loop.pool.execute("update credential set access_expires_at = now()")
    assert isinstance(await fresh(loop.service, late), AccessToken)
    assert isinstance(await fresh(loop.service, a), AccessToken)
    assert set(presented.values()) == {1}
