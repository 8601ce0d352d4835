"""The client: one tenant's view of one deployment, with every operation of the API."""

from datetime import timedelta
from types import TracebackType
from typing import Self

import aiohttp

from regrant_client.attempts import Attempts
from regrant_client.connectors import Connectors
from regrant_client.fleet import Deliveries, Fleet
from regrant_client.following import Following
from regrant_client.sending import Sender
from regrant_client.signing import Signer
from regrant_client.tokens import Tokens

WHOLE_FLEET = "*"
"""In place of a tenant: speaks for all of them."""


class Regrant(Connectors, Attempts, Tokens, Fleet, Deliveries, Following):
    """regrant's API. Usable inside `async with`, or closed by `close`."""

    def __init__(
        self,
        url: str,
        signer: Signer,
        tenant: str,
        *,
        session: aiohttp.ClientSession | None = None,
        patience: timedelta = timedelta(seconds=15),
        language: str | None = None,
    ) -> None:
        """`url` is the deployment's address; `patience`, how long a call is tried again; `language`, of the words."""
        super().__init__(Sender(url, signer, session, patience, language), tenant)

    def for_tenant(self, tenant: str) -> "Regrant":
        """The same deployment, for another tenant, over the same connections."""
        other = Regrant.__new__(Regrant)
        Connectors.__init__(other, self._sender, tenant)
        return other

    async def close(self) -> None:
        """Closes its connections, and those of every `for_tenant` of it."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
