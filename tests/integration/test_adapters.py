"""Adapters of the whole service, over Kafka: webhooks move a connector, or are seen among the dead letters."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas import channels
from schemas.lifecycle import State
from schemas.reasons import Reason
from service.adapters.producing import EventProducer
from service.engine.submission import Busy
from service.telemetry import metrics
from tests.loop import eventually
from tests.planted.marking import MARKER
from tests.unit.test_adapters import recorded
from tests.window import Running, running

SECRET = f"{MARKER}-signs-webhooks-of-senders"
FIVETRAN, AIRBYTE = "intrusion_lubricate", "64d901a1-2520-4d91-93c8-9df438668ff0"


@pytest.fixture
async def service(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Running]:
    adapters = {
        "fivetran": {"kind": "fivetran", "secret": SECRET},
        "airbyte": {"kind": "airbyte", "secret": SECRET},
        "quiet": {"kind": "fivetran", "secret": SECRET, "prefix": "quiet.", "unknown": "ignore"},
    }
    async with running(database, kafka_bootstrap, topic_prefix, tmp_path, more={"adapters": adapters}) as service:
        await service.loop.take_over()
        yield service
        await service.loop.stop_worker()


async def sent(service: Running, path: str, body: bytes, secret: str = SECRET) -> tuple[int, Any]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Fivetran-Signature-256": signature, "Content-Type": "application/json", "traceparent": TRACE}
    async with service.session.post(f"{service.origin}/v1/adapters/{path}", data=body, headers=headers) as answer:
        return answer.status, await answer.json()


def minutes_later(minutes: int, name: str) -> bytes:
    """A recorded webhook, so many minutes after the first."""
    return recorded(name).replace(b"T08:00:00", b"T08:%02d:00" % minutes)


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUEUED = (202, {"outcome": "queued"})


async def letter(service: Running, code: str) -> Any:
    """The dead letter of that code, as the API shows it."""

    async def there() -> Any:
        _, told = await service.api("GET", "/v1/dead-letters", tenant="*")
        return next((one for one in told["letters"] if one["code"] == code), None)

    return await eventually(there, f"a dead letter: {code}")


async def test_senders_webhooks_move_the_connectors_that_they_are_about(service: Running) -> None:
    for id_ in (FIVETRAN, AIRBYTE):
        await service.loop.register(id_, connected=True)
    assert await sent(service, "fivetran", recorded("fivetran/sync_start")) == QUEUED
    assert await sent(service, "fivetran", minutes_later(5, "fivetran/sync_end_reconnect")) == QUEUED
    assert await sent(service, f"airbyte/{SECRET}", recorded("airbyte/sync_failed_transient")) == QUEUED
    row = await service.loop.state(FIVETRAN, State.FAILED)  # type: ignore[arg-type]  # the sender's id is the connector's
    assert row["reason"] == Reason.TOKEN_REFUSED
    assert await sent(service, "fivetran", minutes_later(20, "fivetran/sync_end")) == QUEUED
    await service.loop.state(FIVETRAN, State.HEALTHY)  # type: ignore[arg-type]
    (failed,) = (one for one in await _history(service, FIVETRAN) if one["trigger"] == "sync_failed")
    assert failed["actor"] == {"kind": "sync_engine", "id": "/adapters/fivetran"}

    async def is_counted() -> bool:
        row = await service.loop.row(AIRBYTE)  # type: ignore[arg-type]
        return bool(row["transient_failures"] == 1 and row["state"] == State.HEALTHY)

    await eventually(is_counted, "a failure that passes by itself")


async def _history(service: Running, id_: str) -> list[Any]:
    status, told = await service.api("GET", f"/v1/connectors/{id_}/history")
    assert status == 200, told
    return list(told["entries"])


async def test_what_cant_be_put_through_is_seen_among_the_dead_letters_with_its_reason(service: Running) -> None:
    assert await sent(service, "fivetran", recorded("fivetran/sync_end")) == QUEUED
    unknown = await letter(service, "unknown_connector")
    assert (unknown["connector_id"], unknown["type"]) == (FIVETRAN, channels.SYNC_SUCCEEDED.type)

    nameless = json.dumps({"event": "sync_end", "data": {"status": "SUCCESSFUL"}}).encode()
    assert await sent(service, "fivetran", nameless) == QUEUED
    unmapped = await letter(service, "unmapped")
    assert unmapped["detail"] == "connector_id: nothing at /connector_id"
    status, told = await service.api("GET", f"/v1/dead-letters/{unmapped['letter_id']}", tenant="*")
    assert status == 200
    assert (told["replay_helps"], told["next"].startswith("Correct the adapter's mapping")) == (False, True)
    value = await service.loop.pool.fetchval("select record_value from dead_letter where code = 'unmapped'")
    assert value == nameless, "its bytes are untouched"

    # What the deployment doesn't want to hear of, and what is about no sync, leaves nothing behind.
    ignored = (202, {"outcome": "ignored", "why": "unknown_connector"})
    assert await sent(service, "quiet", recorded("fivetran/sync_end")) == ignored
    ignored = (202, {"outcome": "ignored", "why": "not_about_a_sync"})
    assert await sent(service, "fivetran", recorded("fivetran/dbt_run_failed")) == ignored
    assert await service.loop.pool.fetchval("select count(*) from dead_letter") == 2

    # S24: whoever isn't the sender learns nothing, not even which adapters there are.
    body = recorded("fivetran/sync_end")
    refused = [
        await sent(service, "fivetran", body, secret="another secret of nobody's"),
        await sent(service, "nobody", body),
        await sent(service, "airbyte", body),
        await sent(service, "airbyte/wrong", body),
        await sent(service, "fivetran", b"{"[:0], secret="another secret of nobody's"),
    ]
    assert refused == [refused[0]] * len(refused)
    assert (refused[0][0], refused[0][1]["code"]) == (401, "unauthenticated")
    counted = {
        o: metrics.ADAPTER_WEBHOOKS.labels("fivetran", o)._value.get() for o in ("queued", "ignored", "unmapped")
    }
    assert all(counted.values()), counted
    large = await sent(service, "fivetran", b" " * 300_000)
    assert (large[0], large[1]["code"]) == (413, "body_too_large")


async def test_while_no_broker_takes_it_nothing_is_said_to_be_taken() -> None:
    producer = EventProducer(lambda: AIOKafkaProducer(bootstrap_servers="127.0.0.1:1"), "")
    for _ in range(2):  # and it is tried anew
        with pytest.raises(Busy):
            await producer.send("c1", b"{}", [])
    await producer.close()
