"""Calls to providers: capped in size and time, no redirects, and it is known whether a request was sent.

Whether a code went out decides whether it may go out again. So token requests use a connection of their own: on a
reused one a lost request can't be told from a lost answer.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Literal, Self

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from yarl import URL

from service.oauth.addresses import Forbidden, is_public, must_be_public, session_to
from service.oauth.description import ProviderConfig
from service.telemetry import metrics, traces

log = structlog.get_logger()

TOTAL_S = 10.0
"""How long a call may take in all, a dripping body included."""
TOKEN_CAP = 64 * 1024
API_CAP = 1024 * 1024
BROKEN = 502
"""The status that stands for an answer that can't be believed: too large, packed, or of a status that there isn't."""

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}")


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


class Outbound:
    """The one way out to providers."""

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
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        for fresh in (True, False):
            for public in (True, False):
                self._sessions[fresh, public] = session_to(resolver, self._judge, self._tls, public=public, fresh=fresh)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
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
        """One request, never repeated by itself. An address that may not be called is one that doesn't answer."""
        began = time.perf_counter()
        answer: Answer | NoAnswer = NoAnswer(sent=True)  # as it is when we are told to stop
        about = {"http.request.method": method, "regrant.provider": config.description.id, "regrant.endpoint": at}
        try:
            # Neither the address, which may hold an account's id or a token, nor anything that the provider gets.
            with traces.span(method, "CLIENT", attributes=about) as span:
                answer = await self._call(config, at, method, url, headers, form, json)
                if isinstance(answer, Answer):
                    span.tell({"http.response.status_code": answer.status, "regrant.request_id": answer.request_id})
            return answer
        finally:
            status = f"{answer.status // 100}xx" if isinstance(answer, Answer) else "none"
            took = time.perf_counter() - began
            metrics.PROVIDER_SECONDS.labels(config.description.id, at, status).observe(took)

    async def _call(
        self,
        config: ProviderConfig,
        at: Literal["token", "api"],
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        json: object | None,
    ) -> Answer | NoAnswer:
        cap = TOKEN_CAP if at == "token" else API_CAP
        given = {**headers, "Accept-Encoding": "identity"}
        try:
            address = _parsed(url)
            session = self._sessions[at == "token", self._checked(config, address)]
            async with (
                asyncio.timeout(TOTAL_S),
                session.request(
                    method, address, headers=given, data=form, json=json, allow_redirects=False
                ) as response,
            ):
                return _answer(config, response, await _read(response, cap), cap)
        except Forbidden as error:
            log.error("address_forbidden", provider=config.description.id, why=str(error))
            return NoAnswer(sent=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            if isinstance(cause := getattr(error, "os_error", None), Forbidden):
                log.error("address_forbidden", provider=config.description.id, why=str(cause))
            return NoAnswer(sent=False)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError):
            return NoAnswer(sent=True)

    def _checked(self, config: ProviderConfig, url: URL) -> bool:
        """Whether the address must be public. One that is spelt in numbers never comes to the resolver."""
        public = must_be_public(config, url)
        try:
            ip_address(url.host or "")
        except ValueError:
            return public
        if public and not self._judge(url.host or ""):
            raise Forbidden(f"{url.host} isn't public")
        return public


def _parsed(url: str) -> URL:
    """Parsed once: what is judged is what is called."""
    try:
        return URL(url)
    except ValueError as error:
        raise Forbidden(f"no address: {type(error).__name__}") from None


async def _read(response: aiohttp.ClientResponse, cap: int) -> bytes:
    """The body, or a little more than the cap of it."""
    body = bytearray()
    while len(body) <= cap and (more := await response.content.read(cap + 1 - len(body))):
        body += more
    return bytes(body)


def _answer(config: ProviderConfig, response: aiohttp.ClientResponse, body: bytes, cap: int) -> Answer:
    """What came, as far as it may be believed. Packed bodies weren't asked for: a bomb isn't unpacked to be seen."""
    status = response.status
    packed = response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")
    if len(body) > cap or packed or not 200 <= status <= 599:
        status, body = BROKEN, b""
    id_header = config.description.support.request_id_header
    request_id = response.headers.get(id_header) if id_header else None
    if request_id is not None and not _REQUEST_ID.fullmatch(request_id):
        request_id = None
    return Answer(status, response.headers, body, request_id)
