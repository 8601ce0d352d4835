"""The token service on a real database and the simulated Intuit: one refresh, stored before it is used, judged well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.api import AccessToken
from schemas.ids import ConnectorId, Generation
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.app import Service, assemble
from service.demo.simulator.grants import Grant
from service.demo.simulator.seed import DRIVEWELL_INC
from service.oauth.refresh import Denied, NoToken
from service.oauth.tokens import RefusedToken
from tests.loop import QUICKBOOKS, TENANT, Loop, eventually, running_loop

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path) as loop:
        yield loop


@asynccontextmanager
async def another_replica(loop: Loop) -> AsyncIterator[Service]:
    """A second process's worth of service, on the same database."""
    async with assemble(loop.service.settings) as service:
        running = asyncio.create_task(service.engine.run())
        try:
            yield service
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def token_requests(loop: Loop) -> int:
    return loop.simulator.journal.by_endpoint["token"]


def grant_of(loop: Loop) -> Grant:
    """The grant as the provider knows it."""
    return loop.simulator.world.grants.live(DRIVEWELL_INC)[-1]


def rotates(loop: Loop, *, grace: timedelta) -> None:
    """The provider changes the refresh token at every use; the former one is taken for the length of the grace."""
    settings = loop.simulator.world.settings.grants
    settings.rotation_interval, settings.previous_token_life = timedelta(), grace
    known = loop.service.providers._configs
    described = known[QUICKBOOKS].description.model_copy(update={"rotation": "single_use", "replay_grace": grace})
    known[QUICKBOOKS] = replace(known[QUICKBOOKS], description=described)


async def good(asked: "asyncio.Future[AccessToken | Denied] | Any") -> AccessToken:
    """The token that came, which the provider takes."""
    token = await asked
    assert isinstance(token, AccessToken), token
    return token


def is_taken(loop: Loop, token: AccessToken) -> bool:
    """Whether the provider takes it."""
    known = loop.simulator.world.grants.grant_for_access_token(token.access_token)
    return known is not None and known[1]


async def audited(loop: Loop, what: str) -> int:
    count: int = await loop.pool.fetchval("select count(*) from audit where what = $1", what)
    return count


async def test_p19_s31_a_thousand_askers_on_two_replicas_cause_one_refresh(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.ages(id_, timedelta(seconds=20))
    loop.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=0.5)  # so that all of them find it running
    before = token_requests(loop)
    async with another_replica(loop) as other:
        services = (loop.service, other)
        asked = (services[n % 2].tokens.access_token(TENANT, id_, MINUTE, f"worker {n}") for n in range(1000))
        tokens = await asyncio.gather(*(good(one) for one in asked))
    assert token_requests(loop) == before + 1
    assert {(token.access_token, token.generation, token.rotation) for token in tokens} == {
        (tokens[0].access_token, 1, 1)
    }
    assert is_taken(loop, tokens[0])


async def test_p19_a_fresh_token_is_served_without_any_call_and_each_read_is_audited(loop: Loop) -> None:
    id_ = await loop.connected()
    before = token_requests(loop)
    tokens = await asyncio.gather(*(good(loop.token(id_)) for _ in range(300)))
    assert token_requests(loop) == before
    assert {(token.generation, token.rotation, token.account.name) for token in tokens} == {(1, 0, "Drivewell Inc")}
    rows = await loop.pool.fetch("select actor, detail, tenant_id, connector_id from audit where what = 'token_read'")
    assert {tuple(row.values()) for row in rows} == {("test", '{"generation" : 1, "rotation" : 0}', TENANT, id_)}
    assert len(rows) == 300


async def test_p19_a_refused_token_is_served_to_nobody_again(loop: Loop) -> None:
    id_ = await loop.connected()
    first = await good(loop.token(id_))
    ask, refused = loop.service.tokens.access_token, RefusedToken(Generation(1), first.rotation)
    before = token_requests(loop)
    told = await asyncio.gather(*(good(ask(TENANT, id_, MINUTE, "worker", refused)) for _ in range(20)))
    assert {token.rotation for token in (*told, await good(loop.token(id_)))} == {1}
    assert token_requests(loop) == before + 1, "twenty who report the same token cause one refresh"
    stale = await good(ask(TENANT, id_, MINUTE, "late", refused))
    assert (stale.rotation, token_requests(loop)) == (1, before + 1), "a report about a former token changes nothing"
    again = await ask(TENANT, id_, MINUTE, "worker", RefusedToken(Generation(1), 1))
    assert isinstance(again, Denied) and (again.why, again.reason) == (
        NoToken.PROVIDER_UNAVAILABLE,
        Reason.TOKEN_REFUSED,
    )
    assert token_requests(loop) == before + 1, "who refuses whatever comes causes no storm"
    assert await ask(TENANT, ConnectorId("nobodys"), MINUTE, "x", refused) == Denied(NoToken.NOT_CONNECTED)


