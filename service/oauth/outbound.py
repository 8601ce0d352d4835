"""Calls to providers: capped in size and time, no redirects, and it is known whether a request was sent.

Whether a code went out decides whether it may go out again. So token requests use a connection of their own: on a
reused one a lost request can't be told from a lost answer.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import aiohttp

from service.oauth.description import ProviderConfig

TOTAL_S = 10.0
CONNECT_S = 3.0
TOKEN_CAP = 64 * 1024
API_CAP = 1024 * 1024

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    """May hold tokens: never logged."""
    request_id: str | None

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """None came. `sent` is false only when nothing of the request can have reached the provider."""

    sent: bool


class Forbidden(Exception):
    """The address isn't one that may be called: neither https nor an allowed simulator."""


class Outbound:
    """The one way out to providers."""

    def __init__(self) -> None:
        self._fresh: aiohttp.ClientSession | None = None
        self._kept: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TOTAL_S, connect=CONNECT_S)
        given: dict[str, Any] = {"timeout": timeout, "trust_env": False, "cookie_jar": aiohttp.DummyCookieJar()}
        self._fresh = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=100), **given)
        self._kept = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100), **given)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._fresh, self._kept):
            assert session is not None
            await session.close()

    async def call(
        self,
        config: ProviderConfig,
        at: Literal["token", "api"],
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
        json: object | None = None,
    ) -> Answer | NoAnswer:
        """One request, never repeated by itself. Raises `Forbidden` for an address that may not be called."""
        _check(config, url)
        session = self._fresh if at == "token" else self._kept
        assert session is not None, "used inside `async with`"
        cap = TOKEN_CAP if at == "token" else API_CAP
        try:
            async with session.request(
                method, url, headers=headers, data=form, json=json, allow_redirects=False
            ) as response:
                body = await response.content.read(cap + 1)
                while len(body) <= cap and (more := await response.content.read(cap + 1 - len(body))):
                    body += more
                id_header = config.description.support.request_id_header
                request_id = response.headers.get(id_header) if id_header else None
                status = response.status if len(body) <= cap else 502  # too large to be believed: as if broken
                return Answer(status, dict(response.headers), body[:cap], request_id)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return NoAnswer(sent=False)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
            return NoAnswer(sent=True)


def _check(config: ProviderConfig, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return
    if not (config.allow_loopback_http and parts.hostname in _LOOPBACK):
        raise Forbidden(f"{parts.scheme}://{parts.hostname} is not https")
