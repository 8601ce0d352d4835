"""An endpoint: one POST an event, to an address that may be called, capped in time and size, no redirects.

Nothing of what it answers is kept but its status: its body may hold anything.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from yarl import URL

from schemas.ids import ConnectorId
from service.couriers.endpoint import Done, Refusal
from service.oauth.addresses import Forbidden, is_public, session_to
from service.store.couriers import LogRow
from service.webhooks.events import Event, Wanted
from service.webhooks.signing import BadSecret, headers_of, secret_of

log = structlog.get_logger()

TOTAL_S = 15.0
"""How long an endpoint may take to answer in all."""
ANSWER_CAP = 4096
"""Bytes of an answer that are read, so that its connection can be used again; a longer one loses it."""

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class Poster:
    """The one way out to endpoints."""

    def __init__(
        self,
        *,
        resolver: AbstractResolver | None = None,
        judge: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Tests bring a resolver, what is public and whom to trust; a service has the system's."""
        self._resolver = resolver
        self._judge = judge
        self._tls = tls
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        for private in (True, False):
            self._sessions[private] = session_to(resolver, self._judge, self._tls, public=not private)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    async def post(self, url: URL, headers: dict[str, str], body: bytes, *, private: bool) -> Refusal | None:
        """One request, never repeated by itself. Anything but a 2xx is a refusal."""
        try:
            if not private:
                self._must_be_public(url)
            async with (
                asyncio.timeout(TOTAL_S),
                self._sessions[private].post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                await answer.content.read(ANSWER_CAP)
                return _refusal(answer)
        except TimeoutError:
            return Refusal("no answer in time")
        except (aiohttp.ClientError, Forbidden) as error:
            return Refusal(_what_broke(error))

    def _must_be_public(self, url: URL) -> None:
        """An address that is spelt in numbers never comes to the resolver."""
        try:
            ip_address(url.host or "")
        except ValueError:
            return
        if not self._judge(url.host or ""):
            raise Forbidden


def _refusal(answer: aiohttp.ClientResponse) -> Refusal | None:
    if 200 <= answer.status < 300:
        return None
    if 300 <= answer.status < 400:
        return Refusal(f"status {answer.status}: redirects aren't followed")
    asked = answer.headers.get("Retry-After", "").strip()
    pause = timedelta(seconds=int(asked)) if _SECONDS.fullmatch(asked) else None
    return Refusal(f"status {answer.status}", pause)


def _what_broke(error: Exception) -> str:
    if isinstance(error, Forbidden) or isinstance(getattr(error, "os_error", None), Forbidden):
        return "its address isn't public"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its certificate isn't trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name isn't known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "can't be connected to"
    return "the connection broke"


@dataclass(frozen=True, slots=True)
class SignedEndpoint:
    """An endpoint of the settings, which gets signed requests (Standard Webhooks)."""

    name: str
    url: URL
    secret_files: Sequence[Path]
    wanted: Wanted
    private: bool
    poster: Poster

    def events_of(self, row: LogRow) -> Iterator[Event]:
        return self.wanted.events_of(row)

    async def send(self, event: Event) -> Done | Refusal:
        refusal = await self._send(event)
        if refusal is None:
            return Done.ACCEPTED
        log.warning("webhook_not_accepted", endpoint=self.name, webhook=event.id, why=refusal.what)
        return refusal

    def give_up(self, connector: ConnectorId, version: int) -> None:
        log.error("webhook_given_up", endpoint=self.name, connector=connector, version=version)

    async def _send(self, event: Event) -> Refusal | None:
        try:
            # Read for each: a secret that is replaced counts at once, and there are at most three.
            secrets = [secret_of(path) for path in self.secret_files]
        except BadSecret as error:
            log.error("webhook_secret_unusable", endpoint=self.name, why=str(error))
            return Refusal("its secret can't be read here")
        headers = {"Content-Type": "application/json", "User-Agent": "regrant"}
        if event.traceparent is not None:
            headers["traceparent"] = event.traceparent
        headers |= headers_of(event, datetime.now(UTC), secrets)
        return await self.poster.post(self.url, headers, event.body, private=self.private)
