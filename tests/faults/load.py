"""The load: a host that registers connectors and reports syncs, from a seed, and knows what must come of it.

The oracle is a few lines of its own: it knows nothing of the engine. Each round says one new thing about every
connector, and among it things that must change nothing: repeats, old runs, and records that nobody can read.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import channels
from schemas.channels import Channel, Message
from schemas.reasons import Reason
from tests.faults.fleet import PROVIDER, TENANT

FAILURES = (Reason.TOKEN_REFUSED, Reason.GRANT_REVOKED)
SHARE_QUIET, SHARE_REPEATED, SHARE_STALE, SHARE_MALFORMED = 0.05, 0.05, 0.05, 0.01
RETRY_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Sent:
    """One record, as it can be sent again."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class Expected:
    """What the oracle says of one connector."""

    state: str
    version: int
    reason: str | None = None
    run: int = 0
    """The number of the newest sync run that was told."""


class Load:
    """The host's producer and its oracle. Usable inside `async with`."""

    def __init__(self, bootstrap: str, prefix: str, *, seed: int, connectors: int) -> None:
        self._bootstrap, self._prefix = bootstrap, prefix
        self._random = random.Random(seed)
        self._began = datetime.now(UTC) - timedelta(days=30)
        self._producer: AIOKafkaProducer | None = None
        self.expected = {f"c{number:05}": Expected("healthy", 1) for number in range(connectors)}
        self.sent = 0
        """Records that the broker has acknowledged."""
        self.malformed = 0
        """Of these, how many nobody can read: a record that had to be sent twice may lie there twice."""

    @property
    def transitions(self) -> int:
        """How many transitions the oracle expects so far."""
        return sum(connector.version for connector in self.expected.values())

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all", linger_ms=5)
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def register(self) -> None:
        """Says that all connectors are there, each with a working credential of the host's own."""
        facts = {"tenant_id": TENANT, "provider": PROVIDER, "name": "Books", "connected": True}
        await self._send([self._record(channels.COMMANDS, channels.REGISTER, id_, facts) for id_ in self.expected])

    async def round(self, share: float = 1.0) -> None:
        """Says one new thing about each connector (or about a random `share` of them), and returns once it is there."""
        chosen = [id_ for id_ in self.expected if share >= 1 or self._random.random() < share]
        await self._send([record for id_ in chosen for record in self._say(id_)])

    async def open_attempts(self, ids: Sequence[str]) -> None:
        """Opens an attempt on each of these healthy connectors, which nobody will finish: it ends at its deadline."""
        for id_ in ids:
            self.expected[id_].version += 2
        opened = [{"attempt_id": str(UUID(int=self._random.getrandbits(128), version=4))} for _ in ids]
        message = channels.START_REAUTH
        await self._send(
            [self._record(channels.COMMANDS, message, id_, data) for id_, data in zip(ids, opened, strict=True)]
        )

    async def fail_and_be_reminded(self, ids: Sequence[str], reminders: int) -> None:
        """Says that each of these healthy connectors fails; so many reminders follow, each at its deadline."""
        failed = []
        for id_ in ids:
            connector = self.expected[id_]
            connector.run += 1
            failed.append(self._failed(id_, connector, Reason.TOKEN_REFUSED))
            connector.version += reminders
        await self._send(failed)

    def _say(self, id_: str) -> Iterable[Sent]:
        connector = self.expected[id_]
        connector.run += 1
        if self._random.random() < SHARE_QUIET:
            new = self._quiet(id_, connector)
        elif connector.state == "healthy":
            new = self._failed(id_, connector, self._random.choice(FAILURES))
        elif self._random.random() < 0.1:
            new = self._failed(id_, connector, next(r for r in FAILURES if r.value != connector.reason))
        else:
            connector.state, connector.reason = "healthy", None
            connector.version += 1
            new = self._event(id_, channels.SYNC_SUCCEEDED, connector.run, {})
        yield new
        if self._random.random() < SHARE_REPEATED:
            yield new
        if self._random.random() < SHARE_STALE:
            kind, data = self._random.choice(
                [(channels.SYNC_SUCCEEDED, {}), (channels.SYNC_FAILED, {"reason": Reason.ACCESS_REVOKED})]
            )
            yield self._event(id_, kind, self._random.randrange(connector.run), data)
        if self._random.random() < SHARE_MALFORMED:
            yield self._spoilt(new)

    def _quiet(self, id_: str, connector: Expected) -> Sent:
        """What is noted and makes no transition: once more what is known already."""
        if connector.state == "healthy":
            return self._event(id_, channels.SYNC_SUCCEEDED, connector.run, {})
        return self._event(id_, channels.SYNC_FAILED, connector.run, {"reason": connector.reason})

    def _failed(self, id_: str, connector: Expected, reason: Reason) -> Sent:
        connector.state, connector.reason = "failed", reason.value
        connector.version += 1
        return self._event(id_, channels.SYNC_FAILED, connector.run, {"reason": reason})

    def _spoilt(self, good: Sent) -> Sent:
        self.malformed += 1
        headers = dict(good.headers)
        match self._random.randrange(4):
            case 0:
                return Sent(good.topic, good.key, b'{"reason": ', good.headers)
            case 1:
                return Sent(good.topic, good.key, b'{"started_at": "yesterday"}', good.headers)
            case 2:
                changed = {**headers, "ce_type": b"io.regrant.sync.vanished.v1"}
                return Sent(good.topic, good.key, good.value, list(changed.items()))
            case _:
                del headers["ce_specversion"]
                return Sent(good.topic, good.key, good.value, list(headers.items()))

    def _event(self, id_: str, message: Message, run: int, data: dict[str, object]) -> Sent:
        started = self._began + timedelta(milliseconds=run)
        return self._record(channels.SYNC_EVENTS, message, id_, {"started_at": started.isoformat(), **data})

    def _record(self, channel: Channel, message: Message, id_: str, data: dict[str, object]) -> Sent:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": f"{self._random.getrandbits(128):032x}",
            "ce_type": message.type,
            "ce_source": "/drivewell",
            "ce_subject": id_,
            "ce_time": datetime.now(UTC).isoformat(),
            "content-type": "application/json",
        }
        encoded = [(name, value.encode()) for name, value in headers.items()]
        return Sent(self._prefix + channel.topic, id_.encode(), orjson.dumps(data), encoded)

    async def _send(self, records: Sequence[Sent]) -> None:
        """Sends them in order, and what isn't acknowledged again, for as long as it takes.

        Nothing newer is said meanwhile, so a record that was stored all the same is only a repeat.
        """
        assert self._producer is not None, "inside `async with`"
        left = list(records)
        while left:
            answers = await asyncio.gather(*(self._send_one(record) for record in left))
            left = [record for record, is_there in zip(left, answers, strict=True) if not is_there]
            self.sent += sum(answers)
            if left:
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _send_one(self, record: Sent) -> bool:
        assert self._producer is not None
        try:
            acknowledged = await self._producer.send(
                record.topic, key=record.key, value=record.value, headers=list(record.headers)
            )
            await acknowledged
        except KafkaError:
            return False
        return True

    async def differences(self, dsn: str) -> list[str]:
        """Where the database says something else than the oracle, in lines; none once all is done."""
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            rows = await connection.fetch("select connector_id, state::text, version, reason from connector")
        finally:
            await connection.close()
        seen = {row["connector_id"]: (row["state"], row["version"], row["reason"]) for row in rows}
        found = []
        for id_, connector in self.expected.items():
            wanted = (connector.state, connector.version, connector.reason)
            if (there := seen.get(id_)) != wanted:
                found.append(f"{id_}: is {there}, must be {wanted}")
        return found