async def test_p19_min_ttl_is_honoured_as_far_as_the_lifetime_allows(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.ages(id_, timedelta(seconds=100))
    before = token_requests(loop)
    assert (await good(loop.token(id_, MINUTE))).rotation == 0
    assert (await good(loop.token(id_, timedelta(seconds=200)))).rotation == 1
    loop.simulator.faults.throw("edit", "oauth", endpoint="token", fields={"expires_in": 40})
    await loop.ages(id_)
    for _ in range(10):  # a minute is more than there is: no refresh for each who asks
        assert (await good(loop.token(id_, MINUTE))).rotation == 2
    assert token_requests(loop) == before + 2


async def test_p05_s32_after_a_dead_verdict_nobody_calls_again(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.ages(id_)
    loop.simulator.world.grants.disconnect(DRIVEWELL_INC)
    before = token_requests(loop)
    async with another_replica(loop) as other:
        for _ in range(20):
            services = [loop.service, other] * 50
            answers = await asyncio.gather(*(s.tokens.access_token(TENANT, id_, MINUTE, "w") for s in services))
            assert set(answers) == {Denied(NoToken.NEEDS_REAUTHORISATION, Reason.GRANT_REVOKED)}
    assert token_requests(loop) <= before + 2, "the one that told it, and at most one further"
    failed = "select count(*) from transition where to_state = 'failed' and reason = 'grant_revoked'"
    assert await loop.pool.fetchval(failed) == 1
    row = await loop.state(id_, State.FAILED)
    told = orjson.loads(await loop.pool.fetchval("select record from transition where version = $1", row["version"]))
    assert told["evidence"]["request_id"], "Intuit's support asks for it"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500},
        {"kind": "html"},
        {"kind": "refuse"},
        {"kind": "drop"},
        {"kind": "edit", "fields": {"access_token": None}},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values() if not isinstance(value, dict)),
)
async def test_s32_what_passes_by_itself_costs_nobody_a_login(loop: Loop, fault: dict[str, Any]) -> None:
    id_ = await loop.connected()
    await loop.ages(id_)
    thrown = loop.simulator.faults.throw(host="oauth", endpoint="token", **fault)
    denied = await loop.token(id_)
    assert isinstance(denied, Denied) and denied.why is NoToken.PROVIDER_UNAVAILABLE
    assert denied.retry_after is not None and denied.retry_after > timedelta()
    assert (await loop.row(id_))["state"] == State.HEALTHY
    loop.simulator.faults.lift(thrown.id)
    assert is_taken(loop, await good(loop.token(id_)))
    assert (
        await loop.pool.fetchval(
            "select count(*) from transition where to_state = 'failed' and reason <> 'never_connected'"
        )
        == 0
    )


async def test_s30_a_rotated_token_is_stored_before_anybody_gets_the_new_access_token(loop: Loop) -> None:
    id_ = await loop.connected()
    rotates(loop, grace=timedelta())
    await loop.ages(id_)
    slow = loop.simulator.faults.throw("slow", "oauth", endpoint="token", seconds=60, remaining=1)
    asked = [asyncio.create_task(loop.token(id_)) for _ in range(20)]
    before = token_requests(loop)
    await loop.simulator.journal.until(lambda journal: journal.by_endpoint["token"] == before + 1)
    async with loop.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select from credential where status = 'current' for update")
        loop.simulator.faults.lift(slow.id)
        await eventually(lambda: grant_of(loop).refreshes == 1, "the provider has rotated")

        async def waits_to_store() -> Any:
            blocked = "wait_event_type = 'Lock' and query like '%with held as%'"
            return await loop.pool.fetchval(f"select count(*) from pg_stat_activity where {blocked}")

        await eventually(waits_to_store, "the new token waits to be stored")
        assert not any(one.done() for one in asked)
        await transaction.rollback()
    tokens = [await good(one) for one in asked]
    assert {token.rotation for token in tokens} == {1}
    stored = await loop.current(id_)
    assert (stored["rotation"], stored["refresh_lease"]) == (1, None)
    await loop.ages(id_)
    assert is_taken(loop, await good(loop.token(id_))), "what was stored is what the provider gave"


