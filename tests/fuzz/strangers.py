"""R14: what strangers send to the window and the callback, as raw bytes, since no client would send it."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import grammars
from tests.fuzz.two_tenants import VICTIM, Tenants
from tests.window import QUICKBOOKS

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Strangers:
    """People, scanners and attackers without any token of ours."""

    def __init__(self, tenants: Tenants, number: int) -> None:
        self._tenants, self._number = tenants, number
        self._port = int(tenants.service.origin.rsplit(":", 1)[1])
        self.statuses: Counter[int] = Counter()

    async def everything(self, examples: int) -> None:
        """So many callbacks, and as many requests for pages and with bearer tokens; raises what is wrong."""
        before = self._tenants.service.exchanges
        await self._send(grammars.callback_queries().map(_callback), examples, range(400, 500))
        await self._send(grammars.window_requests().map(_page), examples, range(200, 500))
        await self._send(grammars.bearers(VICTIM).map(_bearer), examples, (400, 401))
        asked = self._tenants.service.exchanges - before
        assert asked == 0, f"{asked} token requests without a valid state"
        codes = "select count(*) from attempt where code_sealed is not null"
        assert await self._tenants.service.loop.pool.fetchval(codes) == 0

    async def _send(self, requests: "st.SearchStrategy[bytes]", examples: int, allowed: Any) -> None:
        async def check(request: bytes) -> None:
            answer = await self._answer(request)
            status = _STATUS.match(answer)
            assert status is not None and int(status[1]) in allowed, (request[:500], answer[:300])
            assert not any(secret in answer for secret in self._tenants.secrets), (request[:500], answer)
            self.statuses[int(status[1])] += 1

        await each(requests, check, examples, self._number)

    async def _answer(self, request: bytes) -> bytes:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(request)
                return await reader.read()
            finally:
                writer.close()


async def each(
    made: "st.SearchStrategy[Any]", check: Callable[[Any], Awaitable[None]], examples: int, number: int
) -> None:
    """Has Hypothesis, in a thread of its own, make values that are checked on this loop."""
    here = asyncio.get_running_loop()

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(made)
    def one(value: Any) -> None:
        asyncio.run_coroutine_threadsafe(check(value), here).result(60)

    await asyncio.to_thread(one)


def _callback(query: bytes) -> bytes:
    return _request(b"GET", b"/oauth/callback/" + QUICKBOOKS.encode() + b"?" + query)


def _page(asked: "tuple[bytes, bytes]") -> bytes:
    return _request(*asked)


def _bearer(token: bytes) -> bytes:
    return _request(b"GET", b"/v1/connectors", b"Authorization: Bearer " + token + b"\r\n")


def _request(method: bytes, path: bytes, headers: bytes = b"") -> bytes:
    head = b"\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n"
    return method + b" " + path + b" HTTP/1.1" + head + headers + b"\r\n"
