"""One call of the API, however often it has to be sent: it is done once, and what went wrong has a type."""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
from pydantic import BaseModel
from yarl import URL

from regrant_client.operations import Operation
from regrant_client.problem import Problem, Unreachable
from regrant_client.refusals import REFUSALS
from regrant_client.signing import Signer

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
ANSWER_LIMIT_S = 30.0
CONNECT_LIMIT_S = 5.0
SILENCE_LIMIT_S = 60.0
"""A stream that says nothing for that long, not even that it is still there, is taken for lost."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    next_cursor: str | None = None
    """Where the next page begins."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, each time anew: all but the token and the idempotency key."""

    operation: Operation
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: BaseModel | None = field(default=None, repr=False)
    if_version: int | None = None
    accept: str = "application/json"


class Sender:
    """Sends for one host to one deployment. Its session is made with the first call, unless one is given."""

    def __init__(
        self, url: str, signer: Signer, session: aiohttp.ClientSession | None, patience: timedelta, language: str | None
    ) -> None:
        self.url = url.rstrip("/")
        self._signer, self._session, self._is_ours = signer, session, session is None
        self._patience_s, self._language = patience.total_seconds(), language

    def __repr__(self) -> str:
        return f"Sender({self.url!r})"

    async def close(self) -> None:
        """Closes the session, unless it was given."""
        if self._is_ours and self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Request, tenant: str, idempotency_key: str | None = None) -> Answer:
        """The answer. What may be repeated is sent again until it succeeds or patience ends.

        A POST keeps its Idempotency-Key, so it is done once. A PATCH of which it isn't known whether it arrived isn't
        sent again. Raises `Problem` or `Unreachable`.
        """
        extra = {}
        if request.operation.method == "POST":
            extra["Idempotency-Key"] = idempotency_key or uuid4().hex
        started = time.monotonic()
        for tries in count():
            trouble: Problem | Unreachable
            try:
                return await self._once(request, tenant, extra)
            except Problem as problem:
                trouble, may_repeat = problem, problem.retryable
            except (aiohttp.ClientError, TimeoutError) as error:
                never_arrived = isinstance(error, aiohttp.ClientConnectorError)
                trouble = Unreachable(f"{request.operation.method} {self._path(request)}: {type(error).__name__}")
                may_repeat = never_arrived or request.operation.method != "PATCH"
            pause = self.pause_s(tries, trouble)
            if not may_repeat or time.monotonic() - started + pause > self._patience_s:
                raise trouble
            await asyncio.sleep(pause)
        raise AssertionError("the loop has no end")

    @staticmethod
    def pause_s(tries: int, trouble: Exception) -> float:
        """How long to wait before the next try: what regrant said, else longer each time, and never in step."""
        if isinstance(trouble, Problem) and trouble.retry_after is not None:
            return trouble.retry_after.total_seconds()
        return float(min(FIRST_PAUSE_S * 2**tries, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0))

    async def _once(self, request: Request, tenant: str, extra: Mapping[str, str]) -> Answer:
        limit = aiohttp.ClientTimeout(total=ANSWER_LIMIT_S, sock_connect=CONNECT_LIMIT_S)
        async with self.opened(request, tenant, extra, limit) as response:
            body = await response.read()
            if response.status >= 400:
                raise refusal(response, body)
            following = response.links.get("next", {}).get("url")
            cursor = URL(str(following)).query.get("cursor") if following is not None else None
            return Answer(response.status, body, response.headers, cursor)

    def opened(
        self, request: Request, tenant: str, extra: Mapping[str, str], limit: aiohttp.ClientTimeout | None = None
    ) -> Any:  # Any: aiohttp's own context manager
        """The open answer, for streams; without a limit it may go on for as long as something comes."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Accept": request.accept, **extra}
        headers["Authorization"] = f"Bearer {self._signer.token(tenant, request.operation.scope)}"
        if self._language is not None:
            headers["Accept-Language"] = self._language
        if request.if_version is not None:
            headers["If-Match"] = f'"{request.if_version}"'
        data = None
        if request.body is not None:
            data = request.body.model_dump_json(by_alias=True, exclude_none=True)
            headers["Content-Type"] = "application/json"
        return self._session.request(
            request.operation.method,
            URL(self.url + self._path(request), encoded=True).with_query(request.query),
            data=data,
            headers=headers,
            allow_redirects=False,
            timeout=limit or aiohttp.ClientTimeout(sock_connect=CONNECT_LIMIT_S, sock_read=SILENCE_LIMIT_S),
        )

    @staticmethod
    def _path(request: Request) -> str:
        # In a path `.` and `..` mean something else, also when they are escaped.
        for value in request.path.values():
            if value in ("", ".", ".."):
                raise ValueError(f"{value!r} is no id")
        return request.operation.path.format_map({name: quote(value, safe="") for name, value in request.path.items()})


def refusal(response: aiohttp.ClientResponse, body: bytes) -> Problem:
    """The problem that an answer tells of; one that doesn't come from regrant (a proxy's, say) has no words."""
    wait = response.headers.get("Retry-After", "")
    retry_after = timedelta(seconds=int(wait)) if wait.isdecimal() else None
    told: dict[str, Any] = {}
    if response.content_type == "application/problem+json":
        told = _object(body)
    told = {"status": response.status, "retryable": response.status in (429, 502, 503, 504), **told}
    return REFUSALS.get(str(told.get("code")), Problem)(told, retry_after=retry_after)


def _object(body: bytes) -> dict[str, Any]:  # Any: JSON
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
