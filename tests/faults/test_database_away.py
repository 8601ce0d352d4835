"""The database is killed and comes back: callers are told to try again, nothing is lost, all goes on by itself."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import channels
from schemas.lifecycle import State
from schemas.problems import ProblemCode
from service.app import web_app
from service.demo.embedded import EmbeddedPostgres, Supervisor
from service.demo.embedded.child import free_port
from tests.deployed import deployed
from tests.integration.test_api import Host, problem
from tests.loop import running_loop

pytestmark = pytest.mark.slow

AWAY_S = 60


async def test_what_comes_while_the_database_is_away_is_told_or_kept_and_done_when_it_is_back(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, aiohttp_client: Callable[..., Awaitable[Any]]
) -> None:
    with contextlib.closing(Supervisor()) as supervisor:
        postgres = EmbeddedPostgres(supervisor)
        await postgres.start()
        async with running_loop(postgres.dsn, kafka_bootstrap, topic_prefix, tmp_path) as loop:
            key_file = loop.service.settings.jwt.hs256_key_file
            assert key_file is not None
            client = await aiohttp_client(web_app(loop.service, "all", asyncio.Event()))
            host = Host(client, key_file.read_bytes().strip())
            id_ = await loop.connected()
            postgres.kill()

            refused = await host.call("GET", f"/v1/connectors/{id_}")
            await problem(refused, ProblemCode.BUSY)
            assert refused.headers["Retry-After"]
            page = await client.get("/oauth/callback/quickbooks-online?code=c&state=s")
            assert page.status == 503  # a page of the window, which repeats the address by itself
            assert (await client.get("/livez")).status == 200
            await loop.fail(id_)

            await postgres.start()
            await loop.state(id_, State.FAILED)
            await loop.reconnect(id_)
            await loop.state(id_, State.SYNCING)
            await loop.say(id_, channels.SYNC_SUCCEEDED, generation=2)
            await loop.state(id_, State.HEALTHY)
            states = [State.FAILED, State.AWAITING_AUTH, State.VERIFYING, State.SYNCING, State.HEALTHY]
            await loop.path(id_, *states, *states)


async def test_a_minute_without_the_database_restarts_nothing(kafka_bootstrap: str, topic_prefix: str) -> None:
    """Nobody is restarted, whatever a probe is answered: neither by its orchestrator, nor by its own end."""
    with contextlib.closing(Supervisor()) as supervisor:
        postgres = EmbeddedPostgres(supervisor)
        await postgres.start()
        async with deployed(postgres.dsn, kafka_bootstrap, topic_prefix) as apart:
            ports = {"api": apart.port, "worker": free_port()}
            processes = [apart.start(role, port) for role, port in ports.items()]
            await apart.is_ready(*ports.values())
            await apart.register("c1")

            postgres.kill()
            await apart.fail("c1")
            ready = []
            for _ in range(AWAY_S):
                alive = [await apart.status(port, "/livez") for port in ports.values()]
                assert alive == [200, 200]
                ready.append([await apart.status(port, "/readyz") for port in ports.values()])
                await asyncio.sleep(1)
            assert ready[-1] == [503, 503], "nobody is sent to who can't answer"

            await postgres.start()
            await apart.is_ready(*ports.values())
            await apart.state("c1", State.FAILED)
            assert [process.poll() for process in processes] == [None, None]
            await apart.sign_in("c1")
            await apart.state("c1", State.SYNCING)
