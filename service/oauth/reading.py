"""Reading credentials for many askers: whoever asks while a statement runs is read by the next one.

A read costs a round trip and a commit, since its audit row is stored with it before the token is handed out. Batches
form by themselves, as the engine's do: an asker alone waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from service.store import tokens
from service.store.pool import Pool
from service.store.tokens import Asked, Read

AT_ONCE = 2
"""Statements that may run at the same time: one commits while the next one is read."""
CAP = 500


class Reader:
    """Reads what is asked for. `ended` are the reasons after which no token is served."""

    def __init__(self, pool: Pool, ended: Sequence[str]) -> None:
        self._pool = pool
        self._ended = ended
        self._waiting: deque[tuple[Asked, asyncio.Future[Read | None]]] = deque()
        self._working: set[asyncio.Task[None]] = set()

    async def read(self, asked: Asked) -> Read | None:
        """The credential, and whether its token is served to this asker; `None` when the connector has none."""
        answer: asyncio.Future[Read | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if len(self._working) < AT_ONCE:
            task = asyncio.create_task(self._work(), name="token-reads")
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(CAP, len(self._waiting)))]
            try:
                async with self._pool.acquire() as connection:
                    answers = await tokens.read(connection, [asked for asked, _ in batch], self._ended)
            except Exception as error:  # whatever it is, it is each asker's answer
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
                continue
            for (_, waiting), answer in zip(batch, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
