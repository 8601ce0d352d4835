"""What a host tells regrant over Kafka: CloudEvents in binary mode, keyed by connector id."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer

from regrant_client.records import (
    Delete,
    Disconnect,
    ProviderError,
    Register,
    StartReauth,
    SyncFailed,
    SyncStarted,
    SyncSucceeded,
    Update,
)
from regrant_client.shape import Sent
from regrant_client.words import Reason


class Teller:
    """Writes to one topic inside `async with`. Each call returns once the brokers have the record.

    `source` names the writer as a path, for example `/acme/sync-engine`. `options` go to aiokafka.
    """

    topic: str

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        source: str,
        topic_prefix: str = "",
        **options: Any,  # Any: aiokafka's own
    ) -> None:
        self._topic, self._source = topic_prefix + self.topic, source
        self._options = {"enable_idempotence": True, **options, "bootstrap_servers": bootstrap_servers}
        self._producer: Any = None  # Any: aiokafka has no types

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self._options)
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def _tell(self, kind: str, connector_id: str, data: Sent, more: Mapping[str, str | None]) -> None:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": uuid4().hex,
            "ce_type": kind,
            "ce_source": self._source,
            "ce_subject": connector_id,
            "ce_time": datetime.now(UTC).isoformat(),
            "content-type": "application/json",
        } | {name: value for name, value in more.items() if value is not None}
        await self._producer.send_and_wait(
            self._topic,
            key=connector_id.encode(),
            value=data.model_dump_json(by_alias=True, exclude_none=True).encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )


class SyncEvents(Teller):
    """What a sync engine sees. `generation` is the one that the run's token or request named; `started_at`, when it
    began. regrant needs both to tell a late failure of an old credential from one of the new.
    """

    topic = "connectors.sync.events.v1"

    async def started(
        self,
        connector_id: str,
        *,
        started_at: datetime,
        generation: int | None = None,
        event_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """A sync run began."""
        data = SyncStarted(started_at=started_at, generation=generation)
        await self._say("started", connector_id, data, event_id, traceparent)

    async def succeeded(
        self,
        connector_id: str,
        *,
        started_at: datetime,
        generation: int | None = None,
        event_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """A sync run ended well."""
        data = SyncSucceeded(started_at=started_at, generation=generation)
        await self._say("succeeded", connector_id, data, event_id, traceparent)

    async def failed(
        self,
        connector_id: str,
        *,
        started_at: datetime,
        generation: int | None = None,
        error: ProviderError | None = None,
        reason: Reason | None = None,
        position: str | None = None,
        event_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """A sync run ended with an error: the provider's own answer, or a `reason` where the host has judged it.

        `position` is the host's own mark of where the sync stood; the sync request brings it back.
        """
        data = SyncFailed(started_at=started_at, generation=generation, error=error, reason=reason, position=position)
        await self._say("failed", connector_id, data, event_id, traceparent)

    async def _say(
        self,
        what: Literal["started", "succeeded", "failed"],
        connector_id: str,
        data: Sent,
        event_id: str | None,
        traceparent: str | None,
    ) -> None:
        more = {"ce_id": event_id, "ce_traceparent": traceparent}
        await self._tell(f"io.regrant.sync.{what}.v1", connector_id, data, more)


class Commands(Teller):
    """What the host wants done, where that shall go over Kafka. A refused command is a dead letter."""

    topic = "connectors.commands.v1"

    async def register(
        self, connector_id: str, *, tenant: str, provider: str, name: str, connected: bool = False
    ) -> None:
        """A new connector."""
        await self._do(
            "register", connector_id, Register(tenant_id=tenant, provider=provider, name=name, connected=connected)
        )

    async def update(self, connector_id: str, *, name: str) -> None:
        """Renames it."""
        await self._do("update", connector_id, Update(name=name))

    async def start_reauth(self, connector_id: str, *, attempt_id: UUID) -> None:
        """Opens an attempt; its link is fetched by `Regrant.create_handoff`."""
        await self._do("start_reauth", connector_id, StartReauth(attempt_id=attempt_id))

    async def disconnect(self, connector_id: str) -> None:
        """Takes it off and shreds its credential."""
        await self._do("disconnect", connector_id, Disconnect())

    async def delete(self, connector_id: str) -> None:
        """Deletes it for good."""
        await self._do("delete", connector_id, Delete())

    async def _do(self, what: str, connector_id: str, data: Sent) -> None:
        await self._tell(f"io.regrant.connector.{what}.v1", connector_id, data, {})
