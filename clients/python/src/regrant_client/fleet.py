"""What many connectors tell together, and the catalogues: for dashboards and for the host's operators."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime

from regrant_client import bodies
from regrant_client.calls import Calls, Given
from regrant_client.words import LetterStatus, Origin, Reason, State, WhoActs


class Fleet(Calls):
    """Calls about all connectors of the tenant; of all tenants where it is `*`."""

    async def list_providers(self) -> list[bodies.ProviderInfo]:
        """The providers of this deployment."""
        return (await self._call(bodies.ProviderList, self._request("list_providers"))).providers

    async def list_reasons(self) -> list[bodies.ReasonInfo]:
        """What each reason means and what to do about it, in the client's language."""
        return (await self._call(bodies.ReasonList, self._request("list_reasons"))).reasons

    async def get_fleet(self, *, as_of: datetime | None = None) -> bodies.Fleet:
        """How all connectors stand, who must act, and what moves."""
        return await self._call(bodies.Fleet, self._request("get_fleet", query={"as_of": as_of}))

    async def list_fleet_connectors(
        self,
        *,
        state: State | None = None,
        provider: str | None = None,
        reason: Reason | None = None,
        origin: Origin | None = None,
        who_acts: WhoActs | None = None,
        q: str | None = None,
        tenant: str | None = None,
        moved_from: Collection[State] = (),
        moved_to: State | None = None,
        as_of: datetime | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[bodies.Connector]:
        """Every connector that is so; `q` is text in its id, name or account. It moved within the day before."""
        query: dict[str, Given] = {"state": state, "provider": provider, "reason": reason, "origin": origin}
        query |= {"who_acts": who_acts, "q": q, "tenant": tenant, "as_of": as_of, "limit": page_size}
        query |= {"moved_from": ",".join(moved_from) or None, "moved_to": moved_to}
        async for page in self._pages(bodies.ConnectorList, "list_fleet_connectors", None, query):
            for connector in page.connectors:
                yield connector

    async def list_expiring(self, *, within: int | None = None) -> bodies.Expiring:
        """Connectors whose sign-in is known to end within so many days, the nearest first."""
        return await self._call(bodies.Expiring, self._request("list_expiring", query={"within": within}))

    async def get_funnel(
        self, *, since: datetime | None = None, until: datetime | None = None, provider: str | None = None
    ) -> bodies.Funnel:
        """How far attempts came, and why they stopped."""
        return await self._call(bodies.Funnel, self._request("get_funnel", query=_span(since, until, provider)))

    async def get_times(
        self, *, since: datetime | None = None, until: datetime | None = None, provider: str | None = None
    ) -> bodies.Times:
        """How long re-authorising took, and who took how much of it."""
        return await self._call(bodies.Times, self._request("get_times", query=_span(since, until, provider)))

    async def get_errors(
        self, *, since: datetime | None = None, until: datetime | None = None, provider: str | None = None
    ) -> bodies.Errors:
        """What providers answered that was no success."""
        return await self._call(bodies.Errors, self._request("get_errors", query=_span(since, until, provider)))

    async def open_console(
        self, *, person_id: str, person_name: str, idempotency_key: str | None = None
    ) -> bodies.ConsoleLink:
        """A one-time link to the console, for one of the host's own people."""
        body = bodies.OpenConsole(person=bodies.Person(id=person_id, name=person_name))
        return await self._call(bodies.ConsoleLink, self._request("open_console", body=body), idempotency_key)


class Deliveries(Calls):
    """Calls about what couldn't be handled or brought; only where the tenant is `*`."""

    async def list_webhooks(self) -> bodies.Webhooks:
        """The endpoints that events are sent to, how each fares, and what they never accepted."""
        return await self._call(bodies.Webhooks, self._request("list_webhooks"))

    async def send_given_up(
        self, endpoint: str, given_up_id: str, *, idempotency_key: str | None = None
    ) -> bodies.GivenUp:
        """Sends an event once more that the endpoint never accepted."""
        request = self._request("send_given_up", {"endpoint": endpoint, "given_up_id": given_up_id})
        return await self._call(bodies.GivenUp, request, idempotency_key)

    async def list_letters(
        self, *, status: LetterStatus | None = None, topic: str | None = None, page_size: int | None = None
    ) -> AsyncIterator[bodies.Letter]:
        """Every dead letter that is so, newest first."""
        query = {"status": status, "topic": topic, "limit": page_size}
        async for page in self._pages(bodies.Letters, "list_letters", None, query):
            for letter in page.letters:
                yield letter

    async def get_letter(self, letter_id: str) -> bodies.LetterExplained:
        """What is wrong with it, in words, and what to do about it."""
        return await self._call(bodies.LetterExplained, self._request("get_letter", {"letter_id": letter_id}))

    async def replay_letter(self, letter_id: str, *, idempotency_key: str | None = None) -> bodies.LetterExplained:
        """Writes its record to its topic again."""
        request = self._request("replay_letter", {"letter_id": letter_id})
        return await self._call(bodies.LetterExplained, request, idempotency_key)

    async def drop_letter(self, letter_id: str, *, idempotency_key: str | None = None) -> bodies.LetterExplained:
        """Decides that it isn't needed; it is kept."""
        request = self._request("drop_letter", {"letter_id": letter_id})
        return await self._call(bodies.LetterExplained, request, idempotency_key)


def _span(since: datetime | None, until: datetime | None, provider: str | None) -> dict[str, Given]:
    return {"since": since, "until": until, "provider": provider}
