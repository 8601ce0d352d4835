"""Verifying again over HTTP: the provider is asked about the saved credential, and nobody has to sign in."""

from datetime import UTC, datetime

from schemas.ids import ConnectorId, Generation
from schemas.lifecycle import ActorKind, Outcome, State, Trigger
from schemas.problems import ProblemCode
from schemas.reasons import Reason
from service.demo.simulator.seed import DRIVEWELL_INC
from service.demo.simulator.world import CompanyStatus
from service.engine.submission import Actor, Submission
from statemachine.inputs import Input, SyncFailed, SyncSucceeded
from tests.window import Running

GENERATION = Generation(1)


async def said(service: Running, input_: Input) -> None:
    """A word of the sync engine's."""
    await service.loop.service.engine.submit(Submission(input=input_, actor=Actor(ActorKind.SYNC_ENGINE)))


async def healthy(service: Running) -> ConnectorId:
    """A connector whose first sync has ended well."""
    id_ = await service.connected()
    await said(service, SyncSucceeded(connector=id_, occurred=datetime.now(UTC), generation=GENERATION))
    return id_


async def failed(service: Running, reason: Reason) -> ConnectorId:
    """One whose syncs have failed since."""
    id_ = await healthy(service)
    await said(service, SyncFailed(connector=id_, occurred=datetime.now(UTC), generation=GENERATION, reason=reason))
    await service.loop.state(id_, State.FAILED)
    return id_


async def verify(
    service: Running, id_: str, *, tenant: str = "drivewell", **headers: str
) -> tuple[int, dict[str, str]]:
    return await service.api("POST", f"/v1/connectors/{id_}/verify", tenant=tenant, **headers)


async def newest(service: Running, id_: str) -> dict[str, object]:
    """The newest entry of the history that verifying left behind."""
    _, history = await service.api("GET", f"/v1/connectors/{id_}/history")
    entry: dict[str, object] = next(e for e in history["entries"] if e["trigger"] == Trigger.VERIFIED_AGAIN)
    return entry


async def test_p10_an_account_that_works_again_is_verified_without_a_person_and_a_sync_is_asked_for(
    service: Running,
) -> None:
    id_ = await failed(service, Reason.ACCOUNT_INACTIVE)
    since = (await service.loop.row(id_))["failed_since"]
    company = service.loop.simulator.world.companies[DRIVEWELL_INC]

    company.status = CompanyStatus.ENDED
    status, told = await verify(service, id_)
    assert (status, told["state"], told["reason"]) == (200, State.FAILED, Reason.ACCOUNT_INACTIVE)
    noted = await newest(service, id_)
    assert (noted["outcome"], noted["reason"]) == (Outcome.OBSERVATION, Reason.ACCOUNT_INACTIVE)
    assert noted["evidence"]["code"] == "6190"  # type: ignore[index]  # JSON

    company.status = CompanyStatus.ACTIVE
    status, told = await verify(service, id_)
    assert (status, told["state"], told["reason"], told["generation"]) == (200, State.SYNCING, None, 1)
    moved = await newest(service, id_)
    assert (moved["from"], moved["to"]) == (State.FAILED, State.SYNCING)
    assert moved["actor"] == {"kind": ActorKind.HOST, "id": "backend"}
    asked = await service.loop.pool.fetchval(
        "select sync_request::json ->> 'since' from transition where trigger = 'verified_again'"
    )
    assert datetime.fromisoformat(asked) == since

    _, why = await service.api("GET", f"/v1/connectors/{id_}/why")
    assert "the host (backend) had the saved sign-in verified again: it is right" in why["paragraph"]
    await said(service, SyncSucceeded(connector=id_, occurred=datetime.now(UTC), generation=GENERATION))
    await service.loop.state(id_, State.HEALTHY)


async def test_p05_a_dead_grant_costs_one_token_request_each_time_that_somebody_asks(service: Running) -> None:
    id_ = await failed(service, Reason.TOKEN_REFUSED)
    service.loop.simulator.world.grants.disconnect(DRIVEWELL_INC)
    before = service.exchanges

    status, told = await verify(service, id_)

    assert (status, told["state"], told["reason"]) == (200, State.FAILED, Reason.GRANT_REVOKED)
    assert service.exchanges == before + 1
    status, told = await service.api("POST", f"/v1/connectors/{id_}/token", {})
    assert (status, told["code"], service.exchanges) == (409, ProblemCode.NO_CREDENTIAL, before + 1)


async def test_p04_a_healthy_connector_whose_credential_is_right_stays_as_it_is(service: Running) -> None:
    id_ = await healthy(service)
    before = await service.loop.row(id_)

    status, told = await verify(service, id_, **{"Idempotency-Key": "k1"})
    again = await verify(service, id_, **{"Idempotency-Key": "k1"})

    assert (status, told["state"], told["version"]) == (200, State.HEALTHY, before["version"])
    assert again == (status, told)
    rows = await service.loop.pool.fetch("select reason from note where trigger = 'verified_again'")
    assert [row["reason"] for row in rows] == [Reason.CONNECTED], "a repeat with its key is done once"


async def test_p08_a_provider_that_is_down_says_nothing_about_the_credential(service: Running) -> None:
    id_ = await failed(service, Reason.ACCESS_REVOKED)
    before = await service.loop.row(id_)
    service.loop.simulator.faults.throw("status", "api", status=503)

    status, told, headers = await service.api_with_headers("POST", f"/v1/connectors/{id_}/verify")

    assert (status, told["code"], told["retryable"]) == (503, ProblemCode.PROVIDER_UNAVAILABLE, True)
    assert int(headers["Retry-After"]) > 0
    after = await service.loop.row(id_)
    assert (after["state"], after["reason"], after["version"]) == (State.FAILED, before["reason"], before["version"])
    assert (await newest(service, id_))["reason"] == Reason.PROVIDER_UNAVAILABLE


async def test_p24_what_cannot_be_verified_is_refused_in_words_and_the_provider_is_not_asked(service: Running) -> None:
    companies = ("Drivewell Inc", "Drivewell Leasing LLC", "Acme Ltd")
    new = await service.registered()
    syncing, awaiting, off = [await service.connected(company=company) for company in companies]
    await service.opened(awaiting)
    assert (await service.api("POST", f"/v1/connectors/{off}/disconnect"))[0] == 200
    before = service.exchanges

    answers = [await verify(service, id_) for id_ in (new, syncing, awaiting, off)]

    assert [(status, told["code"]) for status, told in answers] == [
        (409, ProblemCode.NO_CREDENTIAL),
        (409, ProblemCode.SYNC_AWAITED),
        (409, ProblemCode.ATTEMPT_OPEN),
        (409, ProblemCode.NO_CREDENTIAL),
    ]
    assert all(told["detail"] and told["action"] for _, told in answers)
    assert service.exchanges == before
