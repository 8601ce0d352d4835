"""S36: data keys come under a new key while tokens are refreshed, though whoever wraps them anew is killed on the way.

The load is the service itself: connectors whose tokens are refreshed without a pause. The wrapping is `regrant keys
rewrap`, a process of its own that dies by SIGKILL in the middle.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.secret import Secret
from service.oauth.refresh import Denied
from service.settings import Settings
from service.vault.envelope import SealContext, WrappedKey
from service.vault.keys import FileKeySource
from service.vault.vault import Vault
from tests.loop import Loop, eventually

COMPANIES = ("Drivewell Inc", "Drivewell Leasing LLC", "Drivewell Canada ULC")
SAMPLES = 100
PASS_S = 600.0


@dataclass
class Told:
    """What came of it."""

    data_keys: int
    wrong: list[str] = field(default_factory=list)
    refreshes: int = 0
    kills: int = 0
    slowest_s: float = 0.0


async def rewrapped_under_load(loop: Loop, *, data_keys: int, kills: int) -> Told:
    """Rotates, wraps everything anew over that many kills, and retires the former key."""
    told = Told(data_keys)
    keys = loop.service.settings.keys.folder
    assert keys is not None
    ids = [await loop.connected(company) for company in COMPANIES]
    samples = await _many_data_keys(loop, keys, data_keys)
    async with _refreshing(loop, ids, told):
        await _regrant(loop.service.settings, "keys", "rotate")
        for nth in range(1, kills + 1):
            await _killed_in_the_middle(loop, told, left=data_keys * (kills + 1 - nth) // (kills + 1))
        await _regrant(loop.service.settings, "keys", "rewrap")
        counts = await _counts(loop)
        if set(counts) != {2}:
            told.wrong.append(f"data keys by their key: {counts}")
        refreshed = told.refreshes
        await eventually(lambda: told.wrong or told.refreshes > refreshed + len(ids), "tokens are refreshed afterwards")
    await _regrant(loop.service.settings, "keys", "retire", "1")
    told.wrong += [f"key 1 is still there: {name}" for name in os.listdir(keys) if name == "1.key"]
    told.wrong += await _that_dont_open(loop, keys, samples)
    told.wrong += [f"{id_}: {answer}" for id_ in ids if isinstance(answer := await loop.refreshed(id_), Denied)]
    return told


def _place(id_: int) -> SealContext:
    return SealContext(TenantId("t"), ConnectorId(str(id_)), "", "sample", Generation(1))


async def _many_data_keys(loop: Loop, keys: Path, count: int) -> dict[int, bytes]:
    """Data keys of connectors that there aren't; returns what some of them have sealed."""
    source = FileKeySource(keys)
    vault = Vault(source)
    made = [(-n, bytes(await vault.new_data_key())) for n in range(1, count + 1)]
    await loop.pool.copy_records_to_table("data_key", records=made, columns=["connector", "wrapped"])
    some = made[:: max(1, count // SAMPLES)]
    return {n: await vault.seal(WrappedKey(key), _place(n), Secret(f"sample {n}")) for n, key in some}


async def _that_dont_open(loop: Loop, keys: Path, samples: dict[int, bytes]) -> list[str]:
    vault = Vault(FileKeySource(keys))
    rows = await loop.pool.fetch("select connector, wrapped from data_key where connector = any($1)", list(samples))
    wrapped = {row["connector"]: WrappedKey(row["wrapped"]) for row in rows}
    opened = {n: await vault.open(wrapped[n], _place(n), sealed) for n, sealed in samples.items()}
    return [f"sample {n} isn't what was sealed" for n, secret in opened.items() if secret.reveal() != f"sample {n}"]


@asynccontextmanager
async def _refreshing(loop: Loop, ids: Sequence[ConnectorId], told: Told) -> AsyncIterator[None]:
    """Each connector's token is refreshed again as soon as it was. The last refreshes end by themselves."""
    ended = asyncio.Event()

    async def one(id_: ConnectorId) -> None:
        clock = asyncio.get_running_loop().time
        while not ended.is_set():
            began = clock()
            answer = await loop.refreshed(id_)
            told.slowest_s = max(told.slowest_s, clock() - began)
            if isinstance(answer, Denied):
                told.wrong.append(f"{id_}: {answer}")
                return
            told.refreshes += 1

    async with asyncio.TaskGroup() as tasks:
        for id_ in ids:
            tasks.create_task(one(id_))
        try:
            yield
        finally:
            ended.set()


async def _killed_in_the_middle(loop: Loop, told: Told, *, left: int) -> None:
    """Lets the wrapping run until that many are left, and kills it."""
    child = await _started(loop.service.settings, "keys", "rewrap")

    async def far_enough() -> bool:
        assert child.returncode is None, "it is killed before its end"
        return (await _counts(loop)).get(1, 0) <= left

    await eventually(far_enough, f"{left} data keys are left", patience_s=PASS_S)
    child.kill()
    await child.communicate()
    told.kills += 1
    if not (await _counts(loop)).get(1):
        told.wrong.append("nothing was left when it was killed: it wasn't killed in the middle")


async def _counts(loop: Loop) -> dict[int, int]:
    return {n: c for n, c in await loop.pool.fetch("select key_number, count(*) from data_key group by key_number")}


# The command, as an operator runs it.


async def _regrant(settings: Settings, *words: str) -> str:
    child = await _started(settings, *words)
    said, _ = await asyncio.wait_for(child.communicate(), PASS_S)
    assert child.returncode == 0, said.decode()
    return said.decode()


async def _started(settings: Settings, *words: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "service.cli", *words]
    output = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    return await asyncio.create_subprocess_exec(*command, env=command_environment(settings), **output)


def command_environment(settings: Settings) -> dict[str, str]:
    """What the command needs to find the same database and keys."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "REGRANT_DEVELOPMENT": "true",
        "REGRANT_DATABASE__DSN": settings.database.dsn.reveal(),
        "REGRANT_KAFKA__BOOTSTRAP": ",".join(settings.kafka.bootstrap),
        "REGRANT_HTTP__PUBLIC_URL": settings.http.public_url,
        "REGRANT_KEYS__FOLDER": str(settings.keys.folder),
        "REGRANT_JWT__ISSUER": settings.jwt.issuer,
        "REGRANT_JWT__AUDIENCE": settings.jwt.audience,
        "REGRANT_JWT__HS256_KEY_FILE": str(settings.jwt.hs256_key_file),
        "REGRANT_WEB__HOST_NAME": settings.web.host_name,
    }
