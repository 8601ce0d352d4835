"""P7: however a sign-in ends without success, the old credential is as it was, byte for byte, and refreshes.

Kills are R2's (`tests/faults/test_r02_crash_anywhere.py`); here the person, the provider and the checks say no.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from yarl import URL

from schemas.api import AccessToken
from schemas.lifecycle import State
from service.demo.simulator.seed import DRIVEWELL_INC, SAM
from service.demo.simulator.world import CompanyStatus
from tests.loop import QUICKBOOKS, eventually
from tests.window import Running, running

RULES: dict[str, object] = {"backoff_base": "PT0.2S", "backoff_cap": "PT0.5S"}

Way: TypeAlias = Callable[[Running, str], Awaitable[None]]


@pytest.fixture
async def service(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, rules=RULES) as service:
        yield service


# How it comes to nothing. Each begins at a connector that works.


async def closed_before_the_button(service: Running, id_: str) -> None:
    _, link = await service.opened(id_)
    await service.browser().get(link)
    await expire(service, id_)


async def closed_at_the_provider(service: Running, id_: str) -> None:
    await service.back(id_, until="company")
    await expire(service, id_)


async def closed_before_the_callback(service: Running, id_: str) -> None:
    await service.back(id_)
    await expire(service, id_)


async def expire(service: Running, id_: str) -> None:
    """The attempt's time runs out, by the database's clock."""
    await service.loop.pool.execute("update connector set deadline = now() where connector_id = $1", id_)


async def stopped_by_the_person(service: Running, id_: str) -> None:
    attempt, browser, _ = await service.back(id_)
    page = f"/connect/attempts/{attempt}"
    await browser.press(page, f"{page}/cancel")


async def stopped_by_the_host(service: Running, id_: str) -> None:
    attempt, _, _ = await service.back(id_)
    await service.api("POST", f"/v1/attempts/{attempt}/cancel")


async def denied(service: Running, id_: str) -> None:
    _, browser, callback = await service.back(id_, consent=False)
    await browser.get(callback)


async def refused_by_the_provider(service: Running, id_: str) -> None:
    _, browser, callback = await service.back(id_)
    state = URL(callback).query["state"]
    await browser.get(f"/oauth/callback/{QUICKBOOKS}?error=server_error&state={state}")


async def another_company(service: Running, id_: str) -> None:
    await come_back(service, id_, company="Acme Ltd")


async def another_company_with_a_forged_claim(service: Running, id_: str) -> None:
    _, browser, callback = await service.back(id_, company="Acme Ltd")
    await browser.get(str(URL(callback, encoded=True).update_query(realmId=DRIVEWELL_INC)))


async def not_an_admin(service: Running, id_: str) -> None:
    settings = service.loop.simulator.world.settings
    settings.standard_users_pass = True
    _, browser, callback = await service.back(id_, email=SAM)
    settings.standard_users_pass = False
    await browser.get(callback)


async def a_permission_less(service: Running, id_: str) -> None:
    service.loop.simulator.faults.throw("edit", "oauth", endpoint="token", fields={"scope": "openid"}, remaining=1)
    await come_back(service, id_)


async def a_code_that_isnt_taken(service: Running, id_: str) -> None:
    _, browser, callback = await service.back(id_)
    await browser.get(str(URL(callback, encoded=True).update_query(code="AB" + "x" * 40)))


async def a_lost_answer(service: Running, id_: str) -> None:
    service.loop.simulator.faults.throw("drop", "oauth", endpoint="token", remaining=1)
    await come_back(service, id_)


async def our_own_secret_is_wrong(service: Running, id_: str) -> None:
    service.loop.simulator.faults.throw("client_secret", "oauth", endpoint="token", remaining=1)
    await come_back(service, id_)


async def a_page_in_place_of_a_token(service: Running, id_: str) -> None:
    service.loop.simulator.faults.throw("html", "oauth", endpoint="token", remaining=1)
    await come_back(service, id_)


async def a_forged_id_token(service: Running, id_: str) -> None:
    forged = {"id_token": "eyJhbGciOiJub25lIn0.e30."}
    service.loop.simulator.faults.throw("edit", "oauth", endpoint="token", fields=forged, remaining=1)
    await come_back(service, id_)


async def a_company_whose_subscription_has_ended(service: Running, id_: str) -> None:
    company = service.loop.simulator.world.companies[DRIVEWELL_INC]
    company.status = CompanyStatus.ENDED
    await come_back(service, id_)
    await eventually(lambda: resting(service, id_), "it is told")
    company.status = CompanyStatus.ACTIVE


async def a_provider_that_stays_away(service: Running, id_: str) -> None:
    _, browser, callback = await service.back(id_)
    await service.loop.simulator.down("api")
    await browser.get(callback)
    await eventually(lambda: unavailable(service, id_), "the window knows that the provider is away")
    await expire(service, id_)
    await eventually(lambda: resting(service, id_), "the time for the checks is over")
    await service.loop.simulator.up("api")


async def come_back(service: Running, id_: str, **how: Any) -> None:
    _, browser, callback = await service.back(id_, **how)
    assert (await browser.get(callback)).status == 303


async def resting(service: Running, id_: str) -> bool:
    return (await service.loop.row(id_))["state"] in (State.HEALTHY, State.FAILED)


async def unavailable(service: Running, id_: str) -> bool:
    return (await service.loop.row(id_))["unavailable"] > 0


WAYS: dict[str, tuple[Way, ...]] = {
    "attempt_expired": (closed_before_the_button, closed_at_the_provider, closed_before_the_callback),
    "cancelled": (stopped_by_the_person, stopped_by_the_host),
    "access_denied": (denied,),
    "provider_refused": (refused_by_the_provider,),
    "wrong_account": (another_company, another_company_with_a_forged_claim),
    "needs_admin": (not_an_admin,),
    "scope_missing": (a_permission_less,),
    "code_refused": (a_code_that_isnt_taken, a_forged_id_token),
    "exchange_interrupted": (a_lost_answer, a_page_in_place_of_a_token),
    "client_rejected": (our_own_secret_is_wrong,),
    "account_inactive": (a_company_whose_subscription_has_ended,),
    "verification_timed_out": (a_provider_that_stays_away,),
}


@pytest.mark.parametrize(
    ("reason", "way"),
    [(reason, way) for reason, ways in WAYS.items() for way in ways],
    ids=lambda v: getattr(v, "__name__", v),
)
async def test_p07_a_sign_in_that_comes_to_nothing_leaves_the_old_credential_working(
    service: Running, reason: str, way: Way
) -> None:
    id_ = await service.connected()
    before = dict(await service.loop.current(id_))

    await way(service, id_)

    await eventually(lambda: resting(service, id_), "the attempt has ended")
    row = await service.loop.row(id_)
    assert (row["state"], row["attempt_reason"]) == (State.HEALTHY, reason)
    assert dict(await service.loop.current(id_)) == before  # byte for byte
    await eventually(lambda: alone(service, id_), "what came new is gone")
    assert dict(await service.loop.current(id_)) == before
    await works(service, id_)


async def alone(service: Running, id_: str) -> bool:
    count = (
        "select count(*) from credential k join connector c on c.id = k.connector"
        " where connector_id = $1 and k.status <> 'current'"
    )
    return await service.loop.pool.fetchval(count, id_) == 0


async def works(service: Running, id_: str) -> None:
    """The provider takes the stored access token, and refreshes the grant."""
    company = service.loop.simulator.world.company_for_bearer
    stored = await service.loop.token(id_)  # type: ignore[arg-type]
    assert isinstance(stored, AccessToken), stored
    assert company(stored.access_token, DRIVEWELL_INC).name == "Drivewell Inc"
    await service.loop.pool.execute("update credential set access_expires_at = now()")
    fresh = await service.loop.token(id_)  # type: ignore[arg-type]
    assert isinstance(fresh, AccessToken), fresh
    assert fresh.access_token != stored.access_token
    assert company(fresh.access_token, DRIVEWELL_INC).name == "Drivewell Inc"
