"""R6: what is lost only delays. Brokers, database, a commit's answer, disk: away, back, and soon all is as it must."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

from service.demo.client import Regrant
from service.demo.embedded import EmbeddedKafka, EmbeddedPostgres
from tests.faults.cluster import KafkaCluster
from tests.faults.fleet import PROVIDER, Process
from tests.faults.postgres import Primary, SmallDisk, Standby
from tests.faults.proxy import Proxy
from tests.faults.scenarios.r05_rebalance import loaded
from tests.faults.stage import Stage, Violation

BACK_TO_NORMAL_S = 30.0
MEMORY_MB = 100.0
CALLERS = 16
SETTLED_S = 3.0
"""How long a part works before it is taken away."""

Act = Callable[[], Awaitable[None]]


async def loses(stage: Stage, what: str, away: Act, back: Act, away_s: float) -> None:
    """Takes something away under load, gives it back, and measures until all is stored and out."""
    async with loaded(stage):
        await asyncio.sleep(SETTLED_S)
        await away()
        await asyncio.sleep(away_s)
        await back()
        returned = time.monotonic()
    await stage.until_normal(BACK_TO_NORMAL_S + 60)
    took = time.monotonic() - returned
    stage.say(f"{what}: normal {took:.1f} s after its return, {stage.output.distinct} transitions")
    if took > BACK_TO_NORMAL_S:
        raise Violation(f"{what}: too long until all was normal", [f"{took:.1f} s"])


async def the_broker_is_killed(stage: Stage, broker: EmbeddedKafka, away_s: float) -> None:
    async def away() -> None:
        broker.kill()

    await loses(stage, "broker", away, broker.start, away_s)


async def one_of_three_brokers_is_killed(stage: Stage, cluster: KafkaCluster, away_s: float) -> None:
    lost = stage.random.choice(cluster.nodes)

    async def away() -> None:
        lost.kill()

    await loses(stage, "one of three brokers", away, lost.start, away_s)


async def the_database_crashes(stage: Stage, database: EmbeddedPostgres, away_s: float) -> None:
    await loses(stage, "database", database.crash, database.start, away_s)


async def commits_are_stored_and_nobody_is_told(stage: Stage, proxy: Proxy, times: int) -> None:
    """COMMIT reaches the database, its answer never comes back: the batch is tried again, and the fence tells."""
    before = proxy.commits_cut

    async def cut() -> None:
        for _ in range(times):
            async with asyncio.timeout(20):
                await proxy.cut_next_commit(moves_offsets).wait()

    async def nothing() -> None:
        return None

    await loses(stage, "a commit's answer", cut, nothing, 0)
    if proxy.commits_cut != before + times:
        raise Violation("the proxy cut another number of commits", [str(proxy.commits_cut)])


def moves_offsets(statement: bytes) -> bool:
    """The end of a batch: its COMMIT, or the one statement that is the whole batch."""
    return statement.lstrip().startswith(b"commit") or b"input_partition" in statement


async def the_disk_is_full(stage: Stage, database: SmallDisk, away_s: float) -> None:
    await loses(stage, "disk", database.fill, database.free, away_s)


async def the_standby_takes_over(stage: Stage, primary: Primary, standby: Standby) -> None:
    """The primary is killed; what it had acknowledged its standby has, which becomes the primary."""

    async def away() -> None:
        primary.kill()

    await loses(stage, "primary", away, standby.promote, 1.0)


async def memory_stays_while_the_brokers_are_away(
    stage: Stage, process: Process, broker: EmbeddedKafka, away_s: float
) -> None:
    """Callers go on by HTTP; the log is the buffer, and not the memory."""
    async with aiohttp.ClientSession() as session:
        host = stage.fleet.host(session, process)
        await _call(host, CALLERS, 2.0)
        before = process.memory_mb()
        broker.kill()
        done = await _call(host, CALLERS, away_s)
        grown = process.memory_mb() - before
        await broker.start()
    stage.say(f"memory: +{grown:.0f} MB over {done} transitions by HTTP while the broker was away")
    if grown > MEMORY_MB:
        raise Violation("memory grew while the broker was away", [f"+{grown:.0f} MB over {done} calls"])
    began = time.monotonic()
    await stage.until_all_is_out(BACK_TO_NORMAL_S + 60)
    if (took := time.monotonic() - began) > BACK_TO_NORMAL_S:
        raise Violation("too long until all was out", [f"{took:.1f} s"])


async def _call(host: Regrant, callers: int, seconds: float) -> int:
    """So many callers register connectors and rename them, one call after the other. Returns how many calls."""
    ends, done = time.monotonic() + seconds, 0

    async def one(caller: int) -> None:
        nonlocal done
        id_ = f"h{caller}"
        await host.post("/v1/connectors", {"connector_id": id_, "provider": PROVIDER, "name": "Books"})
        while time.monotonic() < ends:
            answer = await host.call("PATCH", f"/v1/connectors/{id_}", {"name": f"Books {done}"})
            if not answer.is_good:
                raise Violation("a caller was refused", [f"{answer.status} {answer.code}"])
            done += 1

    await asyncio.gather(*(one(caller) for caller in range(callers)))
    return done
