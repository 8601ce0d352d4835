"""The service is killed with SIGKILL between callback and swap: the old credential works, or the new one does."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientError

from schemas.lifecycle import State
from service.demo.host.app import PERSON, TENANT
from service.demo.platform import Platform
from service.demo.simulator.seed import OLIVIA, PASSWORD
from tests.loop import eventually
from tests.platforms import platform_on

pytestmark = pytest.mark.slow


@pytest.fixture
async def platform(database: str, kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[Platform]:
    async with platform_on(database, kafka_bootstrap, topic_prefix) as platform:
        yield platform


async def state_of(platform: Platform, connector: str) -> str:
    try:
        told = await platform.regrant.get(f"/v1/connectors/{connector}")
    except ClientError:
        return ""
    return str(told["state"])


async def at_rest(platform: Platform, connector: str, *states: State) -> str:
    async def there() -> str | None:
        state = await state_of(platform, connector)
        return state if state in states else None

    return str(await eventually(there, f"{connector} in {states}"))


async def connected(platform: Platform, connector: str) -> None:
    body = {"connector_id": connector, "provider": "quickbooks-online", "name": "Books"}
    await platform.regrant.post("/v1/connectors", body)
    attempt = await platform.regrant.post(f"/v1/connectors/{connector}/attempts", {"person": PERSON})
    async with platform.person(OLIVIA, PASSWORD) as olivia:
        await olivia.look(platform.host.url)
        await olivia.reconnect(attempt["handoff"]["url"], company="Drivewell Inc")
    await at_rest(platform, connector, State.HEALTHY)


async def credential(platform: Platform) -> dict[str, Any]:
    connection = await asyncpg.connect(platform.deployment.dsn)
    try:
        return dict(await connection.fetchrow("select * from credential where status = 'current'") or {})
    finally:
        await connection.close()


@pytest.mark.parametrize(("host", "endpoint"), [("oauth", "token"), ("accounts", "jwks"), ("api", "companyinfo")])
async def test_p07_killed_while_the_provider_is_asked_the_connector_works_all_the_same(
    platform: Platform, host: str, endpoint: str
) -> None:
    await connected(platform, "c1")
    before = await credential(platform)
    attempt = await platform.regrant.post("/v1/connectors/c1/attempts", {"person": PERSON})
    async with platform.person(OLIVIA, PASSWORD) as olivia:
        authorize = await olivia.press(await olivia.look(attempt["handoff"]["url"]))
        callback = await olivia.sign_in(authorize, company="Drivewell Inc")
        asked = platform.simulator.journal.by_endpoint[endpoint]
        platform.simulator.faults.throw("slow", host, endpoint=endpoint, seconds=60)
        screen = await olivia.come_back(callback)
        await eventually(lambda: platform.simulator.journal.by_endpoint[endpoint] > asked, "the provider is asked")
        platform.deployment.kill()
        platform.simulator.faults.lift_all()
        await platform.deployment.start()
        screen = await olivia.wait(await olivia.look(screen.url), 40)
    await at_rest(platform, "c1", State.HEALTHY)
    after = await credential(platform)
    if endpoint == "token":
        # Whether the code was redeemed can't be known, so it isn't sent again: nothing old was touched.
        assert after == before
        assert screen.forms, f"the person can go on: {screen.text}"
    else:
        assert after["generation"] == before["generation"] + 1
    token = await platform.regrant.post("/v1/connectors/c1/token", {})
    assert token["generation"] == after["generation"]
    assert platform.simulator.journal.by_endpoint["token"] == 2  # one a code: the first connection, and this one
    await platform.sync_engine.sync_now("c1", TENANT)
    assert await state_of(platform, "c1") == State.HEALTHY