async def test_s30_when_no_new_refresh_token_comes_the_old_one_stays(loop: Loop) -> None:
    id_ = await loop.connected()
    fault = loop.simulator.faults.throw("edit", "oauth", endpoint="token", fields={"refresh_token": None})
    for rotation in (1, 2):
        await loop.ages(id_)
        assert (await good(loop.token(id_))).rotation == rotation
    loop.simulator.faults.lift(fault.id)
    await loop.ages(id_)
    assert (await good(loop.token(id_))).rotation == 3


async def _interrupted(loop: Loop, id_: ConnectorId) -> None:
    """A process died after the provider's answer and before its commit: the window of S33."""
    refresh = grant_of(loop).refresh
    assert refresh is not None
    loop.simulator.world.grants.refresh(refresh.value)
    await loop.ages(id_)
    await loop.pool.execute(
        "update credential set refresh_lease = gen_random_uuid(), refresh_until = now() - interval '1 second'"
        " where status = 'current'"
    )


async def test_s33_p20_within_the_replay_grace_an_interrupted_refresh_loses_nothing(loop: Loop) -> None:
    id_ = await loop.connected()
    rotates(loop, grace=timedelta(minutes=30))
    await _interrupted(loop, id_)
    before = token_requests(loop)
    assert is_taken(loop, await good(loop.token(id_)))
    assert (token_requests(loop), await audited(loop, "grant_lost_in_window")) == (before + 1, 0)


async def test_s33_without_a_grace_the_stored_token_is_tried_once_and_then_a_person_is_asked(loop: Loop) -> None:
    id_ = await loop.connected()
    rotates(loop, grace=timedelta())
    await _interrupted(loop, id_)
    before = token_requests(loop)
    assert await loop.token(id_) == Denied(NoToken.NEEDS_REAUTHORISATION, Reason.GRANT_REVOKED)
    assert token_requests(loop) == before + 1
    assert (await loop.state(id_, State.FAILED))["reason"] == Reason.GRANT_REVOKED
    assert await audited(loop, "grant_lost_in_window") == 1, "the window is counted, not hidden"


@pytest.mark.parametrize(("grace", "age", "requests"), [(30, 1, 2), (30, 40, 1), (0, 1, 1)])
async def test_s33_the_former_refresh_token_is_tried_once_within_the_grace(
    loop: Loop, grace: int, age: int, requests: int
) -> None:
    id_ = await loop.connected()
    rotates(loop, grace=timedelta(minutes=grace))
    await loop.ages(id_)
    assert (await good(loop.token(id_))).rotation == 1
    grant = grant_of(loop)
    assert grant.previous is not None
    grant.refresh, grant.previous = grant.previous, None  # the provider has lost its last rotation
    grant.refresh.dies_at = loop.simulator.clock() + timedelta(days=1)
    await loop.pool.execute(
        "update credential set access_expires_at = now(), refreshed_at = now() - $1::interval", timedelta(minutes=age)
    )
    before = token_requests(loop)
    token = await loop.token(id_)
    assert token_requests(loop) == before + requests
    if requests == 2:
        assert isinstance(token, AccessToken) and token.rotation == 2
        await loop.ages(id_)
        assert is_taken(loop, await good(loop.token(id_)))
    else:
        assert token == Denied(NoToken.NEEDS_REAUTHORISATION, Reason.GRANT_REVOKED)


async def test_s40_a_refresh_leaves_its_audit_row_before_the_provider_is_called(loop: Loop) -> None:
    id_ = await loop.connected()
    await loop.ages(id_)
    loop.simulator.faults.throw("refuse", "oauth", endpoint="token")
    await loop.token(id_)
    row = await loop.pool.fetchrow("select detail from audit where what = 'secret_opened' order by at desc limit 1")
    assert orjson.loads(row["detail"]) == {"kind": "refresh_token.0", "generation": 1, "why": "refresh"}


async def test_s34_a_broken_seal_fails_the_connector_and_calls_nobody(loop: Loop) -> None:
    id_ = await loop.connected()
    before = token_requests(loop)
    await loop.pool.execute("update credential set access_sealed = substr(access_sealed, 1, 40)")
    assert await loop.token(id_) == Denied(NoToken.NEEDS_REAUTHORISATION, Reason.VAULT_INTEGRITY)
    assert (await loop.state(id_, State.FAILED))["reason"] == Reason.VAULT_INTEGRITY
    assert token_requests(loop) == before
