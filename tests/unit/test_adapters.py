"""Adapters without a broker: what recorded webhooks mean, whose are believed, which mapping files are none.

The payloads are the senders' own documented examples, with values put in for their placeholders:
- Fivetran: fivetran.com/docs/rest-api/webhooks; the failed one as its connector logs show it.
- Nango: nango.dev/docs/guides/platform/webhooks-from-nango.
- Airbyte: docs.airbyte.com, "Manage notifications", failed and successful sync.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from schemas import channels
from schemas.reasons import Reason
from schemas.secret import Secret
from service.adapters.configured import configured_adapters
from service.adapters.mapping import BadMapping, Ignored, Mapping, Said, Signed, Unmapped, at, mapping_of, shipped
from service.adapters.signatures import is_from_the_sender
from service.kafka.decode import decode
from service.settings.model import Adapter

RECORDED = Path(__file__).parents[1] / "recorded" / "webhooks"

STARTED, SUCCEEDED, FAILED = channels.SYNC_STARTED, channels.SYNC_SUCCEEDED, channels.SYNC_FAILED
SAID: dict[str, tuple[Any, str, dict[str, object]]] = {
    "fivetran/sync_start": (STARTED, "intrusion_lubricate", {"started_at": "2026-11-24T08:00:00.386Z"}),
    "fivetran/sync_end": (SUCCEEDED, "intrusion_lubricate", {}),
    "fivetran/sync_end_reconnect": (FAILED, "intrusion_lubricate", {"reason": Reason.TOKEN_REFUSED}),
    "fivetran/sync_end_warehouse": (FAILED, "intrusion_lubricate", {"reason": Reason.SYNC_FAULT}),
    "fivetran/sync_end_rescheduled": (FAILED, "intrusion_lubricate", {"reason": Reason.PROVIDER_UNAVAILABLE}),
    "nango/sync": (SUCCEEDED, "d6a4f1c2-1f7e-4b21-9e57-0a8c3f6f8b11", {}),
    "nango/sync_failed": (
        FAILED,
        "d6a4f1c2-1f7e-4b21-9e57-0a8c3f6f8b11",
        {"reason": Reason.SYNC_FAULT, "started_at": "2026-11-24T08:00:00.000Z"},
    ),
    "nango/auth_refresh": (FAILED, "d6a4f1c2-1f7e-4b21-9e57-0a8c3f6f8b11", {"reason": Reason.TOKEN_REFUSED}),
    "airbyte/sync_succeeded": (
        SUCCEEDED,
        "64d901a1-2520-4d91-93c8-9df438668ff0",
        {"started_at": "2024-01-01T00:00:00Z"},
    ),
    "airbyte/sync_failed": (
        FAILED,
        "64d901a1-2520-4d91-93c8-9df438668ff0",
        {"reason": Reason.TOKEN_REFUSED, "started_at": "2024-01-01T00:00:00Z"},
    ),
    "airbyte/sync_failed_transient": (
        FAILED,
        "64d901a1-2520-4d91-93c8-9df438668ff0",
        {"reason": Reason.PROVIDER_UNAVAILABLE, "started_at": "2024-01-01T00:00:00Z"},
    ),
}
IGNORED = ["fivetran/dbt_run_failed", "fivetran/sync_end_canceled", "nango/auth_creation", "nango/forward"]


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def read(name: str, *, prefix: str = "") -> Said | Ignored | Unmapped:
    return shipped(name.partition("/")[0]).read(recorded(name), prefix)


@pytest.mark.parametrize("name", SAID)
def test_a_recorded_webhook_becomes_the_sync_event_that_it_means(name: str) -> None:
    message, connector, data = SAID[name]
    said = read(name)
    assert isinstance(said, Said)
    assert (said.message, said.connector, said.data) == (message, connector, data)


@pytest.mark.parametrize("name", SAID)
def test_what_an_adapter_writes_is_read_as_a_hosts_own_event(name: str) -> None:
    said = read(name, prefix="sync.")
    assert isinstance(said, Said)
    headers = {"specversion": "1.0", "type": said.message.type, "id": "1", "source": "/adapters/x"}
    headers |= {"subject": said.connector, "time": said.occurred}
    decoded = decode(
        said.connector.encode(),
        json.dumps(said.data).encode(),
        [*((f"ce_{name}", value.encode()) for name, value in headers.items()), ("content-type", b"application/json")],
        topic=channels.SYNC_EVENTS.topic,
    )
    assert decoded.connector == said.connector == f"sync.{SAID[name][1]}"


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_about_no_sync_is_ignored(name: str) -> None:
    assert read(name) == Ignored("not_about_a_sync")


def test_every_recorded_webhook_is_looked_at() -> None:
    there = {str(file.relative_to(RECORDED).with_suffix("")) for file in RECORDED.rglob("*.json")}
    assert there == {*SAID, *IGNORED}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body isn't JSON"),
        (b'{"type": "sync", "success": NaN}', "the body isn't JSON"),
        (b'{"type": "sync", "success": true}', "connector_id: nothing at /connectionId"),
        (b'{"type": "sync", "success": true, "connectionId": ""}', "connector_id: nothing at /connectionId"),
        (b'{"type": "sync", "success": true, "connectionId": {"a": 1}}', "connector_id: nothing at /connectionId"),
        (b'{"type": "sync", "success": true, "connectionId": true}', "connector_id: nothing at /connectionId"),
    ],
)
def test_what_names_no_connector_is_told_so_without_a_value_of_it(body: bytes, why: str) -> None:
    assert shipped("nango").read(body, "") == Unmapped(why)


@pytest.mark.parametrize("body", [b"[]", b'"sync"', b"7", b'{"type": "sync", "success": 1}', b'{"type": ["sync"]}'])
def test_other_json_is_about_something_else(body: bytes) -> None:
    assert shipped("nango").read(body, "") == Ignored("not_about_a_sync")


# A mapping of one's own.

OWN = """
signed: {by: hmac-sha256, header: X-Own-Signature, written: base64, prefix: "v1="}
connector_id: /run/0/connector~1id
occurred_at: /run/0/ended
generation: /run/0/generation
position: /run/0/cursor
rows:
  - when: {/run/0/code: [401, E401]}
    outcome: failed
    reason: grant_revoked
  - when: {/run/0/code: 0}
    outcome: succeeded
