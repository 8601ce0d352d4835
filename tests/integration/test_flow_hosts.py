"""What a host's backend may send (S38, R14): ids, queries and cursors that can't be are told so, and never a 5xx."""

import base64
from urllib.parse import quote

import orjson

from tests.window import OWNER, Running

ODD = ("%00", "a%00", "%ff", "%ED%A0%80", "a%20b", "%C3%BC", "x" * 129, "'")


async def test_s38_r14_an_id_that_cant_be_one_is_unknown_on_every_route(service: Running) -> None:
    for odd in ODD:
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "x"}),
            ("DELETE", "", None),
            ("POST", "/disconnect", None),
            ("GET", "/history", None),
            ("POST", "/attempts", {"person": OWNER}),
            ("POST", "/token", {}),
        ):
            status, told = await service.api(method, f"/v1/connectors/{odd}{path}", body)
            assert (status, told["code"]) == (404, "unknown_connector"), (method, odd, path)


def cursor(value: object) -> str:
    return quote(base64.urlsafe_b64encode(orjson.dumps(value)).decode())


async def test_r14_a_list_by_a_query_that_cant_be_is_told_so(service: Running) -> None:
    for query in (
        "state=nonsense",
        "provider=%00",
        "provider=" + "x" * 100,
        "cursor=%00",
        "cursor=x",
        "cursor=" + cursor([]),
        "cursor=" + cursor({"after": "\0"}),
        "cursor=" + cursor({"after": 7}),
        "cursor=" + cursor({"after": {"a": 1}}),
    ):
        status, told = await service.api("GET", f"/v1/connectors?{query}")
        assert (status, told["code"]) == (422, "invalid_request"), query


async def test_r14_a_history_by_a_cursor_that_cant_be_is_told_so(service: Running) -> None:
    id_ = await service.registered()
    for value in (
        {"before": "yesterday"},
        {"before": "2026-01-01T00:00:00"},
        {"before": 7},
        {"before": "0001-01-01T00:00:00+23:59"},
        {"place": 2**63, "before": "2026-01-01T00:00:00Z"},
        {"place": -1},
        {"place": "1"},
        {"place": 1.5},
    ):
        status, told = await service.api("GET", f"/v1/connectors/{id_}/history?cursor={cursor(value)}")
        assert (status, told["code"]) == (422, "invalid_request"), value


async def test_r14_a_name_that_no_table_can_hold_is_told_so(service: Running) -> None:
    id_ = await service.registered()
    attempt, _ = await service.opened(id_)
    for person in ({"id": "a\0", "name": "A"}, {"id": "a", "name": "A\0"}):
        for path, body in (
            (f"/v1/connectors/{id_}/attempts", {"person": person}),
            (f"/v1/attempts/{attempt}/handoffs", person),
            (f"/v1/attempts/{attempt}/complete", {"completion_token": "x" * 43, "person_id": person["id"] + "\0"}),
        ):
            status, told = await service.api("POST", path, body)
            assert (status, told["code"]) == (422, "invalid_request"), path
