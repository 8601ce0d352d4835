"""The demo's platform (service as its own process, provider, host, sync engine) on the tests' servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from service.demo.embedded.child import Supervisor, free_port
from service.demo.platform import Platform, Ports, Servers, running_platform
from service.demo.steps import Steps, console_for


@asynccontextmanager
async def platform_on(
    database: str,
    bootstrap: str,
    prefix: str,
    rules: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Platform]:
    """A running platform on this database, these brokers, and topics with this prefix."""
    servers: asyncio.Future[Servers] = asyncio.get_running_loop().create_future()
    servers.set_result(Servers(database, bootstrap, prefix))
    with contextlib.closing(Supervisor()) as supervisor:
        ports = Ports(free_port(), free_port(), free_port())
        steps = Steps(console_for(json=True), quiet=True)
        async with running_platform(supervisor, steps, "test", servers, ports, rules, settings) as platform:
            yield platform
