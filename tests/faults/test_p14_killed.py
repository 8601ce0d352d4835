"""P14 under kills: no timed state outlasts its deadline by five seconds, though the service dies again and again."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.host.app import PERSON
from service.demo.platform import Platform
from service.demo.simulator.seed import OLIVIA, PASSWORD
from tests.faults.test_killed import at_rest, connected
from tests.loop import eventually
from tests.platforms import platform_on

pytestmark = pytest.mark.slow

RULES = {"attempt_time": "8", "verification_time": "8", "sync_start_time": "4", "sync_asks": "2"}
LATE_S = 5.0
ALIVE_S = 1.0
"""How long the service lives between two kills, once it is ready: shorter than any of the deadlines."""

# Each way out of a timed state by its deadline, beside the deadline that the version before had set.
FIRED = """
select c.connector_id, fired.trigger::text, fired.reason, fired.to_state::text as state,
    extract(epoch from fired.at - (before.record::json -> 'connector' ->> 'deadline')::timestamptz)::float as late_s
from transition fired
join connector c on c.id = fired.connector
join transition before on before.connector = fired.connector and before.version = fired.version - 1
where fired.trigger in ('auth_expired', 'verify_expired', 'sync_expired')
order by fired.at
"""


@pytest.fixture
async def platform(database: str, kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[Platform]:
    async with platform_on(database, kafka_bootstrap, topic_prefix, RULES) as platform:
        yield platform


async def begin(platform: Platform, connector: str) -> None:
    """An attempt whose person comes back from the provider."""
    attempt = await platform.regrant.post(f"/v1/connectors/{connector}/attempts", {"person": PERSON})
    async with platform.person(OLIVIA, PASSWORD) as olivia:
        authorize = await olivia.press(await olivia.look(attempt["handoff"]["url"]))
        await olivia.come_back(await olivia.sign_in(authorize, company="Drivewell Inc"))


async def fired(platform: Platform) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(platform.deployment.dsn)
    try:
        return list(await connection.fetch(FIRED))
    finally:
        await connection.close()


async def test_p14_r08_every_timed_state_ends_at_its_deadline_though_the_service_is_killed_again_and_again(
    platform: Platform,
) -> None:
    for connector in ("forgotten", "unchecked", "unanswered"):
        await connected(platform, connector)
    platform.sync_engine.held.add("unanswered")
    await begin(platform, "unanswered")
    await at_rest(platform, "unanswered", State.SYNCING)
    asked = platform.simulator.journal.by_endpoint["companyinfo"]
    platform.simulator.faults.throw("status", "api", endpoint="companyinfo", status=503)
    await begin(platform, "unchecked")
    await eventually(lambda: platform.simulator.journal.by_endpoint["companyinfo"] > asked, "the company is asked for")
    await platform.regrant.post("/v1/connectors/forgotten/attempts", {"person": PERSON})

    async with asyncio.timeout(60):
        while len(await fired(platform)) < 4:
            platform.deployment.kill()
            await platform.deployment.start()
            await asyncio.sleep(ALIVE_S)
    ended = [(row["connector_id"], row["trigger"], row["reason"], row["state"]) for row in await fired(platform)]
    assert sorted(ended) == [
        ("forgotten", "auth_expired", Reason.ATTEMPT_EXPIRED, State.HEALTHY),
        ("unanswered", "sync_expired", Reason.SYNC_DID_NOT_START, State.FAILED),
        ("unanswered", "sync_expired", Reason.SYNC_DID_NOT_START, State.SYNCING),
        ("unchecked", "verify_expired", Reason.VERIFICATION_TIMED_OUT, State.HEALTHY),
    ]
    lateness = [row["late_s"] for row in await fired(platform)]
    assert min(lateness) >= 0
    assert max(lateness) <= LATE_S
