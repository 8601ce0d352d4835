"""P2: from the callback to the sync request on Kafka, at 50 callbacks a second, with a provider that takes 200 ms.

Everything is prepared first: connectors of one company, an attempt each, and a person each who has signed in at the
simulated provider and whose browser holds the redirect back. Then these redirects are opened at a steady pace.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer
from yarl import URL

from benchmarks.deployed import deployed
from benchmarks.servers import Servers
from schemas import channels
from service.demo.client import Regrant
from service.demo.deployment import QUICKBOOKS, Deployment
from service.demo.host.app import PERSON, TENANT
from service.demo.person import Person
from service.demo.simulator import Simulator
from service.demo.simulator.seed import DRIVEWELL_INC, OLIVIA, PASSWORD

A_SECOND = 50
PROVIDER_TAKES_S = 0.2
AT_ONCE = 8
"""People who sign in at once while everything is prepared."""
LATEST_S = 30


async def callbacks(servers: Servers, count: int) -> dict[str, Any]:  # Any: what JSON can hold
    """Milliseconds from callback to sync request: p50, p95, p99, and the most; how many never came."""
    async with await Simulator.start() as simulator, aiohttp.ClientSession() as session:
        deployment = await deployed(servers, "callbacks", simulator)
        await deployment.start()
        try:
            async with contextlib.AsyncExitStack() as people:
                regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)
                ways = await _prepared(regrant, deployment, people, count)
                for host, endpoint in (("oauth", "token"), ("accounts", "jwks"), ("api", "companyinfo")):
                    simulator.faults.throw("slow", host, endpoint=endpoint, seconds=PROVIDER_TAKES_S)
                took = await _opened(deployment, ways)
        finally:
            await deployment.stop()
    cuts = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return {
        "callbacks": count,
        "a_second": A_SECOND,
        "provider_ms": PROVIDER_TAKES_S * 1000,
        "missing": count - len(took),
        "ms": {"p50": round(cuts[49]), "p95": round(cuts[94]), "p99": round(cuts[98]), "max": round(max(took))},
    }


async def _prepared(
    regrant: Regrant, deployment: Deployment, people: contextlib.AsyncExitStack, count: int
) -> list[tuple[str, Person, URL]]:
    """Connectors, each with a person whose browser holds the callback."""
    ids = [f"c{number:04}" for number in range(count)]
    for id_ in ids:
        body = {"connector_id": id_, "provider": QUICKBOOKS, "name": "Books", "connected": True}
        await regrant.post("/v1/connectors", body)
    # Pinned, as connectors are that were connected once: such an attempt ends in the browser that began it.
    connection = await asyncpg.connect(deployment.dsn)
    await connection.execute("update connector set account_id = $1, account_name = 'Drivewell Inc'", DRIVEWELL_INC)
    await connection.close()
    some = asyncio.Semaphore(AT_ONCE)

    async def way(id_: str) -> tuple[str, Person, URL]:
        async with some:
            attempt = await regrant.post(f"/v1/connectors/{id_}/attempts", {"person": PERSON})
            olivia = await people.enter_async_context(Person(OLIVIA, PASSWORD, (deployment.url,)))
            authorize = await olivia.press(await olivia.look(attempt["handoff"]["url"]))
            return id_, olivia, await olivia.sign_in(authorize, company="Drivewell Inc")

    return list(await asyncio.gather(*(way(id_) for id_ in ids)))


async def _opened(deployment: Deployment, ways: Sequence[tuple[str, Person, URL]]) -> list[float]:
    """Opens the callbacks at the pace, and returns how long each took, in milliseconds."""
    began: dict[str, float] = {}
    topic = deployment.topic_prefix + channels.SYNC_REQUESTS.topic
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=deployment.bootstrap, fetch_max_wait_ms=5, auto_offset_reset="latest"
    )
    await consumer.start()
    await asyncio.gather(*(consumer.position(partition) for partition in consumer.assignment()))
    requested = asyncio.create_task(_requested(consumer, len(ways)))

    async def come_back(number: int, id_: str, person: Person, callback: URL) -> None:
        await asyncio.sleep(number / A_SECOND)
        began[id_] = time.monotonic()
        async with person.session.get(callback, allow_redirects=False) as answer:
            assert answer.status == 303, answer.status

    try:
        await asyncio.gather(*(come_back(number, *way) for number, way in enumerate(ways)))
        seen = await requested
    finally:
        requested.cancel()
        await consumer.stop()
    return [(seen[id_] - began[id_]) * 1000 for id_ in began if id_ in seen]


async def _requested(consumer: AIOKafkaConsumer, count: int) -> dict[str, float]:
    """When the first sync request of each connector was there; what has come by the latest moment."""
    seen: dict[str, float] = {}
    latest = time.monotonic() + count / A_SECOND + LATEST_S
    while len(seen) < count and time.monotonic() < latest:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            for record in records:
                seen.setdefault(record.key.decode(), time.monotonic())
    return seen
