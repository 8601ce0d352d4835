"""What the three hosts share while the simulator runs."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from service.demo.simulator.addresses import Addresses
from service.demo.simulator.clock import AdjustableClock
from service.demo.simulator.faults import Faults
from service.demo.simulator.id_token import IdTokenSigner
from service.demo.simulator.journal import Entry, Journal
from service.demo.simulator.play import Play
from service.demo.simulator.visits import Visits
from service.demo.simulator.world import World


@dataclass(slots=True)
class State:
    world: World
    clock: AdjustableClock
    faults: Faults
    journal: Journal
    signer: IdTokenSigner
    visits: Visits
    addresses: Addresses
    play: Play | None = None
    """The provider that is played from its description; none: Intuit, by heart."""


STATE = web.AppKey("state", State)
ENTRY = web.RequestKey("entry", Entry)
