"""P27: one sign-in repairs the tenant's other failed connectors of its account, once each, whatever comes between."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from schemas.api import AccessToken
from schemas.ids import AttemptId, ConnectorId
from schemas.lifecycle import Ignored, State
from schemas.reasons import Reason
from schemas.secret import Secret
from service.demo.simulator.grants import GrantState, RevokeScope
from service.demo.simulator.seed import ACME_LTD
from service.engine.submission import Submission, Trace
from service.store import sharing
from service.store.credentials import current
from statemachine.inputs import Disconnect
from tests.integration.test_tokens import is_taken
from tests.loop import QUICKBOOKS, TENANT, Loop, eventually, running_loop
from tests.sharing import (
    HOST,
    STRANGERS,
    connected,
    credentials,
    fail,
    fresh,
    log_of,
    repaired,
    revokes_tokens,
    share,
    shared_grant,
    shredded,
    signed_in,
)


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


async def test_p27_one_sign_in_repairs_what_failed_at_its_account_and_nothing_else(loop: Loop) -> None:
    a1, a2, a3, well = await connected(loop, "a1", "a2", "a3", "well")
    (elsewhere,) = await connected(loop, "elsewhere", realm=ACME_LTD)
    (anothers,) = await connected(loop, "anothers", tenant_id=STRANGERS)
    (wide,) = await connected(loop, "wide", scope=f"{' '.join(_scopes(loop))} payments")
    (unpaid,) = await connected(loop, "unpaid")
    await fail(loop, a1, a2, a3, elsewhere, anothers, wide)
    await fail(loop, unpaid, reason=Reason.ACCOUNT_INACTIVE)
    others = (well, elsewhere, anothers, wide, unpaid)
    before = {id_: dict(await loop.row(id_)) for id_ in (a2, a3, *others)}
    own = {id_: dict(await loop.current(id_)) for id_ in others}

    attempt = await signed_in(loop, a1)

    for id_ in others:
        assert dict(await loop.row(id_)) == before[id_], id_
        assert dict(await loop.current(id_)) == own[id_], id_
    for id_ in (a2, a3):
        row, last = await loop.row(id_), (await log_of(loop, id_))[-1]
        assert (row["state"], row["generation"], row["reason"]) == (State.SYNCING, 2, None)
        assert (last["trigger"], last["from_state"], last["to_state"]) == ("grant_shared", "failed", "syncing")
        assert (last["version"], last["attempt_id"]) == (before[id_]["version"] + 1, attempt)
        record, request = orjson.loads(last["record"]), orjson.loads(last["sync_request"])
        assert (record["reason"], record["actor"]) == ("connected", {"kind": "person", "id": "u-olivia"})
        assert request["generation"] == 2
        assert datetime.fromisoformat(request["since"]) == before[id_]["failed_since"]
    tokens = [await fresh(loop.service, id_) for id_ in (a1, a2, a3)]
    assert all(isinstance(token, AccessToken) and is_taken(loop, token) for token in tokens)
    assert {token.access_token for token in tokens if isinstance(token, AccessToken)} == set(shared_grant(loop).access)
    assert len({row["grant_id"] for row in await credentials(loop, a1, a2, a3)}) == 1
    assert len({row["data_key"] for row in await credentials(loop, a1, a2, a3)}) == 3, "each under its own key"


def _scopes(loop: Loop) -> Sequence[str]:
    return loop.service.providers[QUICKBOOKS].scopes


async def test_p27_a_deployment_that_lets_no_account_repeat_shares_nothing(loop: Loop) -> None:
    first, second = await connected(loop, "first", "second")
    await fail(loop, first, second)
    known = loop.service.providers._configs
    known[QUICKBOOKS] = replace(known[QUICKBOOKS], accounts_may_repeat=False)
    before = dict(await loop.row(second))

    await signed_in(loop, first)

    assert dict(await loop.row(second)) == before


# Revoking.


async def test_p27_a_grant_is_revoked_with_the_last_connector_that_holds_it(loop: Loop) -> None:
    revokes_tokens(loop)
    ids = await repaired(loop, "a", "b", "c")
    before = loop.simulator.journal.by_endpoint["revoke"]
    grant = shared_grant(loop)
    for n, id_ in enumerate(ids, start=1):
        await loop.service.engine.submit(Submission(input=Disconnect(connector=id_), actor=HOST))
        await shredded(loop, id_)
        await loop.pool.execute("update credential set access_expires_at = now()")
        for other in ids[n:]:
            token = await fresh(loop.service, other)
            assert isinstance(token, AccessToken) and is_taken(loop, token)
        assert loop.simulator.journal.by_endpoint["revoke"] == before + (n == 3)
    assert grant.state is GrantState.REVOKED


async def test_s16_a_disconnect_spares_the_account_while_a_sign_in_to_it_is_under_way(loop: Loop) -> None:
    loop.simulator.world.settings.grants.revoke_scope = RevokeScope.ACCOUNT
    (old,) = await connected(loop, "old")
    new = await loop.register("new")
    attempt, handoff = await loop.open(new)
    begun = await loop.begun(handoff)
    returned = await loop.returned(begun, await loop.signed_in(begun))
    assert returned.completion_url is not None
    token = Secret(returned.completion_url.reveal().rsplit("=", 1)[1])

    await loop.service.engine.submit(Submission(input=Disconnect(connector=old), actor=HOST))
    await shredded(loop, old)

    await loop.service.flow.complete(
        tenant=TENANT, attempt=attempt, completion_token=token, person_id="u-olivia", actor=HOST, trace=Trace()
    )
    await loop.state(new, State.SYNCING)
    assert loop.simulator.journal.by_endpoint["revoke"] == 0


# Crashes and what comes in between.


async def test_p27_a_copy_is_made_once_and_what_the_lifecycle_does_not_take_is_shredded(loop: Loop) -> None:
    revokes_tokens(loop)
    (a,) = await connected(loop, "a")
    await fail(loop, a)
    attempt = await signed_in(loop, a)
    taken, turned_away = await connected(loop, "taken", "turned-away")
    await fail(loop, taken, turned_away)
    before = loop.simulator.journal.by_endpoint["revoke"]
    for id_ in (taken, turned_away):  # whoever ran the job died when the copy was stored
        await dies_with_the_copy(loop, id_, attempt)
    await loop.open(turned_away)

    await loop.pool.execute("update job set lease_until = now() - interval '1 second' where kind = 'share'")

    await loop.state(taken, State.SYNCING)

    async def settled() -> bool:
        return bool(await loop.pool.fetchval("select count(*) = 0 from job"))

    await eventually(settled, "every job is done")
    rows = await loop.pool.fetch(
        "select c.connector_id, k.status, k.attempt_id from credential k join connector c on c.id = k.connector"
    )
    assert sorted((row["connector_id"], row["status"]) for row in rows) == [
        (id_, "current") for id_ in ("a", "taken", "turned-away")
    ]
    row = await loop.row(turned_away)
    assert (row["state"], row["generation"]) == (State.AWAITING_AUTH, 1)
    why = "select why from note where connector = $1 and trigger = 'grant_shared'"
    assert await loop.pool.fetchval(why, row["id"]) == Ignored.NO_LOGIN_WANTED
    assert loop.simulator.journal.by_endpoint["revoke"] == before + 1, "the one that was superseded, not the copy"
    token = await fresh(loop.service, taken)
    assert isinstance(token, AccessToken) and is_taken(loop, token)


async def dies_with_the_copy(loop: Loop, id_: ConnectorId, attempt: AttemptId) -> None:
    job = await share(loop, id_, attempt, held=True)
    sharer = loop.service.handlers["share"].__self__
    async with loop.pool.acquire() as connection:
        brought = await sharing.brought(connection, attempt)
        other = await current(connection, job.pk)
    assert await sharer._copied(job, brought, other) is not None
    assert await sharer._copied(job, brought, other) is None, "one copy of a grant is enough"
