"""Victims: processes of the service, forked from one warm template, that die at a point when they are told to."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.demo.embedded.child import Supervisor, tail
from tests.faults.points import Point
from tests.faults.tracer import When

Order = dict[str, Any]  # Any: what JSON can hold


def die_at(point: Point, when: When = "before") -> Order:
    return {"die_at": point.name, "when": when}


RECORD: Order = {"record": True}


@dataclass(slots=True)
class Victim:
    """One process of the service. `ended` is its exit code once it is gone: -9 after SIGKILL."""

    number: int
    pid: int = 0
    reached: str | None = None
    seen: set[str] = field(default_factory=set)
    ended: "asyncio.Future[int]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    born: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _writer: asyncio.StreamWriter | None = None
    _answers: "asyncio.Queue[Order]" = field(default_factory=asyncio.Queue)

    @property
    def is_alive(self) -> bool:
        return not self.ended.done()

    async def told(self, order: Order) -> None:
        """Gives an order, and waits until it is obeyed. One that is dead obeys nobody."""
        assert self._writer is not None
        try:
            self._writer.write(json.dumps(order).encode() + b"\n")
            await self._writer.drain()
        except OSError:
            return
        obeyed = asyncio.ensure_future(self._answers.get())
        await asyncio.wait([obeyed, self.ended], return_when=asyncio.FIRST_COMPLETED)
        obeyed.cancel()

    async def report(self) -> set[str]:
        """The points that were passed since RECORD; of one that ended by itself, up to its end."""
        if self.is_alive:
            await self.told({"report": True})
        return self.seen

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            os.kill(self.pid, number)


class Template:
    """The warm process, and whom it has borne."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._orders: asyncio.StreamWriter | None = None
        self._there = asyncio.Event()
        self._numbers = 0
        self._victims: dict[int, Victim] = {}
        self._early: dict[int, int] = {}
        self._hearing: set[asyncio.Task[None]] = set()

    async def bear(self, environment: Mapping[str, str], *, first: Order | None = None) -> Victim:
        """A new process of the service with these settings; `first` is obeyed before it does anything."""
        await self._there.wait()
        assert self._orders is not None
        self._numbers += 1
        victim = self._victims[self._numbers] = Victim(self._numbers)
        order = {
            "number": victim.number,
            "environment": dict(environment),
            "log": str(self.folder / f"victims-{environment['REGRANT_HTTP__PORT']}.log"),
            "first": first,
        }
        self._orders.write(json.dumps(order).encode() + b"\n")
        await victim.born
        return victim

    async def _heard(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hearing = asyncio.current_task()
        assert hearing is not None
        self._hearing.add(hearing)
        hearing.add_done_callback(self._hearing.discard)
        try:
            who = json.loads(await reader.readline())
            if who["is"] == "template":
                self._orders = writer
                self._there.set()
                async for line in reader:
                    self._ended(**json.loads(line))
            else:
                await _listen(self._victims[who["number"]], who["pid"], reader, writer)
                self._ended(who["pid"], self._early.pop(who["pid"], None))
        except (OSError, asyncio.IncompleteReadError):
            pass  # its end is told by the template
        finally:
            writer.close()

    def _ended(self, ended: int, code: int | None) -> None:
        victim = next((v for v in self._victims.values() if v.pid == ended and v.is_alive), None)
        if victim is None:
            if code is not None:
                self._early[ended] = code
        elif code is not None:
            victim.ended.set_result(code)
            del self._victims[victim.number]


async def _listen(victim: Victim, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    victim.pid, victim._writer = pid, writer
    victim.born.set_result(None)
    async for line in reader:
        said = json.loads(line)
        victim.reached = said.get("reached", victim.reached)
        victim.seen = set(said.get("seen", victim.seen))
        if "obeyed" in said:
            victim._answers.put_nowait(said)


@asynccontextmanager
async def template(supervisor: Supervisor) -> AsyncIterator[Template]:
    """A template that lives as long as the block."""
    made = Template(supervisor.folder)
    address = supervisor.folder / "victims.socket"
    server = await asyncio.start_unix_server(made._heard, address)
    log = supervisor.folder / "template.log"
    child = supervisor.start([sys.executable, "-m", "tests.faults.template", str(address)], log=log)
    try:
        async with asyncio.timeout(30):
            while not made._there.is_set():
                if child.poll() is not None:
                    raise AssertionError(f"the template ended: {tail(log)}")
                await asyncio.sleep(0.02)
        yield made
    finally:
        supervisor.kill(child)
        server.close()
        await asyncio.gather(*made._hearing)  # all of them hear the end of who was killed
