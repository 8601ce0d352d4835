"""R12: two versions side by side on one database and one broker, forth and back, under load."""

import asyncio
import zipfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import asyncpg

from tests.faults.fleet import Process
from tests.faults.scenarios.r05_rebalance import loaded
from tests.faults.stage import Stage, Violation

RELEASES = Path(__file__).parents[2] / "releases"
SHARE, ROUNDS_A_SECOND = 0.2, 10.0
RULES = {"attempt_time": "3"}
PATIENCE_S = 90.0


def newest_release(folder: Path) -> Path:
    """The last version that was released, unpacked below that folder."""
    (*_, wheel) = sorted(RELEASES.glob("regrant-*.whl"), key=_version)
    unpacked = folder / wheel.stem
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(unpacked)
    return unpacked


def _version(wheel: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in wheel.name.split("-")[1].split("."))


async def forth_and_back(stage: Stage, release: Path, *, rounds: int) -> None:
    """The release alone, beside this version, this version alone, and the same way back; so many entries each."""
    old = [await stage.fleet.start("all", release=release), await stage.fleet.start(release=release)]
    await stage.registered()
    async with loaded(stage, SHARE, ROUNDS_A_SECOND):
        await _goes_on(stage, rounds)
        await stage.fleet.migrate()
        new = [await stage.fleet.start("all"), await stage.fleet.start()]
        await _goes_on(stage, rounds)
        await _answer_alike(stage, old[0], new[0])
        await _end(stage, old)
        await _goes_on(stage, rounds)
        stage.say("only the new version runs; and back")
        old = [await stage.fleet.start("all", release=release), await stage.fleet.start(release=release)]
        await _goes_on(stage, rounds)
        await _answer_alike(stage, old[0], new[0])
        await _end(stage, new)
        await _goes_on(stage, rounds)
    await stage.load.open_attempts([id_ for id_, c in stage.load.expected.items() if c.state == "healthy"][:20])
    await stage.until_normal(90)
    await _answer_all(stage, old[0])
    await _end(stage, old)


async def _goes_on(stage: Stage, entries: int) -> None:
    """Waits until whoever runs now has published so much more."""
    connection = await asyncpg.connect(stage.fleet.dsn)
    try:
        published = "select sum(published_seq)::bigint from shard"
        wanted = await connection.fetchval(published) + entries
        async with asyncio.timeout(PATIENCE_S):
            while await connection.fetchval(published) < wanted:
                await stage.output.read()
    finally:
        await connection.close()
    if stage.output.inversions:
        raise Violation("versions came out of order", stage.output.inversions)


async def _end(stage: Stage, processes: Sequence[Process]) -> None:
    for process in processes:
        if (code := await process.drain()) != 0:
            raise Violation("a process that was told to end ended with", [str(code), process.said(40)])


async def _answer_alike(stage: Stage, *processes: Process) -> None:
    """Each version reads what the other wrote: lists, histories, and why a connector is in its state."""
    for process in processes:
        await _answer_all(stage, process)


async def _answer_all(stage: Stage, process: Process) -> None:
    async with aiohttp.ClientSession() as session:
        host = stage.fleet.host(session, process)
        for id_ in list(stage.load.expected)[:5]:
            for path in (f"/v1/connectors/{id_}", f"/v1/connectors/{id_}/history", f"/v1/connectors/{id_}/why"):
                answer = await host.call("GET", path)
                if answer.status != 200:
                    raise Violation("a version can't read what the other wrote", [f"{path}: {answer.status}"])
