"""`regrant simulator`: the simulator alone, until it is told to end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from schemas.ids import ProviderId
from service.demo.simulator.play import Play
from service.demo.simulator.server import Simulator
from service.demo.simulator.world import Client
from service.oauth.description import BadDescription, read_descriptions

DEFAULT_PORTS = (8701, 8702, 8703)  # accounts, oauth, api


def play_of(provider: str, files: Iterable[Path]) -> Play:
    """The play of a provider of the catalogue, or of these files. Raises `BadDescription`."""
    known = read_descriptions(files)
    if ProviderId(provider) not in known:
        raise BadDescription(f"there is no provider {provider}: there are {', '.join(sorted(known))}")
    return Play(known[ProviderId(provider)])


async def run(
    host: str = "127.0.0.1",
    port_accounts: int = DEFAULT_PORTS[0],
    port_oauth: int = DEFAULT_PORTS[1],
    port_api: int = DEFAULT_PORTS[2],
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    redirect_uris: tuple[str, ...] = (),
    play: Play | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Play the provider until SIGINT or SIGTERM. `announce` takes one line per address once all answer.

    OSError if a port is taken.
    """
    client = Client(redirect_uris=set(redirect_uris))
    if client_id is not None:
        client.client_id = client_id
    if client_secret is not None:
        client.client_secret = client_secret
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        async with await Simulator.start(
            host, (port_accounts, port_oauth, port_api), client=client, play=play
        ) as simulator:
            at = simulator.addresses
            announce(f"accounts  {at.accounts}")
            announce(f"oauth     {at.oauth}")
            announce(f"api       {at.api}")
            announce(f"control   {at.accounts}/_sim/")
            if play is not None:
                announce(f"hosts     {json.dumps(play.hosts(at))}")
            await ended.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
