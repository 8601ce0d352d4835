"""Webhooks without a database: what is signed, what is told to whom, when it is tried again, which secrets will do."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from schemas import channels
from schemas.ids import ConnectorId, TenantId
from schemas.secret import Secret
from service.couriers.health import DOWN_AFTER, Health
from service.couriers.schedule import PAUSES, Schedule
from service.settings.model import Webhook as WebhookSettings
from service.store.couriers import LogRow
from service.webhooks.configured import configured_endpoints
from service.webhooks.endpoint import Poster
from service.webhooks.events import Wanted
from service.webhooks.signing import BadSecret, headers_of, secret_of
from tests.metrics import here, labelled
from tests.receiver import new_secret

TRACE = '{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'


def row(**changes: object) -> LogRow:
    given = {
        "seq": 7,
        "pk": 1,
        "connector": ConnectorId("acme.books"),
        "tenant": TenantId("acme"),
        "version": 3,
        "at": datetime(2026, 11, 1, 12, tzinfo=UTC),
        "record": '{"connector_id":"acme.books","version":3,"notice":"person_needed","name":"Bücher"}',
        "sync_request": '{"connector_id":"acme.books","version":3}',
        "trace": TRACE,
    }
    return LogRow(**{**given, **changes})  # type: ignore[arg-type]


def wanted(*kinds: str, tenants: tuple[str, ...] = ()) -> Wanted:
    return Wanted(frozenset(kinds), frozenset(map(TenantId, tenants)))


def test_the_standards_own_reader_takes_what_is_signed() -> None:
    secret = new_secret()
    (event,) = wanted("transitions").events_of(row())
    told = Webhook(secret).verify(event.body, headers_of(event, datetime.now(UTC), [Secret(secret)]))
    assert told == {
        "type": channels.TRANSITION.type,
        "timestamp": "2026-11-01T12:00:00+00:00",
        "id": "acme.books/3/connector.transition.v1",  # as on the topic
        "data": json.loads(row().record),
    }


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body", "secret"])
def test_whatever_is_changed_isnt_taken(changed: str) -> None:
    secret = new_secret()
    (event,) = wanted("transitions").events_of(row())
    headers = headers_of(event, datetime.now(UTC), [Secret(secret)])
    body = event.body + b" " if changed == "body" else event.body
    if changed in headers:
        headers[changed] = str(int(headers[changed]) - 1) if changed == "webhook-timestamp" else "another"
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret() if changed == "secret" else secret).verify(body, headers)


def test_while_two_secrets_overlap_each_reads_the_event() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    (event,) = wanted("transitions").events_of(row())
    headers = headers_of(event, datetime.now(UTC), [Secret(new), Secret(old)])
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(event.body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(event.body, headers)


def test_no_id_holds_a_full_stop_and_no_two_events_share_one() -> None:
    everything = wanted("transitions", "sync_requests")
    rows = [row(), row(version=4), row(connector=ConnectorId("acme-books")), row(connector=ConnectorId("acme~books"))]
    ids = [event.id for one in rows for event in everything.events_of(one)]
    assert len(set(ids)) == len(ids) == 2 * len(rows)
    assert not [id_ for id_ in ids if "." in id_]


def test_an_endpoint_is_told_the_kinds_and_the_tenants_that_it_wants() -> None:
    def types(of: Wanted, **changes: object) -> list[str]:
        return [json.loads(event.body)["type"] for event in of.events_of(row(**changes))]

    transition, request = channels.TRANSITION.type, channels.SYNC_REQUEST.type
    assert types(wanted("transitions", "sync_requests")) == [transition, request]
    assert types(wanted("transitions", "sync_requests"), sync_request=None) == [transition]
    assert types(wanted("sync_requests")) == [request]
    assert types(wanted("notices")) == [transition]
    assert types(wanted("notices"), record='{"notice":null}') == []
    assert types(wanted("notices"), record='{"notice":null,"name":"\\"notice\\":\\""}') == []
    assert types(wanted("transitions", tenants=("acme",))) == [transition]
    assert types(wanted("transitions", tenants=("umbrella",))) == []


def test_the_trace_goes_along() -> None:
    (event,) = wanted("transitions").events_of(row())
    assert event.traceparent == json.loads(TRACE)["traceparent"]
    (event,) = wanted("transitions").events_of(row(trace=None))
    assert event.traceparent is None


def test_an_event_is_tried_for_three_days_and_no_longer_than_four() -> None:
    assert timedelta(days=3) <= sum(PAUSES, timedelta()) <= timedelta(days=4)
    schedule = Schedule()
    tries = len(PAUSES) + 1
    assert not schedule.is_spent(tries - 1)
    assert schedule.is_spent(tries)
    for number, pause in enumerate(PAUSES, start=1):
        assert pause <= schedule.pause(number, None) <= pause * 1.1
    assert schedule.pause(99, None) >= PAUSES[-1]


def test_an_endpoint_may_ask_for_a_longer_pause_and_not_for_ever() -> None:
    assert Schedule().pause(1, timedelta(minutes=3)) == timedelta(minutes=3)
    assert Schedule().pause(1, timedelta(days=9999)) == timedelta(hours=12)
    assert Schedule().pause(5, timedelta(0)) >= PAUSES[4]


async def test_many_failures_of_one_connector_say_nothing_of_the_endpoint_several_connectors_do() -> None:
    health = Health(Schedule())
    for _ in range(100):
        health.failed(1)
    assert not health.is_down
    for connector in range(2, DOWN_AFTER + 1):
        health.failed(connector)
    assert health.is_down
    assert health.accepted(), "it was down"
    assert not health.is_down
    assert not health.accepted()


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"hunter2",
        b"whsec_",
        b"whsec_" + base64.b64encode(b"short"),
        b"whsec_not base64 at all, really",
        b"\xff\xfe",
    ],
    ids=["empty", "no prefix", "nothing", "too short", "no base64", "no text"],
)
def test_a_file_that_holds_no_signing_secret_is_named_without_what_it_holds(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(held)
    with pytest.raises(BadSecret) as error:
        secret_of(file)
    assert str(file) in str(error.value)
    assert not held or held.decode(errors="replace") not in str(error.value).replace("whsec_ and", "")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadSecret, match="FileNotFoundError"):
        secret_of(tmp_path / "nothing")


async def test_what_an_endpoint_is_told_is_counted_from_nothing_so_that_a_rate_sees_the_first_that_is_given_up(
    tmp_path: Path,
) -> None:
    (secret_file := tmp_path / "whsec").write_text(new_secret())
    webhook = WebhookSettings(url="https://host.example/hook", secret_files=(secret_file,))
    async with Poster() as poster:
        (endpoint,) = configured_endpoints({"never-called": webhook}, poster)
    counted = {
        outcome: here()["regrant_webhooks_total", labelled(endpoint="never-called", outcome=outcome)]
        for outcome in ("accepted", "refused", "given_up")
    }
    assert (endpoint.name, set(counted.values())) == ("never-called", {0.0})
