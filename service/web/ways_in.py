"""The two stable addresses that a provider's app settings ask for, both open to strangers (docs/expiring.md).

`/reconnect/{provider}` sends whoever comes to the host, which knows its users and comes back with a handoff;
`/reconnect/{provider}/{connector}`, the link of a notice, tells it which connector is meant.
`/oauth/disconnected/{provider}` is a hint that a grant may have ended: it changes nothing, and shows all the same page.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from service.oauth.window import Dead
from service.web.routes import Speaking

_CONNECTOR = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class Hints(Protocol):
    """What these pages need of `service.oauth.probe.Prober`."""

    async def hinted(self, provider: str, raw_query: str) -> None: ...


@dataclass(frozen=True)
class WaysIn:
    """The addresses of a deployment that has these providers."""

    speaking: Speaking
    hints: Hints
    providers: Collection[str]
    reconnect_url: str | None
    """The host's page, behind its login, that opens an attempt."""

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/reconnect/{provider}", self.reconnect)
        app.router.add_get("/reconnect/{provider}/{connector}", self.reconnect)
        app.router.add_get("/oauth/disconnected/{provider}", self.disconnected, allow_head=False)

    async def reconnect(self, request: web.Request) -> web.Response:
        """To the host, with the provider's id, which is one of ours, and a connector's where the address has one.

        Whether there is such a connector, and whose it is, is the host's to know: every id is treated alike (S24).
        """
        screens, pages = self.speaking(request)
        provider = next((one for one in self.providers if one == request.match_info["provider"]), None)
        connector = request.match_info.get("connector")
        if provider is None or (connector is not None and not _CONNECTOR.fullmatch(connector)):
            return pages.page(screens.dead(Dead.UNKNOWN), status=404)
        if self.reconnect_url is None:
            return pages.page(screens.way_in("reconnect"))
        separator = "&" if "?" in self.reconnect_url else "?"
        named = f"provider={provider}" + (f"&connector_id={connector}" if connector is not None else "")
        return web.Response(status=303, headers={"Location": f"{self.reconnect_url}{separator}{named}"})

    async def disconnected(self, request: web.Request) -> web.Response:
        await self.hints.hinted(request.match_info["provider"], request.raw_path.partition("?")[2])
        screens, pages = self.speaking(request)
        return pages.page(screens.way_in("disconnected"))
