"""Whose account (S15-S18): what a grant has to prove before it counts, on the running service over HTTP."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from yarl import URL

from schemas.ids import AttemptId, ProviderId
from schemas.lifecycle import State
from schemas.secret import Secret
from service.demo.simulator.seed import ACME_LTD, DRIVEWELL_INC, DRIVEWELL_LEASING
from service.oauth.description import ProviderConfig, load_descriptions
from service.store import attempts
from service.store.environments import EnvironmentChanged
from tests.loop import eventually
from tests.window import QUICKBOOKS, Running, Services

ALLOWED = {"accounts_may_repeat": True}


async def ended(service: Running, id_: str, reason: str) -> Any:
    """The connector, once its attempt has ended so."""

    async def so() -> Any:
        row = await service.loop.row(id_)
        return row if row["attempt_reason"] == reason else None

    return await eventually(so, f"{id_}: {reason}")


async def told(service: Running, id_: str) -> Any:
    """The reason and the accounts of a connector's last transition."""
    status, history = await service.api("GET", f"/v1/connectors/{id_}/history")
    assert status == 200
    return next(entry for entry in history["entries"] if entry["outcome"] == "transition")


async def credentials_of(service: Running, id_: str) -> list[dict[str, Any]]:
    rows = await service.loop.pool.fetch(
        "select k.* from credential k join connector c on c.id = k.connector where connector_id = $1", id_
    )
    return [dict(row) for row in rows]


async def shredded(service: Running, id_: str, left: int) -> None:
    async def so() -> bool:
        return len(await credentials_of(service, id_)) == left

    await eventually(so, "the unused grant is shredded")


def claiming(callback: str, realm: str) -> str:
    return str(URL(callback, encoded=True).update_query(realmId=realm))


async def completed(service: Running, id_: str, **how: Any) -> str:
    """A first sign-in up to the host's confirmation; returns the attempt."""
    attempt, browser, callback = await service.back(id_, **how)
    answer = await browser.get(callback)
    status, _ = await service.complete(
        attempt, URL(answer.location).query["completion_token"], tenant=how.get("tenant", "drivewell")
    )
    assert status == 200
    return attempt


# S15


async def test_s15_a_first_connection_pins_what_the_provider_proves_not_what_the_query_claims(
    service: Running,
) -> None:
    id_ = await service.registered()
    attempt, browser, callback = await service.back(id_, company="Drivewell Inc")
    answer = await browser.get(claiming(callback, ACME_LTD))
    token = URL(answer.location).query["completion_token"]
    await service.complete(attempt, token)

    row = await ended(service, id_, "code_refused")
    assert (row["account_id"], row["generation"], row["state"]) == (None, 0, State.FAILED)
    await shredded(service, id_, 0)


async def test_s15_an_account_id_that_cant_be_one_is_a_bad_request(service: Running) -> None:
    id_ = await service.registered()
    _, browser, callback = await service.back(id_)

    for realm in ("", "x", "12x", "1" * 21, "-1", "1 2", "١٢", "../1", "1%002"):
        assert (await browser.get(claiming(callback, realm))).status == 400, realm

    assert service.exchanges == 0
    assert (await browser.get(callback)).status == 303


# S16


async def test_s16_another_account_is_refused_with_both_names_and_nothing_old_is_touched(service: Running) -> None:
    id_ = await service.connected()
    before = await credentials_of(service, id_)
    attempt, browser, callback = await service.back(id_, company="Acme Ltd")
    await browser.get(callback)

    row = await ended(service, id_, "wrong_account")
    assert (row["account_id"], row["generation"], row["state"]) == (DRIVEWELL_INC, 1, State.HEALTHY)
    page = (await browser.get(f"/connect/attempts/{attempt}")).text
    assert "You signed in to Acme Ltd; this connector belongs to Drivewell Inc." in page
    last = await told(service, id_)
    assert (last["reason"], last["expected_account"]["id"], last["seen_account"]["id"]) == (
        "wrong_account",
        DRIVEWELL_INC,
        ACME_LTD,
    )
    await shredded(service, id_, 1)
    assert await credentials_of(service, id_) == before
    assert service.loop.simulator.journal.by_endpoint["revoke"] == 1  # nobody lives on Acme


async def test_s16_a_grant_that_another_connector_lives_on_is_shredded_and_not_revoked(service: Running) -> None:
    await service.connected(tenant="acme", company="Acme Ltd")  # in whosever hands
    id_ = await service.connected()
    _, browser, callback = await service.back(id_, company="Acme Ltd")
    await browser.get(callback)

    await ended(service, id_, "wrong_account")
    await shredded(service, id_, 1)
    assert service.loop.simulator.journal.by_endpoint["revoke"] == 0


# S17


