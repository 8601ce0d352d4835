"""A small sync engine: obeys sync requests, reads invoices with the token that regrant gives it, reports the outcome.

It knows nothing of sign-ins. The token's answer tells the credential's generation, which goes back in every event.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer

from schemas import channels
from schemas.channels import Message
from schemas.reasons import Reason
from schemas.records import SyncRequest
from service.demo.client import Regrant
from service.demo.events import HostEvents

PAGE = 100
API_LIMIT_S = 15
MOST_BODY = 65_536


@dataclass(frozen=True, slots=True)
class Run:
    """How a run of a connector's sync ended."""

    connector: str
    started_at: datetime
    generation: int | None
    invoices: int | None
    """`None` when it failed."""


class ProviderRefused(Exception):
    """The provider's answer was an error; `error` is a `schemas.records.ProviderError` as JSON values."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['at']} {error.get('status')}")
        self.error = error


@dataclass(slots=True)
class SyncEngine:
    """Syncs connectors of all tenants that it has an API client for."""

    bootstrap: str
    topic_prefix: str
    api_url: str
    """The provider's API host."""
    session: aiohttp.ClientSession
    events: HostEvents
    tenants: dict[str, Regrant]
    runs: dict[str, list[Run]] = field(default_factory=dict)
    """What ran, by connector, oldest first."""
    held: set[str] = field(default_factory=set)
    """Connectors whose requests wait: as if the engine were busy."""
    _released: asyncio.Condition = field(default_factory=asyncio.Condition)
    following: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it follows the requests."""

    async def serve(self) -> None:
        """Obeys sync requests until cancelled; those of different connectors side by side."""
        consumer = AIOKafkaConsumer(
            self.topic_prefix + channels.SYNC_REQUESTS.topic,
            bootstrap_servers=self.bootstrap,
            group_id=f"{self.topic_prefix}drivewell-sync-engine",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )
        await consumer.start()
        self.following.set()
        try:
            async with asyncio.TaskGroup() as running:
                async for record in consumer:
                    request = SyncRequest.model_validate_json(record.value)
                    running.create_task(self._obey(request))
        finally:
            await consumer.stop()

    async def sync_now(self, connector: str, tenant: str, since: datetime | None = None) -> Run:
        """One run, as the schedule would start it."""
        started_at = datetime.now(UTC)
        regrant = self.tenants[tenant]
        answer = await regrant.call("POST", f"/v1/connectors/{connector}/token", {"min_ttl_s": 60})
        if not answer.is_good:
            if answer.status >= 500:  # regrant or the provider is busy: a fault that passes by itself
                await self._say(channels.SYNC_FAILED, connector, started_at, reason=Reason.PROVIDER_UNAVAILABLE)
            return self._ended(Run(connector, started_at, None, None))
        token = answer.body
        generation: int = token["generation"]
        await self._say(channels.SYNC_STARTED, connector, started_at, generation=generation)
        try:
            count = await self._read_invoices(token["account"]["id"], token["access_token"], since)
        except ProviderRefused as refused:
            error = refused.error
            await self._say(channels.SYNC_FAILED, connector, started_at, generation=generation, error=error)
            return self._ended(Run(connector, started_at, generation, None))
        await self._say(channels.SYNC_SUCCEEDED, connector, started_at, generation=generation)
        return self._ended(Run(connector, started_at, generation, count))

    async def release(self, connector: str) -> None:
        """Lets the held requests of a connector go on."""
        self.held.discard(connector)
        async with self._released:
            self._released.notify_all()

    async def _obey(self, request: SyncRequest) -> None:
        async with self._released:
            await self._released.wait_for(lambda: request.connector_id not in self.held)
        with suppress(aiohttp.ClientConnectionError, TimeoutError):  # regrant is away: it asks again
            await self.sync_now(request.connector_id, request.tenant_id, request.since)

    def _ended(self, run: Run) -> Run:
        self.runs.setdefault(run.connector, []).append(run)
        return run

    async def _say(self, message: Message, connector: str, started_at: datetime, **data: object) -> None:
        told = {"started_at": started_at.isoformat(), **data}
        await self.events.say(channels.SYNC_EVENTS, message, connector, told)

    async def _read_invoices(self, realm: str, access_token: str, since: datetime | None) -> int:
        """How many invoices were changed since `since`. Raises `ProviderRefused`."""
        changed = f" where MetaData.LastUpdatedTime >= '{since.isoformat()}'" if since else ""
        count = 0
        while True:
            query = f"select * from Invoice{changed} startposition {count + 1} maxresults {PAGE}"
            found = await self._query(realm, access_token, query)
            count += len(found)
            if len(found) < PAGE:
                return count

    async def _query(self, realm: str, access_token: str, query: str) -> list[Any]:
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        url = f"{self.api_url}/v3/company/{realm}/query"
        limit = aiohttp.ClientTimeout(total=API_LIMIT_S)
        try:
            async with self.session.get(url, params={"query": query}, headers=headers, timeout=limit) as response:
                status, text, told = response.status, await response.text(), response.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProviderRefused({"at": "network"}) from error
        found = orjson.loads(text) if status == 200 else {}
        if status != 200 or "QueryResponse" not in found:
            wait = told.get("Retry-After", "")
            raise ProviderRefused(
                {
                    "at": "api",
                    "status": status,
                    "body": text[:MOST_BODY],
                    "request_id": told.get("intuit_tid"),
                    "retry_after_s": float(wait) if wait.isdecimal() else None,
                }
            )
        invoices: list[Any] = found["QueryResponse"].get("Invoice", [])
        return invoices
