"""What the page shows, kept up by the host's own Kafka consumer, and handed to every open page.

The consumer is what a host has to write: drop repeats by the event's id, never go back to an older version.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from schemas import channels
from schemas.lifecycle import Notice, State
from schemas.reasons import Reason, Remedy
from schemas.records import Transition
from service.demo.client import Json, Refused, Regrant

MOST_SEEN = 10_000
MOST_NOTICES = 6
MOST_WAITING = 200
"""Updates that wait for a slow page; then it is let go, and begins anew."""

_LABELS = {
    State.HEALTHY: "Healthy",
    State.FAILED: "Needs attention",
    State.AWAITING_AUTH: "Waiting for sign-in",
    State.VERIFYING: "Checking",
    State.SYNCING: "Syncing",
    State.DISCONNECTED: "Disconnected",
}
_MEANWHILE = {
    State.AWAITING_AUTH: "Somebody is signing in at the moment.",
    State.VERIFYING: "The new sign-in is being checked.",
    State.SYNCING: "The sign-in works; data is on its way.",
    State.DISCONNECTED: "Taken off. Nothing is synced.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One connector on the page."""

    id: str
    name: str
    provider: str
    account: str
    state: State
    version: int
    label: str
    title: str
    words: str
    next: str
    offers_login: bool
    ends: date | None
    """The day on which the sign-in ends, once somebody should know."""
    last_try: str
    """How the last attempt ended, where it ended badly."""
    since: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the notifications."""

    connector: str
    tone: Literal["attention", "operator", "good"]
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Update:
    """What a page is sent: a row that changed or went, or the notifications anew."""

    kind: Literal["row", "gone", "notices"]
    connector: str = ""


@dataclass(slots=True)
class Board:
    """The tenant's connectors as the host knows them."""

    regrant: Regrant
    bootstrap: str
    topic_prefix: str
    rows: dict[str, Row] = field(default_factory=dict)
    notices: deque[Told] = field(default_factory=lambda: deque(maxlen=MOST_NOTICES))
    following: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the consumer follows both topics."""
    _seen: "OrderedDict[str, None]" = field(default_factory=OrderedDict)
    _reasons: dict[str, str] = field(default_factory=dict)
    _pages: set["asyncio.Queue[Update | None]"] = field(default_factory=set)

    async def follow(self) -> None:
        """Follows regrant's topics until cancelled. Each process reads all of them, so it needs no group."""
        topics = [self.topic_prefix + channel.topic for channel in (channels.STATES, channels.TRANSITIONS)]
        consumer = AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        self.following.set()
        try:
            async for record in consumer:
                if self._is_repeat(record):
                    continue
                if record.topic.endswith(channels.STATES.topic):
                    await self._state(record)
                else:
                    self._transition(Transition.model_validate_json(record.value))
        finally:
            await consumer.stop()

    def _is_repeat(self, record: ConsumerRecord) -> bool:
        event = dict(record.headers)["ce_id"].decode()
        if event in self._seen:
            return True
        self._seen[event] = None
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        return False

    async def _state(self, record: ConsumerRecord) -> None:
        """A newer snapshot of one connector. Its words come with the API's answer, which is never older."""
        connector = record.key.decode()
        if record.value is None:
            self.rows.pop(connector, None)
            self._publish(Update("gone", connector))
            return
        told = orjson.loads(record.value)
        known = self.rows.get(connector)
        if told["tenant_id"] != self.regrant.tenant or (known is not None and known.version >= told["version"]):
            return
        try:
            shown = await self.regrant.get(f"/v1/connectors/{connector}")
        except (aiohttp.ClientError, TimeoutError, Refused):
            shown = told  # the record itself, without words: better than what was
        await self.put(shown)

    def _transition(self, told: Transition) -> None:
        if told.tenant_id != self.regrant.tenant or told.notice is None:
            return
        name = told.connector.name
        match told.notice:
            case Notice.PERSON_NEEDED if told.remedy is Remedy.FIX_ACCOUNT:
                self._notify(told, "attention", f"{name} needs attention at the provider: signing in does not help.")
            case Notice.PERSON_NEEDED:
                self._notify(told, "attention", f"{name} needs somebody to sign in.")
            case Notice.REMINDER:
                self._notify(told, "attention", f"{name} still waits for somebody.")
            case Notice.OPERATOR_NEEDED:
                self._notify(told, "operator", f"For our operators: {name} can't sync, by our own configuration.")
            case Notice.EXPIRING:
                ends = told.connector.expires_at
                assert ends is not None, "a warning says of what"
                self._notify(told, "attention", f"{name} works until {ends:%-d %B %Y}: sign in again before.")
            case Notice.RECOVERED:
                first = told.connector.generation == 1 and told.reason is Reason.CONNECTED
                self._notify(told, "good", f"{name} is connected." if first else f"{name} works again.")
        self._publish(Update("notices"))

    def _notify(self, told: Transition, tone: Literal["attention", "operator", "good"], text: str) -> None:
        self._silence(told.connector_id)
        self.notices.appendleft(Told(told.connector_id, tone, text, told.at))

    def _silence(self, connector: str) -> None:
        kept = [told for told in self.notices if told.connector != connector]
        self.notices.clear()
        self.notices.extend(kept)

    async def put(self, connector: Json) -> None:
        """Takes an answer of the API in, unless a newer version is known."""
        known = self.rows.get(connector["connector_id"])
        if known is not None and known.version > connector["version"]:
            return
        row = _row(connector, await self._last_try(connector.get("attempt_reason")))
        self.rows[row.id] = row
        self._publish(Update("row", row.id))

    async def load(self) -> None:
        """All connectors, as the API lists them: where the page begins."""
        for connector in (await self.regrant.get("/v1/connectors"))["connectors"]:
            await self.put(connector)

    async def _last_try(self, reason: str | None) -> str:
        if reason is None:
            return ""
        if not self._reasons:
            entries = (await self.regrant.get("/v1/reasons"))["reasons"]
            self._reasons = {entry["code"]: entry["title"] for entry in entries}
        return self._reasons.get(reason, reason).replace("{provider}", "QuickBooks")

    # The open pages.

    @contextmanager
    def watching(self) -> Iterator["asyncio.Queue[Update | None]"]:
        """A page's queue of updates; `None` in it ends the page."""
        queue: asyncio.Queue[Update | None] = asyncio.Queue(MOST_WAITING)
        self._pages.add(queue)
        try:
            yield queue
        finally:
            self._pages.discard(queue)

    def close(self) -> None:
        """Ends every open page."""
        for queue in list(self._pages):
            self._end(queue)

    def _publish(self, update: Update) -> None:
        for queue in list(self._pages):
            if queue.full():
                self._end(queue)
            else:
                queue.put_nowait(update)

    def _end(self, queue: "asyncio.Queue[Update | None]") -> None:
        self._pages.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


