"""S3: a state expires by the database's clock, also in a process whose own clock is an hour slow."""

import contextlib
import sys
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from service.demo.client import Regrant
from service.demo.deployment import QUICKBOOKS, Deployment
from service.demo.embedded.child import Supervisor, free_port
from service.demo.host.app import PERSON, TENANT
from service.demo.simulator import Simulator
from tests.loop import eventually
from tests.window import Browser

pytestmark = pytest.mark.slow

AN_HOUR_SLOW = "-3600"


async def test_s03_an_expired_state_is_refused_by_a_process_whose_clock_is_an_hour_slow(
    database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    off = tmp_path / "off"
    off.write_text("0")
    async with (
        await Simulator.start() as simulator,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        with contextlib.closing(Supervisor()) as supervisor:
            deployment = Deployment(
                supervisor,
                "slow",
                port=free_port(),
                host_url="http://127.0.0.1:9",
                simulator=simulator,
                bootstrap=kafka_bootstrap,
                dsn=database,
                topic_prefix=topic_prefix,
            )
            deployment.make_keys()
            await deployment.migrate()
            command = [sys.executable, "-m", "tests.faults.skewed", str(off), "serve", "--role", "api"]
            supervisor.start(command, log=supervisor.folder / "slow.log", env=deployment.environment)
            await eventually(lambda: is_ready(session, deployment.url), "the process is ready")
            regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)
            connection = await asyncpg.connect(database)
            try:
                expired, browser = await on_the_way(regrant, session, deployment.url, "expired")
                await connection.execute("update attempt set request_expires_at = now() - interval '1 second'")
                fresh, other = await on_the_way(regrant, session, deployment.url, "fresh")

                off.write_text(AN_HOUR_SLOW)  # by this clock, both have fifty minutes left and more
                for callback in (expired, fresh):
                    assert (await (browser if callback == expired else other).get(callback)).status == 303

                held = await connection.fetch(
                    "select c.connector_id, a.code_sealed is not null as held"
                    " from attempt a join connector c on c.id = a.connector"
                )
                assert {row["connector_id"]: row["held"] for row in held} == {"expired": False, "fresh": True}
                assert simulator.journal.by_endpoint["token"] == 0
            finally:
                await connection.close()


async def is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def on_the_way(regrant: Regrant, session: aiohttp.ClientSession, url: str, id_: str) -> tuple[str, Browser]:
    """A person who has signed in at the provider; the callback isn't opened yet."""
    await regrant.post("/v1/connectors", {"connector_id": id_, "provider": QUICKBOOKS, "name": "Books"})
    attempt = await regrant.post(f"/v1/connectors/{id_}/attempts", {"person": PERSON})
    browser = Browser(session, url)
    begun = await browser.press(attempt["handoff"]["url"])
    return await browser.sign_in(begun.location), browser
