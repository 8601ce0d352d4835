"""R13 at a server that we didn't write: it kills a grant for a refresh token that comes twice, and forgives nothing."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from service.demo.embedded.child import Supervisor
from tests.faults.scenarios.r13_refresh import PROVIDER_TAKES_S, Issuer, Refreshes, refreshes_of
from tests.foreign.server import ForeignServer, foreign_server
from tests.foreign.set_up import HERE

pytestmark = pytest.mark.slow


@dataclass(slots=True)
class Foreign:
    """The foreign server in the scenario's provider's place."""

    server: ForeignServer
    environment: Mapping[str, str]
    provider: str = "foreign"
    before: int = 0
    """What it refreshed while the grants were brought."""

    async def grant(self, number: int) -> tuple[str, str]:
        account = f"books-{number:03}"
        return account, await self.server.granted(account)

    async def begin(self, told: Refreshes) -> None:
        self.before = (await self.server.journal())["refreshed"]

    async def count(self, told: Refreshes) -> None:
        journal = await self.server.journal()
        told.refreshes = journal["refreshed"] - self.before
        told.presented = Counter(journal["presented"])

    async def knows(self, token: str) -> bool:
        return await self.server.issued(token)


@asynccontextmanager
async def issuing(supervisor: Supervisor) -> AsyncIterator[Issuer]:
    async with foreign_server(supervisor, ["http://127.0.0.1:9/"], token_takes_ms=PROVIDER_TAKES_S * 1000) as server:
        settings = {"hosts": json.dumps({"foreign.example": server.url}), "allow_loopback_http": "true"}
        settings |= {"client_id": server.client_id, "client_secret": server.client_secret}
        environment = {f"REGRANT_PROVIDERS__FOREIGN__{name.upper()}": value for name, value in settings.items()}
        yield Foreign(server, environment | {"REGRANT_PROVIDER_FOLDERS": str(HERE)})


async def test_r13_s33_a_foreign_server_loses_no_grant_but_those_whose_answer_died_with_a_replica(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    told = await refreshes_of(issuing, database, kafka_bootstrap, topic_prefix, seed=17, refreshes=200, say=print)
    assert told.wrong == []
    assert told.refreshes >= 200 or len(told.lost) == 10
    assert told.kills >= 1
    assert len(told.lost) == told.in_the_window, "each loss is one that the service counts itself"
    assert told.repeated <= told.interrupted, "a refresh token is sent again only where a replica died with it"
