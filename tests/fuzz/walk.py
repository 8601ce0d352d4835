"""R14 over HTTP: a walk of strangers and of one tenant through a running service that another tenant uses, too."""

import asyncio
import random
import time
from dataclasses import dataclass
from unittest import mock

from service.http import events
from tests.fuzz.operations import Walk
from tests.fuzz.strangers import Strangers
from tests.fuzz.two_tenants import two_tenants
from tests.window import Running

A_STREAM_S = 0.2
"""A stream goes on for so long: what is asked for it is the same, and it would hold the walk up."""


@dataclass
class Walked:
    """What was asked."""

    operations: int
    strangers: int

    @property
    def examples(self) -> int:
        return self.operations + self.strangers


async def walked(service: Running, *, seed: int, rounds: int, of_strangers: int, at_most_s: float = 3600) -> Walked:
    """Goes through everything, at its borders and then in so many rounds; raises what is wrong."""
    tenants = await two_tenants(service)
    strangers = Strangers(tenants, seed)
    walk = Walk(tenants, random.Random(seed))
    with mock.patch.object(events, "STREAM_S", A_STREAM_S):
        await strangers.everything(of_strangers)
        await asyncio.to_thread(walk.everything, rounds, time.monotonic() + at_most_s)
    touched = await tenants.untouched()
    assert not touched, f"the other tenant's rows changed: {touched[:10]}"
    async with service.session.get(f"{service.origin}/readyz?verbose") as ready:
        assert ready.status == 200, await ready.text()
    return Walked(walk.asked, strangers.statuses.total())