def _row(c: Json, last_try: str) -> Row:
    state = State(c["state"])
    account = c.get("account") or {}
    ends = c.get("expires_at") if state is State.HEALTHY else None
    has_news = state is State.FAILED or ends is not None
    return Row(
        id=c["connector_id"],
        name=c["name"],
        provider="QuickBooks Online",
        account=account.get("name") or "No company yet",
        state=state,
        version=c["version"],
        label="Sign-in ends soon" if ends else _LABELS.get(state, state.value),
        title=(c.get("title") or "") if has_news else "",
        words=(c.get("words") or "") if has_news else _MEANWHILE.get(state, ""),
        next=(c.get("next") or "") if has_news else "",
        offers_login=state is not State.FAILED or bool(c.get("offers_login")),
        ends=datetime.fromisoformat(ends).astimezone(UTC).date() if ends else None,
        last_try=last_try,
        since=datetime.fromisoformat(c["since"]).astimezone(UTC),
    )


async def updates(queue: "asyncio.Queue[Update | None]", heartbeat_s: float) -> AsyncIterator[Update | None]:
    """What comes in the queue until its end; `None` where nothing came for a while."""
    while True:
        try:
            async with asyncio.timeout(heartbeat_s):
                update = await queue.get()
        except TimeoutError:
            yield None
            continue
        if update is None:
            return
        yield update
