"""`regrant keys …`: what an operator sees of the key-encryption keys, and how one is replaced by the next.

rotate, rewrap, retire, in this order: after that, nothing that was kept before can be opened by what is there now.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from service.oauth.rewrap import Pass, Rewrapper
from service.settings import Settings
from service.store import data_keys
from service.store.pool import Pool, open_pool
from service.vault.configured import key_source
from service.vault.keys import KeyNumber, KeySource
from service.vault.vault import Vault

Say = Callable[[str], None]

LOOK_EVERY_S = 1.0


class StillNeeded(Exception):
    """A key can't be retired: it wraps what comes next, or data keys are under it, or some don't open."""


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key-encryption key, as `regrant keys list` shows it."""

    number: int
    wraps: bool
    """Whether new data keys are wrapped by it."""
    data_keys: int
    """How many data keys need it."""
    state: str


async def listed(settings: Settings) -> list[KeyLine]:
    """All keys that the source has or a data key names."""
    async with _parts(settings) as (source, pool):
        current, there = await source.current(), await source.numbers()
        async with pool.acquire() as connection:
            counts, closed = await data_keys.counts(connection), set(await data_keys.retired(connection))
    numbers = sorted({*map(int, there), *counts, *closed})
    return [KeyLine(n, n == current, counts.get(n, 0), _state(n, there, closed)) for n in numbers]


def printed(keys: list[KeyLine]) -> list[str]:
    """The keys for people, a line each."""
    lines = ["key  wraps  data keys  state"]
    return lines + [f"{k.number:>3}  {'yes' if k.wraps else '-':<5}  {k.data_keys:>9}  {k.state}" for k in keys]


def as_json(keys: list[KeyLine]) -> list[dict[str, object]]:
    return [asdict(key) for key in keys]


async def rotate(settings: Settings, say: Say) -> None:
    """Makes the next key; running services use it as soon as they see it."""
    async with key_source(settings.keys) as source:
        number = await source.rotate()
    say(f"key {number} wraps from now on; `regrant keys rewrap` brings the data keys under it, or the workers do")


async def rewrap(settings: Settings, say: Say) -> None:
    """Brings all data keys under the current key, together with whoever is at it. Raises `StillNeeded`."""
    async with _parts(settings) as (source, pool):
        rewrapper = Rewrapper(pool, Vault(source))
        broken: list[int] = []
        while await rewrapper.is_needed():
            made = await rewrapper.once(lambda made: say(_progress(made)))
            if made is None:
                say("a worker is at it")
                await asyncio.sleep(LOOK_EVERY_S)
            elif made.broken and made.broken == broken:
                raise await _not_rewrapped(pool, broken)
            else:
                broken = made.broken
        say(f"all data keys are under key {await source.current()}")


async def retire(settings: Settings, number: int, say: Say) -> None:
    """Takes a key away for good. Raises `StillNeeded` while something needs it."""
    async with _parts(settings) as (source, pool):
        if await source.current() == number:
            raise StillNeeded(f"key {number} wraps what comes next: run `regrant keys rotate` first")
        if number not in await source.numbers():
            raise StillNeeded(f"there is no key {number}: `regrant keys list` shows them")
        async with pool.acquire() as connection:
            left = await data_keys.retire(connection, number)
            older = sum(count for n, count in (await data_keys.counts(connection)).items() if n < number)
        if left or older:
            raise StillNeeded(
                f"{left + older} data keys are still under key {number} or an older one: "
                "run `regrant keys rewrap` first"
            )
        say(f"key {number} is retired: {await source.retire(KeyNumber(number))}")


def _state(number: int, there: dict[KeyNumber, bool], closed: set[int]) -> str:
    if number == 0:
        return "no wrapped key at all"
    if number in closed or there.get(KeyNumber(number)) is False:
        return "retired"
    return "usable" if number in there else "missing"


def _progress(made: Pass) -> str:
    broken = f", {len(made.broken)} don't open" if made.broken else ""
    return f"{made.done} data keys are under key {made.to} now{broken}"


async def _not_rewrapped(pool: Pool, broken: list[int]) -> StillNeeded:
    async with pool.acquire() as connection:
        owners = await data_keys.owners(connection, broken)
    who = ", ".join(owners[:20]) + (", …" if len(owners) > 20 else "")
    return StillNeeded(f"{len(broken)} data keys don't open; they are of {who}: their people have to sign in again")


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[tuple[KeySource, Pool]]:
    async with key_source(settings.keys) as source:
        pool = await open_pool(settings.database.dsn.reveal(), size=3)
        try:
            yield source, pool
        finally:
            await pool.close()
