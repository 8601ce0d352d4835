"""What happens, over HTTP: each transition once it is stored, for hosts that have no Kafka consumer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from pydantic import ValidationError

from regrant_client.calls import Calls
from regrant_client.problem import Problem, Unreadable
from regrant_client.records import Transition
from regrant_client.sending import refusal


@dataclass(frozen=True, slots=True)
class Event:
    """A transition, and where the stream stands behind it."""

    position: str = field(repr=False)
    """Opaque. Kept by a host, it is where `follow_events` goes on."""
    transition: Transition


class Following(Calls):
    """Calls that don't end."""

    async def follow_events(self, after: str | None = None) -> AsyncIterator[Event]:
        """Every transition behind the position `after`, without it from now on; for ever.

        A stream that breaks is taken up where it was, so nothing is missed while this runs; what was told just before
        may be told again: drop what isn't newer than the connector's `version`. Raises `Problem` for what waiting
        doesn't mend.
        """
        position, tries = after, 0
        while True:
            try:
                async for at, data in self._stream(position):
                    position, tries = at, 0
                    if data is not None:
                        yield Event(position, _transition(data))
            except Problem as problem:
                if not problem.retryable:
                    raise
                await asyncio.sleep(self._sender.pause_s(tries, problem))
            except (aiohttp.ClientError, TimeoutError) as error:
                await asyncio.sleep(self._sender.pause_s(tries, error))
            tries = min(tries + 1, 10)

    async def _stream(self, position: str | None) -> AsyncIterator[tuple[str, str | None]]:
        request = self._request("follow_events", accept="text/event-stream")
        extra = {"Last-Event-ID": position} if position is not None else {}
        async with self._sender.opened(request, self.tenant, extra) as response:
            if response.status >= 400:
                raise refusal(response, await response.read())
            waiting = b""
            async for chunk in response.content.iter_any():
                *whole, waiting = (waiting + chunk).split(b"\n\n")
                for event in whole:
                    told = _fields(event.decode())
                    if "id" in told:
                        yield told["id"], told.get("data")


def _fields(event: str) -> dict[str, str]:
    """The fields of a server-sent event; regrant's have one line each. A comment has no name."""
    lines = (line.partition(":") for line in event.splitlines())
    return {name: value.removeprefix(" ") for name, _, value in lines if name}


def _transition(data: str) -> Transition:
    try:
        return Transition.model_validate_json(data)
    except ValidationError:
        raise Unreadable("an event of the stream is no Transition") from None
