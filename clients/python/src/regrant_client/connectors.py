"""Connectors: register, see, rename, take off; their history, and why each is in its state."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from regrant_client import bodies
from regrant_client.calls import Calls
from regrant_client.words import State


class Connectors(Calls):
    """Calls about a tenant's connectors."""

    async def list_connectors(
        self,
        *,
        state: State | None = None,
        provider: str | None = None,
        expiring_before: datetime | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[bodies.Connector]:
        """Every connector of the tenant that is so."""
        query = {"state": state, "provider": provider, "expiring_before": expiring_before, "limit": page_size}
        async for page in self._pages(bodies.ConnectorList, "list_connectors", None, query):
            for connector in page.connectors:
                yield connector

    async def register_connector(
        self,
        connector_id: str,
        *,
        provider: str,
        name: str,
        connected: bool = False,
        idempotency_key: str | None = None,
    ) -> bodies.Connector:
        """A new connector; `connected` where the host has a working credential of its own."""
        body = bodies.RegisterConnector(connector_id=connector_id, provider=provider, name=name, connected=connected)
        return await self._call(
            bodies.Connector, self._request("register_connector", body=body), idempotency_key=idempotency_key
        )

    async def get_connector(self, connector_id: str, *, as_of: datetime | None = None) -> bodies.Connector:
        """A connector as it stands, or stood at an instant. Its `version` is what `if_version` takes."""
        return await self._call(
            bodies.Connector, self._request("get_connector", {"connector_id": connector_id}, {"as_of": as_of})
        )

    async def update_connector(
        self, connector_id: str, *, name: str, if_version: int | None = None
    ) -> bodies.Connector:
        """Renames it; with `if_version` only while nothing has changed since. Raises `VersionMismatch`."""
        body = bodies.UpdateConnector(name=name)
        return await self._call(
            bodies.Connector,
            self._request("update_connector", {"connector_id": connector_id}, body=body, if_version=if_version),
        )

    async def delete_connector(self, connector_id: str, *, if_version: int | None = None) -> None:
        """Deletes it for good; its id is never used again."""
        request = self._request("delete_connector", {"connector_id": connector_id}, if_version=if_version)
        await self._sender.send(request, self.tenant)

    async def disconnect_connector(
        self, connector_id: str, *, if_version: int | None = None, idempotency_key: str | None = None
    ) -> bodies.Connector:
        """Takes it off and shreds its credential."""
        request = self._request("disconnect_connector", {"connector_id": connector_id}, if_version=if_version)
        return await self._call(bodies.Connector, request, idempotency_key)

    async def get_contacts(self, connector_id: str) -> list[bodies.Contact]:
        """Whom e-mail asks when it needs its owner."""
        request = self._request("get_contacts", {"connector_id": connector_id})
        return (await self._call(bodies.Contacts, request)).contacts

    async def set_contacts(self, connector_id: str, contacts: Sequence[bodies.NewContact]) -> list[bodies.Contact]:
        """Makes these, five at most, the ones whom e-mail asks, and nobody else."""
        body = bodies.SetContacts(contacts=list(contacts))
        request = self._request("set_contacts", {"connector_id": connector_id}, body=body)
        return (await self._call(bodies.Contacts, request)).contacts

    async def verify_connector(self, connector_id: str, *, idempotency_key: str | None = None) -> bodies.Connector:
        """Asks the provider once more about the saved credential; where it is right, a sync is asked for."""
        request = self._request("verify_connector", {"connector_id": connector_id})
        return await self._call(bodies.Connector, request, idempotency_key)

    async def get_history(
        self, connector_id: str, *, as_of: datetime | None = None, page_size: int | None = None
    ) -> AsyncIterator[bodies.HistoryEntry]:
        """Everything that happened to it, newest first."""
        path, query = {"connector_id": connector_id}, {"as_of": as_of, "limit": page_size}
        async for page in self._pages(bodies.History, "get_history", path, query):
            for entry in page.entries:
                yield entry

    async def get_why(self, connector_id: str) -> bodies.Why:
        """Why it is in its state: one paragraph, and the events that prove it."""
        return await self._call(bodies.Why, self._request("get_why", {"connector_id": connector_id}))

    async def get_bundle(self, connector_id: str) -> bodies.SupportBundle:
        """Everything that helps to help, and no secret."""
        return await self._call(bodies.SupportBundle, self._request("get_bundle", {"connector_id": connector_id}))

    async def get_bundle_text(self, connector_id: str) -> str:
        """The same, as Markdown for people."""
        request = self._request("get_bundle", {"connector_id": connector_id}, accept="text/markdown")
        return (await self._sender.send(request, self.tenant)).body.decode()