async def test_s17_one_account_is_active_in_one_connector_of_a_tenant(service: Running) -> None:
    first = await service.connected()
    before = await credentials_of(service, first)
    second = await service.registered()

    attempt = await completed(service, second)

    row = await ended(service, second, "account_taken")
    assert (row["account_id"], row["generation"], row["state"]) == (None, 0, State.FAILED)
    assert (await told(service, second))["reason"] == "account_taken"
    status, shown = await service.api("GET", f"/v1/attempts/{attempt}")
    assert (status, shown["seen_account"]["id"], shown["reason"]) == (200, DRIVEWELL_INC, "account_taken")
    assert first not in str(shown)
    await shredded(service, second, 0)
    assert await credentials_of(service, first) == before
    assert service.loop.simulator.journal.by_endpoint["revoke"] == 0  # the first lives on it


async def test_s17_the_account_of_another_tenant_is_no_hindrance_and_shows_nowhere(service: Running) -> None:
    await service.connected(tenant="acme")

    id_ = await service.registered()
    await completed(service, id_)

    await service.loop.state(id_, State.SYNCING)


async def test_s17_of_two_who_take_an_account_at_once_one_gets_it(service: Running) -> None:
    ids = [await service.registered() for _ in range(4)]
    ways = [await service.back(id_) for id_ in ids]
    tokens = [URL((await browser.get(callback)).location).query["completion_token"] for _, browser, callback in ways]

    await asyncio.gather(
        *(service.complete(attempt, token) for (attempt, _, _), token in zip(ways, tokens, strict=True))
    )

    async def settled() -> list[str] | None:
        rows = [await service.loop.row(id_) for id_ in ids]
        return [r["state"] for r in rows] if all(r["state"] in (State.SYNCING, State.FAILED) for r in rows) else None

    assert sorted(await eventually(settled, "all four are decided")) == [State.FAILED] * 3 + [State.SYNCING]


async def test_s17_who_asks_for_an_account_second_waits_for_what_the_first_does_with_it(service: Running) -> None:
    pool = service.loop.pool
    opened = [AttemptId(UUID((await service.opened(await service.registered()))[0])) for _ in range(2)]
    waiting = (
        "select exists (select from pg_locks l join pg_database d on d.oid = l.database"
        " where d.datname = current_database() and l.locktype = 'advisory' and not l.granted)"
    )
    async with pool.acquire() as one, pool.acquire() as two:
        first, second = [await attempts.attempt(one, id_) for id_ in opened]
        first_does, second_does = one.transaction(), two.transaction()
        await first_does.start()
        await second_does.start()
        assert not await attempts.account_taken(one, first, DRIVEWELL_INC)
        asked = asyncio.create_task(attempts.account_taken(two, second, DRIVEWELL_INC))
        await eventually(lambda: pool.fetchval(waiting), "the second waits", patience_s=5)
        becomes = "update connector set account_id = $2, state = 'healthy', fallback = null where id = $1"
        await one.execute(becomes, first.pk, DRIVEWELL_INC)
        await first_does.commit()

        assert await asked
        await second_does.rollback()


async def test_s17_a_disconnected_connector_frees_its_account_and_doesnt_take_it_back(service: Running) -> None:
    first = await service.connected()
    await service.api("POST", f"/v1/connectors/{first}/disconnect")
    await shredded(service, first, 0)  # and revoked, which at Intuit may end whatever is granted at that moment
    second = await service.registered()
    await completed(service, second)
    await service.loop.state(second, State.SYNCING)

    _, browser, callback = await service.back(first)
    await browser.get(callback)

    row = await ended(service, first, "account_taken")
    assert row["state"] == State.DISCONNECTED


async def test_s17_whose_own_account_it_is_signs_in_again(service: Running) -> None:
    id_ = await service.connected()
    _, browser, callback = await service.back(id_)
    await browser.get(callback)

    async def again() -> bool:
        return bool((await service.loop.row(id_))["generation"] == 2)

    await eventually(again, "its new credential is in use")


async def test_s17_a_host_may_allow_more(services: Services) -> None:
    async with services(providers={QUICKBOOKS: ALLOWED}) as service:
        for _ in range(2):
            id_ = await service.registered()
            await completed(service, id_)
            await service.loop.state(id_, State.SYNCING)


# S18


def test_s18_sandbox_and_production_share_no_api_and_one_isnt_configured_by_the_other() -> None:
    description = load_descriptions()[ProviderId(QUICKBOOKS)]
    hosts = {}
    for environment in description.environments:
        others = {
            e["api"].removeprefix("https://"): "https://proxy.example"
            for n, e in description.environments.items()
            if n != environment
        }
        config = ProviderConfig(description, "app", Secret("s"), environment, hosts=others)
        hosts[environment] = URL(config.address(description.identity.proof_url, account=DRIVEWELL_LEASING)).host
    assert hosts == {"production": "quickbooks.api.intuit.com", "sandbox": "sandbox-quickbooks.api.intuit.com"}


async def test_s18_a_deployment_doesnt_start_on_the_accounts_of_another_environment(services: Services) -> None:
    async with services() as service:
        await service.registered()  # nothing depends on the environment yet
    sandbox = {QUICKBOOKS: {"environment": "sandbox"}}
    async with services(providers=sandbox):
        pass
    async with services() as service:
        await service.connected()

    with pytest.raises(EnvironmentChanged, match=r"connected in its environment production, the settings say sandbox"):
        async with services(providers=sandbox):
            pass
