"""The roles apart: a process for callers, two for the topics, of which one is killed and the other takes over."""

import pytest

from schemas.lifecycle import State
from service.demo.embedded.child import free_port
from tests.deployed import deployed
from tests.loop import Topics, eventually

pytestmark = pytest.mark.slow


async def test_api_and_workers_apart_bring_a_connector_back_also_when_a_worker_is_killed(
    database: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with deployed(database, kafka_bootstrap, topic_prefix) as apart:
        ports = [free_port(), free_port()]
        apart.start("api", apart.port)
        workers = [apart.start("worker", port) for port in ports]
        await apart.is_ready(apart.port, *ports)
        await apart.register("c1")
        await apart.fail("c1")
        await apart.state("c1", State.FAILED)
        apart.supervisor.kill(workers[0])

        # The person's whole way goes through the api process alone; its jobs, too.
        await apart.sign_in("c1")
        await apart.state("c1", State.SYNCING)

        # What is left of the workers publishes it, and takes what comes.
        topics = Topics(kafka_bootstrap, topic_prefix)
        await apart.succeed("c1")
        await apart.state("c1", State.HEALTHY)
        async with topics.followed():
            way = ["healthy", "failed", "awaiting_auth", "verifying", "syncing", "healthy"]
            await eventually(lambda: topics.path("c1") == way, "everything is published, in order")
