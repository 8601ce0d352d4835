"""The roles apart: a process for callers, two for the topics, of which one is killed and the other takes over."""

import contextlib
import subprocess
import sys

import aiohttp
import pytest
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
from tests.loop import Topics, eventually

pytestmark = pytest.mark.slow


async def ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_api_and_workers_apart_bring_a_connector_back_also_when_a_worker_is_killed(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    with contextlib.closing(Supervisor()) as supervisor:
        async with (
            await Simulator.start() as simulator,
            aiohttp.ClientSession() as session,
            HostEvents(kafka_bootstrap, topic_prefix) as events,
        ):
            deployment = Deployment(
                supervisor,
                "apart",
                port=free_port(),
                host_url=f"http://127.0.0.1:{free_port()}",
                simulator=simulator,
                bootstrap=kafka_bootstrap,
                dsn=database,
                topic_prefix=topic_prefix,
            )
            deployment.make_keys()
            await deployment.migrate()

            def start(role: str, port: int) -> "subprocess.Popen[bytes]":
                env = {**deployment.environment, "REGRANT_HTTP__PORT": str(port)}
                command = [sys.executable, "-m", "service.cli", "serve", "--role", role]
                return supervisor.start(command, log=supervisor.folder / f"{role}-{port}.log", env=env)

            api_port = int(deployment.url.rsplit(":", 1)[1])
            ports = [free_port(), free_port()]
            start("api", api_port)
            workers = [start("worker", port) for port in ports]
            for port in (api_port, *ports):
                await eventually(lambda port=port: ready(session, port), f"{port} is ready")  # type: ignore[misc]
            regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)
            await regrant.post(
                "/v1/connectors",
                {"connector_id": "c1", "provider": "quickbooks-online", "name": "Books", "connected": True},
            )

            async def is_in(state: State) -> bool:
                return bool((await regrant.get("/v1/connectors/c1"))["state"] == state)

            failure = {"reason": Reason.TOKEN_REFUSED}
            await events.send(events.event(channels.SYNC_EVENTS, channels.SYNC_FAILED, "c1", failure))
            await eventually(lambda: is_in(State.FAILED), "a worker took the failure")
            supervisor.kill(workers[0])

            # The person's whole way goes through the api process alone; its jobs, too.
            attempt = await regrant.post("/v1/connectors/c1/attempts", {"person": PERSON})
            async with Person(OLIVIA, PASSWORD, (deployment.url,)) as olivia:
                authorize = await olivia.press(await olivia.look(attempt["handoff"]["url"]))
                callback = await olivia.sign_in(authorize, company="Drivewell Inc")
                async with olivia.session.get(callback, allow_redirects=False) as answer:
                    completion = URL(answer.headers["Location"])
            body = {"completion_token": completion.query["completion_token"], "person_id": PERSON["id"]}
            await regrant.post(f"/v1/attempts/{attempt['attempt_id']}/complete", body)
            await eventually(lambda: is_in(State.SYNCING), "the credential is swapped")

            # What is left of the workers publishes it, and takes what comes.
            topics = Topics(kafka_bootstrap, topic_prefix)
            await events.send(
                events.event(channels.SYNC_EVENTS, channels.SYNC_SUCCEEDED, "c1", {"generation": 1}),
            )
            await eventually(lambda: is_in(State.HEALTHY), "the other worker took over")
            async with topics.followed():
                way = ["healthy", "failed", "awaiting_auth", "verifying", "syncing", "healthy"]
                await eventually(lambda: topics.path("c1") == way, "everything is published, in order")
