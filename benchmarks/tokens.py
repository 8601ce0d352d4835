"""P19: fresh access tokens from the sealed store: how many one core hands out, and how long a caller waits.

A thousand connectors, each with a sealed credential. Twice: the token service called in its own process, so that its
one thread's CPU is all there is; and over HTTP, with a JWT checked for every call. Every read leaves its audit row.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import aiohttp

from benchmarks.deployed import deployed
from benchmarks.processes import cpu_s
from benchmarks.servers import Servers
from schemas.api import AccessToken
from schemas.ids import ConnectorId, Generation, TenantId
from schemas.secret import Secret
from service.app import Service, assemble
from service.demo.client import Regrant
from service.demo.deployment import QUICKBOOKS
from service.demo.simulator import Simulator
from service.oauth.keeper import Keeper, Owner
from service.settings import load
from service.vault.keys import FileKeySource
from service.vault.vault import Vault

CONNECTORS = 1000
TENANT = TenantId("tenant")
ASKERS = 64
OVER_HTTP = 32
PACE = 200
"""Reads a second at which the latency is measured: a calm hour of a large fleet."""
TTL = timedelta(minutes=1)
_ADD_CONNECTOR = """
insert into connector (connector_id, shard, tenant_id, provider, name, state, version, since, generation, account_id)
select $1, 0, $2, $3, $1, 'healthy', 1, now(), 1, $1 returning id
"""
_ADD_CREDENTIAL = """
insert into credential (
    connector, generation, attempt_id, status, data_key, account_id, access_sealed, access_expires_at, scope
)
values ($1, 1, gen_random_uuid(), 'current', $2, $3, $4, now() + interval '1 day', '')
"""

Json: TypeAlias = dict[str, Any]  # Any: what JSON can hold
Read: TypeAlias = Callable[[str], Awaitable[object]]


async def tokens(servers: Servers, seconds: float) -> Json:
    """Reads a second and a core, and milliseconds at a calm pace: of the service itself, and over HTTP."""
    async with await Simulator.start() as simulator, aiohttp.ClientSession() as session:
        deployment = await deployed(servers, "tokens", simulator)
        async with assemble(load(environ=deployment.environment)) as service:
            ids = await _filled(service)

            async def read(id_: str) -> None:
                token = await service.tokens.access_token(TENANT, ConnectorId(id_), TTL, "benchmark")
                assert isinstance(token, AccessToken), token

            inside = await _measured(read, ids, ASKERS, seconds, time.process_time)
        await deployment.start()
        try:
            regrant = Regrant(session, deployment.url, TENANT, deployment.jwt_key)

            async def ask(id_: str) -> None:
                answer = await regrant.call("POST", f"/v1/connectors/{id_}/token", {})
                assert answer.is_good, answer

            over_http = await _measured(ask, ids, OVER_HTTP, seconds, lambda: cpu_s(deployment.pid or 0))
        finally:
            await deployment.stop()
    return {"connectors": CONNECTORS, "pace": PACE, "service": inside, "http": over_http}


async def _filled(service: Service) -> Sequence[str]:
    """Connectors with a sealed access token each."""
    ids = [f"c{number:04}" for number in range(CONNECTORS)]
    keeper = Keeper(Vault(FileKeySource(service.settings.keys.folder)))
    async with service.pool.acquire() as connection:
        for id_ in ids:
            pk = await connection.fetchval(_ADD_CONNECTOR, id_, TENANT, QUICKBOOKS)
            key = await keeper.key_of(connection, pk)
            owner = Owner(pk, TENANT, ConnectorId(id_), id_, Generation(1))
            sealed = await keeper.seal(key, owner, "access_token.0", Secret("x" * 1000))
            await connection.execute(_ADD_CREDENTIAL, pk, key.id, id_, sealed)
        await connection.execute("analyze connector, credential, data_key")
    return ids


async def _measured(read: Read, ids: Sequence[str], askers: int, seconds: float, cpu: Callable[[], float]) -> Json:
    """As many askers as fast as they can, and then a calm pace. The first half second doesn't count."""
    chance = random.Random(19)
    count, over = 0, False

    async def asker() -> None:
        nonlocal count
        while not over:
            await read(chance.choice(ids))
            count += 1

    running = [asyncio.create_task(asker()) for _ in range(askers)]
    await asyncio.sleep(0.5)
    before, began, used = count, time.monotonic(), cpu()
    await asyncio.sleep(seconds)
    reads, took, used = count - before, time.monotonic() - began, cpu() - used
    over = True
    await asyncio.gather(*running)
    waited = await _paced(read, ids, seconds, chance)
    cuts = statistics.quantiles(waited, n=100)
    return {
        "askers": askers,
        "rate": round(reads / took),
        "a_core": round(reads / used),
        "us_a_read": round(used / reads * 1e6),
        "ms": {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)},
    }


async def _paced(read: Read, ids: Sequence[str], seconds: float, chance: random.Random) -> list[float]:
    """Milliseconds of reads that come at the pace, whatever the others take."""
    waited: list[float] = []

    async def one(at: float) -> None:
        await asyncio.sleep(at)
        began = time.monotonic()
        await read(chance.choice(ids))
        waited.append((time.monotonic() - began) * 1000)

    await asyncio.gather(*(one(number / PACE) for number in range(int(seconds * PACE))))
    return waited
