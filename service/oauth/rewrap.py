"""Re-wrapping: brings every data key under the key that wraps now, in the background, in small batches.

Nothing is opened for it but data keys, and no sealed value is touched, so that whoever reads or refreshes meanwhile
notices nothing. Each batch is a statement of its own: a process that dies leaves the rest to the next one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from service.store import data_keys
from service.store.credentials import DataKey
from service.store.data_keys import Rewrapped
from service.store.pool import TRANSIENT, Pool
from service.vault.envelope import WrappedKey
from service.vault.keys import KeyNumber, NoKey, SealBroken
from service.vault.vault import Vault

log = structlog.get_logger()

BATCH = 100
AT_ONCE = 16
"""How many are under way at a key source that is a service."""
LOOK_EVERY_S = 10.0
TELL_EVERY = 5000

_PASSES: tuple[type[BaseException], ...] = (*TRANSIENT, NoKey)


@dataclass(slots=True)
class Pass:
    """How far one pass over all data keys came."""

    to: KeyNumber
    done: int = 0
    after: int = 0
    """The id of the last data key that was looked at."""
    broken: list[int] = field(default_factory=list)
    """The ids of those that don't open: they stay as they are."""


class Rewrapper:
    """Brings data keys under the current key."""

    def __init__(self, pool: Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def run(self) -> None:
        """Looks every few seconds whether there is something to do, until cancelled."""
        known: list[int] = []
        while True:
            try:
                if await self.is_needed():
                    made = await self.once(_tell)
                    if made is not None and made.broken != known:
                        known = made.broken
                        log.error("data_keys_broken", ids=known[:100], count=len(known))
            except _PASSES as error:
                log.warning("rewrap_waits", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def is_needed(self) -> bool:
        """Whether a data key is under another key than the current one."""
        current = await self._vault.current()
        async with self._pool.acquire() as connection:
            return await data_keys.any_left(connection, current)

    async def once(self, tell: Callable[[Pass], None]) -> Pass | None:
        """One pass over all data keys; `None` while somebody else makes one. Raises `NoKey`.

        It works half of the time, so that callers are served in between.
        """
        async with data_keys.only_one(self._pool) as mine:
            if not mine:
                return None
            made, clock = Pass(await self._vault.current()), asyncio.get_running_loop().time
            while True:
                began = clock()
                if not await self._batch(made):
                    break
                if made.done % TELL_EVERY < BATCH:
                    tell(made)
                await asyncio.sleep(clock() - began)
            tell(made)
            return made

    async def _batch(self, made: Pass) -> bool:
        """Wraps the next few anew; false when there are none left."""
        async with self._pool.acquire() as connection:
            keys = await data_keys.next_left(connection, made.after, made.to, BATCH)
        if not keys:
            return False
        limit = asyncio.Semaphore(AT_ONCE)
        results = await asyncio.gather(*(self._rewrapped(key, limit, made) for key in keys))
        if rewrapped := [result for result in results if result is not None]:
            async with self._pool.acquire() as connection:
                made.done += await data_keys.rewrap(connection, rewrapped)
        made.after = keys[-1].id
        return True

    async def _rewrapped(self, key: DataKey, limit: asyncio.Semaphore, made: Pass) -> Rewrapped | None:
        async with limit:
            await asyncio.sleep(0)  # a source in this process never waits: others must come to their turn
            try:
                return Rewrapped(key.id, key.wrapped, bytes(await self._vault.rewrap(WrappedKey(key.wrapped))))
            except SealBroken:
                made.broken.append(key.id)
                return None


def _tell(made: Pass) -> None:
    log.info("rewrapping", to=made.to, done=made.done, broken=len(made.broken))