"""


@pytest.fixture
def own(tmp_path: Path) -> Mapping:
    (tmp_path / "own.yaml").write_text(OWN)
    return mapping_of(tmp_path / "own.yaml")


def run(code: object) -> bytes:
    one = {"connector/id": 7, "code": code, "ended": "2026-11-24T08:00:00Z", "generation": 3, "cursor": "p-9"}
    return json.dumps({"run": [one]}).encode()


@pytest.mark.parametrize("code", [401, "E401"])
def test_a_mapping_of_ones_own_says_where_everything_stands(own: Mapping, code: object) -> None:
    said = own.read(run(code), "own.")
    assert isinstance(said, Said)
    assert (said.message, said.connector, said.occurred) == (FAILED, "own.7", "2026-11-24T08:00:00Z")
    assert said.data == {"reason": Reason.GRANT_REVOKED, "generation": 3, "position": "p-9"}


def test_a_value_is_the_same_only_of_the_same_kind(own: Mapping) -> None:
    assert isinstance(own.read(run(0), ""), Said)
    assert own.read(run(False), "") == Ignored("not_about_a_sync")
    assert own.read(run("0"), "") == Ignored("not_about_a_sync")


@pytest.mark.parametrize(
    ("pointer", "there"),
    [
        ("/a", {"b": [1, 2]}),
        ("/a/b/1", 2),
        ("/a/b/2", None),
        ("/a/b/-1", None),
        ("/a/b/99999999999", None),
        ("/a/b/x", None),
        ("/x/y", None),
        ("/~0c~1", 3),
        ("/", 4),
    ],
)
def test_pointers_are_those_of_rfc_6901(pointer: str, there: object) -> None:
    assert at({"a": {"b": [1, 2]}, "~c/": 3, "": 4}, pointer) == there


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("outcome: succeeded", "outcome: great"), "rows.1.outcome"),
        (("reason: grant_revoked", "reason: because"), "rows.0.reason"),
        (("reason: grant_revoked", "reason: wrong_account"), "rows.0.reason"),
        (("    reason: grant_revoked\n", ""), "rows.0"),
        (("outcome: succeeded", "outcome: succeeded\n    reason: grant_revoked"), "rows.1"),
        (("occurred_at: /run", "occurred_at: run"), "occurred_at"),
        (("position:", "positoin:"), "positoin"),
        ((", header: X-Own-Signature", ""), "signed"),
        (("by: hmac-sha256", "by: bearer"), "signed"),
        (("rows:", "rows: ["), "line"),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_a_file_that_is_no_mapping_is_told_with_its_place(tmp_path: Path, changed: tuple[str, str], says: str) -> None:
    assert changed[0] in OWN
    file = tmp_path / "own.yaml"
    file.write_text(OWN.replace(*changed, 1))
    with pytest.raises(BadMapping) as error:
        mapping_of(file)
    assert str(file) in str(error.value)
    assert says in str(error.value)


# Who is believed.

SECRET, OTHER = Secret("a-secret-of-thirty-characters-"), Secret("another-of-thirty-characters--")
BODY = b'{"event":"sync_end"}'


def made(secret: Secret, body: bytes = BODY) -> bytes:
    return hmac.new(secret.reveal().encode(), body, hashlib.sha256).digest()


def is_believed(signed: Signed, headers: dict[str, str], *, address: str = "", body: bytes = BODY) -> bool:
    return is_from_the_sender(signed, [SECRET, OTHER], headers, address, body)


@pytest.mark.parametrize("kind", ["fivetran", "nango"])
def test_a_signature_of_either_secret_is_believed_and_of_that_body_alone(kind: str) -> None:
    signed = shipped(kind).signed
    assert signed.header is not None
    for secret in (SECRET, OTHER):
        for text in (made(secret).hex(), made(secret).hex().upper()):
            assert is_believed(signed, {signed.header: text})
            assert not is_believed(signed, {signed.header: text}, body=BODY + b" ")
    wrong = made(Secret("a third one of thirty characters")).hex()
    for headers in ({}, {signed.header: ""}, {signed.header: wrong}, {signed.header: SECRET.reveal()}):
        assert not is_believed(signed, headers)
    assert not is_believed(signed, {signed.header: "ünïcode"})


def test_nangos_plain_hash_of_secret_and_body_isnt_believed() -> None:
    plain = hashlib.sha256(SECRET.reveal().encode() + BODY).hexdigest()
    assert not is_believed(shipped("nango").signed, {"X-Nango-Signature": plain})


def test_a_signature_may_be_base64_behind_a_prefix(own: Mapping) -> None:
    text = base64.b64encode(made(SECRET)).decode()
    assert is_believed(own.signed, {"X-Own-Signature": f"v1={text}"})
    assert not is_believed(own.signed, {"X-Own-Signature": text})
    assert not is_believed(own.signed, {"X-Own-Signature": f"v1={text.swapcase()}"})


def test_airbytes_secret_is_the_last_part_of_the_address() -> None:
    signed = shipped("airbyte").signed
    assert is_believed(signed, {}, address=SECRET.reveal())
    for wrong in ("", SECRET.reveal()[:-1], SECRET.reveal().upper()):
        assert not is_believed(signed, {}, address=wrong)


def test_a_bearer_is_believed_by_its_whole_text() -> None:
    signed = Signed(by="bearer")
    assert is_believed(signed, {"Authorization": f"Bearer {SECRET.reveal()}"})
    for wrong in ("", "Bearer ", SECRET.reveal(), f"Basic {SECRET.reveal()}", f"Bearer {SECRET.reveal()} "):
        assert not is_believed(signed, {"Authorization": wrong})


@pytest.mark.parametrize(
    ("kind", "secret"), [("fivetran", "short"), ("airbyte", "too-short-for-an-address"[:23]), ("airbyte", "/" * 30)]
)
def test_a_secret_that_is_easily_guessed_or_breaks_an_address_is_no_start(kind: str, secret: str) -> None:
    setting = Adapter.model_validate({"kind": kind, "secret": secret})
    with pytest.raises(BadMapping) as error:
        configured_adapters({"own": setting})
    assert secret not in str(error.value)
