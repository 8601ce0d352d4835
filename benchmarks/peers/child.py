"""How a peer's process is told what to do: one JSON argument; it ends on SIGTERM."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import orjson
import uvloop


@dataclass(frozen=True, slots=True)
class Given:
    """Where a peer works, and with which concurrency."""

    dsn: str
    bootstrap: str
    inputs_topic: str
    transitions_topic: str
    states_topic: str
    group: str
    concurrency: int
    style: str = ""

    def written(self) -> str:
        return orjson.dumps(asdict(self)).decode()


def given() -> Given:
    """The argument of this process."""
    return Given(**orjson.loads(sys.argv[1]))


def run(main: Callable[[Given, asyncio.Event], Awaitable[None]]) -> None:
    """Runs a peer on uvloop until SIGTERM sets its event."""

    async def until_told() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await main(given(), stop)

    uvloop.run(until_told())


async def until(stop: asyncio.Event, *works: Awaitable[None]) -> None:
    """Runs the works until `stop` is set or one of them fails, which it raises."""
    tasks = [asyncio.ensure_future(work) for work in works]
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in tasks if task.done()]
    for task in [*tasks, stopping]:
        task.cancel()
    await asyncio.gather(*tasks, stopping, return_exceptions=True)
    for task in failed:
        task.result()
