"""The demo's panel: buttons that make the simulated provider misbehave, by its control API."""

from dataclasses import dataclass

import aiohttp

from service.demo.client import Json


@dataclass(frozen=True, slots=True)
class Control:
    """One button. `then_sync`: the company's connectors are synced afterwards, so that it shows."""

    label: str
    said: str
    then_sync: bool = False
    of_company: bool = True


CONTROLS: dict[str, Control] = {
    "expire": Control("Expire the sign-in", "The company's tokens are over; the next sync was refused.", True),
    "revoke": Control("Disconnect in QuickBooks", "The owner withdrew the permission; the sync was refused.", True),
    "end-subscription": Control("End the subscription", "The company's subscription has ended.", True),
    "renew-subscription": Control("Renew the subscription", "The subscription runs again.", True),
    "slow": Control("Slow provider", "The provider takes eight seconds for each answer about the company."),
    "down": Control(
        "Provider down for 20 s", "The provider's token host is down for twenty seconds.", of_company=False
    ),
    "lift": Control("Lift all faults", "The provider behaves again.", of_company=False),
}

SLOW_S = 8
DOWN_S = 20
_API = "api"
_OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Controls:
    """The simulator's control API, as the panel uses it."""

    session: aiohttp.ClientSession
    url: str
    """Where the control API is: `…/_sim`."""

    async def companies(self) -> list[Json]:
        """The simulated companies, for the panel's choice."""
        async with self.session.get(f"{self.url}/companies", raise_for_status=True) as response:
            companies: list[Json] = await response.json()
            return companies

    async def use(self, name: str, realm: str) -> str:
        """Presses a button; returns what happened, as a sentence. Raises aiohttp.ClientResponseError."""
        company = f"/companies/{realm}"
        match name:
            case "expire":
                await self._send("POST", f"{company}/expire-access")
                await self._send("POST", f"{company}/expire-refresh")
            case "revoke":
                await self._send("POST", f"{company}/revoke")
            case "end-subscription":
                await self._send("POST", f"{company}/deactivate")
            case "renew-subscription":
                await self._send("POST", f"{company}/reactivate")
            case "slow":
                for host in (_API, _OAUTH):
                    fault = {"kind": "slow", "host": host, "realm": realm, "seconds": SLOW_S}
                    await self._send("POST", "/faults", fault)
            case "down":
                await self._send("POST", f"/hosts/{_OAUTH}/down", {"seconds": DOWN_S})
            case "lift":
                await self._send("DELETE", "/faults")
        return CONTROLS[name].said

    async def _send(self, method: str, path: str, body: Json | None = None) -> None:
        async with self.session.request(method, self.url + path, json=body, raise_for_status=True) as response:
            await response.read()
