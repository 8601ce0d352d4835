"""What goes wrong, and when: drawn from the seed, over before the run has to come to rest."""

import asyncio
import random
from collections.abc import Callable
from typing import TypeAlias

from tests.simulation.broker import SESSION_S, Broker
from tests.simulation.network import Trace, Weather
from tests.simulation.replica import Replica
from tests.simulation.store import MemoryStore

Start: TypeAlias = Callable[[int], None]
"""Starts the replica of that place anew."""


class Faults:
    """The schedule of one run."""

    def __init__(
        self,
        rng: random.Random,
        replicas: list[Replica],
        start: Start,
        store: MemoryStore,
        broker: Broker,
        weather: Weather,
        trace: Trace,
    ) -> None:
        self.rng, self.replicas, self.start = rng, replicas, start
        self.store, self.broker, self.weather, self.trace = store, broker, weather, trace

    async def run(self, seconds: float) -> None:
        """Strikes a few times within the given time; when it returns, everybody is well again."""
        self.weather.error_rate = self.rng.choice((0.0, 0.0, 0.03, 0.1))
        self.weather.slow_rate = self.rng.choice((0.0, 0.02, 0.1))
        kinds = [self._crash, self._leave, self._zombie, self._rebalance, self._database, self._broker, self._cut]
        strikes = [(self.rng.uniform(0, seconds), self.rng.choice(kinds)) for _ in range(self.rng.randint(0, 6))]
        under_way = [asyncio.ensure_future(self._at(when, strike)) for when, strike in strikes]
        await asyncio.sleep(seconds)
        if under_way:
            await asyncio.wait(under_way)
        self.weather.error_rate = 0.0
        self.trace.add("", "no more faults")

    async def _at(self, when: float, strike: Callable[[], object]) -> None:
        await asyncio.sleep(when)
        await strike()  # type: ignore[misc]

    def _place(self) -> int:
        return self.rng.randrange(len(self.replicas))

    async def _crash(self) -> None:
        place = self._place()
        replica = self.replicas[place]
        if replica.process.dead or replica.leaving:
            return
        self.trace.add(replica.process.name, "dies")
        replica.process.dies()
        await asyncio.sleep(self.rng.uniform(0.2, 5))
        self.start(place)

    async def _leave(self) -> None:
        """A process that is told to end, ends, and another takes its place."""
        place = self._place()
        replica = self.replicas[place]
        if replica.process.dead or replica.leaving:
            return
        self.trace.add(replica.process.name, "leaves")
        leaving = asyncio.ensure_future(replica.leaves())
        await asyncio.wait([leaving], timeout=40)
        ended = replica.task.done() and replica.task.exception() is None
        self.trace.add(replica.process.name, "has left" if ended else "is killed")
        if self.replicas[place] is replica:
            replica.process.dies()
            self.start(place)

    async def _zombie(self) -> None:
        """A process that stands still, often for longer than its session lasts, and then goes on where it was."""
        process = self.replicas[self._place()].process
        if process.dead or not process.running.is_set():
            return
        self.trace.add(process.name, "stands still")
        process.running.clear()
        await asyncio.sleep(self.rng.uniform(0.5, SESSION_S * 2))
        self.trace.add(process.name, "goes on")
        process.running.set()

    async def _rebalance(self) -> None:
        self.trace.add("", "rebalance")
        self.broker.rebalance()

    async def _database(self) -> None:
        self.trace.add("", "the database is away")
        self.weather.database_away = True
        self.store.cut_listeners()
        await asyncio.sleep(self.rng.uniform(0.2, 5))
        self.weather.database_away = False

    async def _broker(self) -> None:
        self.trace.add("", "the broker is away")
        self.weather.broker_away = True
        await asyncio.sleep(self.rng.uniform(0.2, 5))
        self.weather.broker_away = False

    async def _cut(self) -> None:
        self.trace.add("", "listeners are cut")
        self.store.cut_listeners()
