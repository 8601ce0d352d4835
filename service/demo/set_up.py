"""The demo's first minute: Drivewell's connectors are registered and connected by the real way, then one fails."""

import asyncio
from collections.abc import Callable

from schemas.lifecycle import State
from service.demo.host.app import PERSON, TENANT
from service.demo.platform import Platform
from service.demo.simulator.seed import DRIVEWELL_INC, OLIVIA, PASSWORD

PATIENCE_S = 30
LOOK_EVERY_S = 0.05

CONNECTORS = {
    "qbo-drivewell-inc": ("Books of Drivewell Inc", "Drivewell Inc"),
    "qbo-drivewell-leasing": ("Books of Drivewell Leasing", "Drivewell Leasing LLC"),
    "qbo-drivewell-canada": ("Books of Drivewell Canada", "Drivewell Canada ULC"),
}
FAILING = "qbo-drivewell-inc"


async def connect_drivewell(platform: Platform, say: Callable[[str], None]) -> None:
    """Connects all three, and makes one fail as it really happens: its tokens expire, its next sync is refused."""
    async with asyncio.TaskGroup() as tasks:
        for connector, (name, company) in CONNECTORS.items():
            tasks.create_task(_connect(platform, connector, name, company))
    say("one sign-in expires")
    known = platform.simulator.world.grants
    known.expire_access_tokens(DRIVEWELL_INC)
    known.expire_refresh_tokens(DRIVEWELL_INC)
    await platform.sync_engine.sync_now(FAILING, TENANT)
    await _reaches(platform, FAILING, State.FAILED)


async def _connect(platform: Platform, connector: str, name: str, company: str) -> None:
    regrant = platform.regrant
    await regrant.post("/v1/connectors", {"connector_id": connector, "provider": "quickbooks-online", "name": name})
    attempt = await regrant.post(f"/v1/connectors/{connector}/attempts", {"person": PERSON})
    async with platform.person(OLIVIA, PASSWORD) as olivia:
        await olivia.look(platform.host.url)  # signs her in at Drivewell, which has to confirm the new account
        await olivia.reconnect(attempt["handoff"]["url"], company=company)
    await _reaches(platform, connector, State.HEALTHY)


async def _reaches(platform: Platform, connector: str, state: State) -> None:
    """Waits until a connector is in a state. Raises `TimeoutError`."""
    async with asyncio.timeout(PATIENCE_S):
        while (await platform.regrant.get(f"/v1/connectors/{connector}"))["state"] != state:
            await asyncio.sleep(LOOK_EVERY_S)
