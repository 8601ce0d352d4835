"""A deployment whose service runs as processes of its own: seen from outside, by its host, a person and its probes."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.demo.client import Regrant
from service.demo.deployment import Deployment
from service.demo.embedded.child import Supervisor, free_port
from service.demo.events import HostEvents
from service.demo.host.app import PERSON, TENANT
from service.demo.person import Person
from service.demo.simulator import Simulator
from service.demo.simulator.seed import OLIVIA, PASSWORD
from tests.loop import eventually

PROBE_S = 1.0
"""What the chart leaves a probe for its answer."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is deployed, and who uses it."""

    supervisor: Supervisor
    deployment: Deployment
    session: aiohttp.ClientSession
    regrant: Regrant
    events: HostEvents

    # As an orchestrator does.

    @property
    def port(self) -> int:
        """Where callers find it."""
        return URL(self.deployment.url).port or 0

    def start(self, role: str, port: int) -> "subprocess.Popen[bytes]":
        """A process with a role, and its probes on `port`."""
        env = {**self.deployment.environment, "REGRANT_HTTP__PORT": str(port)}
        command = [sys.executable, "-m", "service.cli", "serve", "--role", role]
        return self.supervisor.start(command, log=self.supervisor.folder / f"{role}-{port}.log", env=env)

    async def status(self, port: int, path: str) -> int:
        """What a probe is answered; 0 where it isn't in time."""
        try:
            async with asyncio.timeout(PROBE_S), self.session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status
        except (aiohttp.ClientConnectionError, TimeoutError):
            return 0

    async def is_ready(self, *ports: int) -> None:
        for port in ports:

            async def ready(port: int = port) -> bool:
                return await self.status(port, "/readyz") == 200

            await eventually(ready, f"{port} is ready")

    # As the host does.

    async def register(self, id_: str) -> None:
        """A connector that is connected already."""
        body = {"connector_id": id_, "provider": "quickbooks-online", "name": "Books", "connected": True}
        await self.regrant.post("/v1/connectors", body)

    async def fail(self, id_: str) -> None:
        """A sync is refused."""
        failure = {"reason": Reason.TOKEN_REFUSED}
        await self.events.send(self.events.event(channels.SYNC_EVENTS, channels.SYNC_FAILED, id_, failure))

    async def succeed(self, id_: str, generation: int = 1) -> None:
        told = {"generation": generation}
        await self.events.send(self.events.event(channels.SYNC_EVENTS, channels.SYNC_SUCCEEDED, id_, told))

    async def state(self, id_: str, state: State) -> None:
        """Waits for it."""

        async def is_in() -> bool:
            return bool((await self.regrant.get(f"/v1/connectors/{id_}"))["state"] == state)

        await eventually(is_in, f"{id_} is {state}")

    # As the person does.

    async def sign_in(self, id_: str) -> URL:
        """The person's whole way, and the host's confirmation; returns the callback."""
        attempt = await self.regrant.post(f"/v1/connectors/{id_}/attempts", {"person": PERSON})
        async with Person(OLIVIA, PASSWORD, (self.deployment.url,)) as olivia:
            authorize = await olivia.press(await olivia.look(attempt["handoff"]["url"]))
            callback = await olivia.sign_in(authorize, company="Drivewell Inc")
            async with olivia.session.get(callback, allow_redirects=False) as answer:
                completion = URL(answer.headers["Location"])
        body = {"completion_token": completion.query["completion_token"], "person_id": PERSON["id"]}
        await self.regrant.post(f"/v1/attempts/{attempt['attempt_id']}/complete", body)
        return callback


@asynccontextmanager
async def deployed(
    dsn: str, bootstrap: str, prefix: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Deployed]:
    """A migrated deployment on this database, these brokers and topics with this prefix. No process runs yet."""
    with contextlib.closing(Supervisor()) as supervisor:
        async with (
            await Simulator.start() as simulator,
            aiohttp.ClientSession() as session,
            HostEvents(bootstrap, prefix) as events,
        ):
            deployment = Deployment(
                supervisor,
                "deployed",
                port=free_port(),
                host_url=f"http://127.0.0.1:{free_port()}",
                simulator=simulator,
                bootstrap=bootstrap,
                dsn=dsn,
                topic_prefix=prefix,
                settings=dict(settings or {}),
            )
            deployment.make_keys()
            await deployment.migrate()
            regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)
            yield Deployed(supervisor, deployment, session, regrant, events)
