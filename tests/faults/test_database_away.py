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
from tests.integration.test_api import Host, problem
from tests.loop import running_loop

pytestmark = pytest.mark.slow


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
