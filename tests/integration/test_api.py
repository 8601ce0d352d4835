"""The host's API over real HTTP, on a real database: who may do what, and what a caller is told when it may not."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from schemas.problems import ProblemCode
from schemas.route import Reach
from schemas.routes import ROUTES, Scope
from service.app import web_app
from service.http.api import operation_of
from tests.loop import Loop, running_loop
from tests.window import host_token

ALL_SCOPES = " ".join(scope.value for scope in Scope)


@dataclass
class Host:
    """A host's backend."""

    client: TestClient  # type: ignore[type-arg]  # of whatever application
    key: bytes

    def token(self, tenant: str = "drivewell", *, alg: str = "HS256", **changes: Any) -> str:
        return host_token(self.key, tenant, alg=alg, **changes)

    async def call(
        self, method: str, path: str, body: object = None, *, tenant: str = "drivewell", **headers: str
    ) -> ClientResponse:
        given = {
            "Authorization": f"Bearer {self.token(tenant)}",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        return await self.client.request(method, path, json=body, headers=given)

    async def registered(self, name: str = "", **body: object) -> str:
        id_ = name or f"c-{uuid4().hex[:8]}"
        answer = await self.call("POST", "/v1/connectors", {**_CONNECTOR, "connector_id": id_, **body})
        assert answer.status == 201, await answer.text()
        return id_


_CONNECTOR = {"provider": "quickbooks-online", "name": "Books"}


@pytest.fixture
async def loop(database: str, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Loop]:
    async with running_loop(database, kafka_bootstrap, topic_prefix, tmp_path, worker=False) as loop:
        yield loop


@pytest.fixture
async def host(loop: Loop, aiohttp_client: Callable[..., Awaitable[Any]]) -> Host:
    import asyncio

    app = web_app(loop.service, "all", asyncio.Event())
    key_file = loop.service.settings.jwt.hs256_key_file
    assert key_file is not None
    return Host(await aiohttp_client(app), key_file.read_bytes().strip())


async def problem(answer: ClientResponse, code: ProblemCode) -> dict[str, Any]:
    """The problem in an answer, which must be of this kind."""
    told: dict[str, Any] = await answer.json(content_type="application/problem+json")
    assert (answer.status, told["code"], told["status"]) == (code.entry.status, code.value, code.entry.status), told
    return told


def test_every_route_has_its_handler() -> None:
    for route in ROUTES:
        assert callable(operation_of(route))


async def test_a_connector_is_registered_seen_renamed_listed_and_deleted(host: Host) -> None:
    id_ = await host.registered()
    seen = await host.call("GET", f"/v1/connectors/{id_}")
    told = await seen.json()
    assert (seen.headers["ETag"], told["state"], told["reason"]) == ('"1"', "failed", "never_connected")
    assert told["words"] == "Nobody has signed in to QuickBooks for this connector yet."
    renamed = await host.call("PATCH", f"/v1/connectors/{id_}", {"name": "New books"}, If_Match='"1"')
    assert (renamed.headers["ETag"], (await renamed.json())["name"]) == ('"2"', "New books")
    listed = await (await host.call("GET", "/v1/connectors?state=failed")).json()
    assert [c["connector_id"] for c in listed["connectors"]] == [id_]
    assert (await host.call("DELETE", f"/v1/connectors/{id_}")).status == 204
    await problem(await host.call("GET", f"/v1/connectors/{id_}"), ProblemCode.UNKNOWN_CONNECTOR)
    again = await host.call("POST", "/v1/connectors", {**_CONNECTOR, "connector_id": id_})
    await problem(again, ProblemCode.CONNECTOR_DELETED)


async def test_the_history_tells_what_happened_newest_first(host: Host, loop: Loop) -> None:
    id_ = await host.registered()
    await host.call("PATCH", f"/v1/connectors/{id_}", {"name": "a"})
    await host.call("POST", f"/v1/connectors/{id_}/disconnect")
    entries = (await (await host.call("GET", f"/v1/connectors/{id_}/history")).json())["entries"]
    assert [e["trigger"] for e in entries] == ["disconnect", "update", "register"]
    assert [e["version"] for e in entries] == [3, 2, 1]


async def test_contacts_are_set_as_a_whole_and_the_audit_says_how_many_and_never_who(host: Host, loop: Loop) -> None:
    path = f"/v1/connectors/{await host.registered()}/contacts"
    assert await (await host.call("GET", path)).json() == {"contacts": []}
    robin, ana = {"address": "robin@example.com"}, {"address": "ana@example.com", "language": "de-AT"}
    for given in ([robin], [{**ana, "address": "Ana@example.com"}, robin, ana], [ana]):
        answer = await host.call("PUT", path, {"contacts": given})
        assert answer.status == 200, await answer.text()
    assert await (await host.call("GET", path)).json() == {"contacts": [{**ana, "refused_at": None}]}
    audit = "select actor, detail ->> 'contacts' as contacts from audit where what = 'contacts_set' order by at"
    told = [tuple(row) for row in await loop.pool.fetch(audit)]
    assert told == [("backend", "1"), ("backend", "2"), ("backend", "1")]
    wrong = {"contacts": [robin, {"address": "quentin@example.com\r\nBcc: all@example.com"}]}
    refused = await problem(await host.call("PUT", path, wrong), ProblemCode.INVALID_REQUEST)
    assert [one["pointer"] for one in refused["errors"]] == ["/contacts/1/address"]
    assert "quentin" not in str(refused)
    await problem(await host.call("PUT", path, {"contacts": [robin] * 6}), ProblemCode.INVALID_REQUEST)
    assert (await host.call("DELETE", path.removesuffix("/contacts"))).status == 204
    for method, body in (("GET", None), ("PUT", {"contacts": [robin]})):
        await problem(await host.call(method, path, body), ProblemCode.UNKNOWN_CONNECTOR)
    assert await loop.pool.fetchval("select count(*) from connector_contact") == 0


async def test_pages_follow_one_another_by_their_links(host: Host, loop: Loop) -> None:
    ids = sorted([await host.registered(f"c{n:03}") for n in range(105)])
    first = await host.call("GET", "/v1/connectors")
    link = first.headers["Link"]
    second = await host.call("GET", link[1 : link.index(">")])
    seen = [c["connector_id"] for answer in (first, second) for c in (await answer.json())["connectors"]]
    assert (seen, second.headers.get("Link")) == (ids, None)


async def test_a_page_is_as_long_as_its_limit_says(host: Host) -> None:
    ids = sorted([await host.registered(f"c{n}") for n in range(3)])
    first = await host.call("GET", "/v1/connectors?limit=2")
    link = first.headers["Link"]
    second = await host.call("GET", link[1 : link.index(">")])
    pages = [[c["connector_id"] for c in (await answer.json())["connectors"]] for answer in (first, second)]
    assert pages == [ids[:2], ids[2:]]
    for wrong in ("0", "501", "-1", "1.0", "", "\u0663", "9" * 30):
        await problem(await host.call("GET", f"/v1/connectors?limit={wrong}"), ProblemCode.INVALID_REQUEST)


async def test_short_pages_of_a_history_leave_nothing_out(host: Host, loop: Loop) -> None:
    """Also where several notes are of one instant, since one batch wrote them."""
    id_ = await host.registered()
    await loop.pool.execute(
        "insert into note (at, connector, outcome, trigger, actor) select now() + minute * interval '1 minute', id,"
        """ 'observation', 'sync_started', '{"kind": "host"}' from connector, unnest(array[1, 2, 2, 2]) minute"""
    )
    path, pages = f"/v1/connectors/{id_}/history?limit=1", []
    while path:
        answer = await host.call("GET", path)
        pages.append([entry["trigger"] for entry in (await answer.json())["entries"]])
        link = answer.headers.get("Link", "")
        path = link[1 : link.index(">")] if link else ""
    assert pages == [["sync_started"] * 3, ["sync_started"], ["register"]]


OF_TENANTS = [route for route in ROUTES if "{" in route.path and route.reach is not Reach.FLEET]


async def test_s38_another_tenants_ids_are_unknown_on_every_route(host: Host, loop: Loop) -> None:
    id_ = await host.registered()
    attempt, _ = await loop.open(id_)  # type: ignore[arg-type]
    bodies = {
        "update_connector": {"name": "x"},
        "set_contacts": {"contacts": []},
        "open_attempt": {"person": {"id": "u", "name": "U"}},
        "create_handoff": {"id": "u", "name": "U"},
        "import_credential": {"refresh_token": "x"},
        "complete_attempt": {"completion_token": "x" * 40, "person_id": "u"},
    }
    unknown = {ProblemCode.UNKNOWN_CONNECTOR.value, ProblemCode.UNKNOWN_ATTEMPT.value}
    for route in OF_TENANTS:
        path = route.path.format(connector_id=id_, attempt_id=attempt)
        answer = await host.call(route.method, path, bodies.get(route.name), tenant="stranger")
        code = (await answer.json(content_type=None))["code"]
        assert (answer.status, code in unknown) == (404, True), (route.name, code)


async def test_s27_ids_are_random_and_no_number_of_our_rows_is_shown(host: Host, loop: Loop) -> None:
    far, shown = "77122", []
    for row in await loop.pool.fetch("select sequencename from pg_sequences"):
        await loop.pool.execute(f"alter sequence {row['sequencename']} restart with {far}0000001")
    id_ = await host.registered()
    attempts = []
    for _ in range(2):
        answer = await host.call("POST", f"/v1/connectors/{id_}/attempts", {"person": {"id": "u", "name": "U"}})
        shown.append(answer)
        attempts.append(UUID((await answer.json())["attempt_id"]))
    assert [attempt.version for attempt in attempts] == [4, 4]
    assert attempts[0].int >> 64 != attempts[1].int >> 64
    for path in ("", f"/{id_}", f"/{id_}/history", f"/{id_}/history?limit=1"):
        shown.append(await host.call("GET", f"/v1/connectors{path}"))
    shown.append(await host.call("GET", f"/v1/attempts/{attempts[1]}"))
    cursor = shown[-2].headers["Link"].partition("cursor=")[2].partition(">")[0]
    said = [await answer.text() + str(dict(answer.headers)) for answer in shown]
    assert not any(far in text for text in [*said, base64.urlsafe_b64decode(unquote(cursor)).decode()])
    assert await loop.pool.fetchval("select min(id) from connector") >= int(f"{far}0000001")


async def test_s24_a_version_that_is_asked_for_tells_no_unknown_connector_from_another_tenants(host: Host) -> None:
    id_ = await host.registered()
    for path in (f"/v1/connectors/{id_}", "/v1/connectors/nobodys"):
        for method, to in (("PATCH", path), ("DELETE", path), ("POST", f"{path}/disconnect")):
            answer = await host.call(method, to, {"name": "x"}, tenant="stranger", If_Match='"7"')
            await problem(answer, ProblemCode.UNKNOWN_CONNECTOR)


async def test_s24_what_became_of_another_tenants_connector_is_not_told_by_its_id(host: Host) -> None:
    ids = [await host.registered() for _ in range(2)]
    assert (await host.call("DELETE", f"/v1/connectors/{ids[0]}")).status == 204
    for id_ in ids:
        answer = await host.call("POST", "/v1/connectors", {**_CONNECTOR, "connector_id": id_}, tenant="stranger")
        await problem(answer, ProblemCode.ID_TAKEN)


async def test_s38_no_token_is_told_only_of_ones_own_connector(host: Host) -> None:
    path = f"/v1/connectors/{await host.registered()}/token"
    await problem(await host.call("POST", path, {}), ProblemCode.NO_CREDENTIAL)
    await problem(await host.call("POST", path, {}, tenant="stranger"), ProblemCode.UNKNOWN_CONNECTOR)
    await problem(await host.call("POST", "/v1/connectors/nobodys/token", {}), ProblemCode.UNKNOWN_CONNECTOR)


async def test_s38_a_token_with_a_wrong_claim_is_none(host: Host) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"aud": "other"},
        {"aud": ["regrant", "other"]},
        {"iss": "x"},
        {"exp": 1},
        {"tenant": ""},
        {"tenant": None},
    )
    for changes in wrong:
        headers = {"Authorization": f"Bearer {host.token(**changes)}"}
        await problem(await host.client.get("/v1/connectors", headers=headers), ProblemCode.UNAUTHENTICATED)


async def test_s38_unsigned_foreign_and_missing_tokens_are_none(host: Host) -> None:
    foreign = Host(host.client, b"f" * 48).token()
    head, body, _ = host.token().split(".")
    none = "eyJhbGciOiJub25lIn0"
    for token in ("", "x", foreign, f"{head}.{body}.", f"{none}.{body}."):
        answer = await host.client.get("/v1/connectors", headers={"Authorization": f"Bearer {token}"})
        await problem(answer, ProblemCode.UNAUTHENTICATED)
    await problem(await host.client.get("/v1/connectors"), ProblemCode.UNAUTHENTICATED)


async def test_s38_each_route_wants_its_own_scope(host: Host) -> None:
    for route in ROUTES:
        others = " ".join(scope.value for scope in Scope if scope is not route.scope)
        path = route.path.format(connector_id="c", attempt_id=uuid4(), letter_id="0-1", endpoint="e", given_up_id="1-c")
        headers = {"Authorization": f"Bearer {host.token(scope=others)}"}
        answer = await host.client.request(route.method, path, headers=headers, json={})
        told = await problem(answer, ProblemCode.SCOPE_MISSING)
        assert route.scope.value in told["detail"], route.name


BAD_BODIES: tuple[tuple[object, str], ...] = (
    ({**_CONNECTOR}, "/connector_id"),
    ({**_CONNECTOR, "connector_id": "a b"}, "/connector_id"),
    ({**_CONNECTOR, "connector_id": "a", "name": "nul\0"}, "/name"),
    ({**_CONNECTOR, "connector_id": "a", "name": ""}, "/name"),
    ({**_CONNECTOR, "connector_id": "a", "surprise": "SECRET"}, "/surprise"),
    ({**_CONNECTOR, "connector_id": "a", "connected": "yes"}, "/connected"),
    ([], ""),
)


async def test_a_bad_body_is_a_problem_that_names_the_field_and_echoes_nothing(host: Host) -> None:
    for body, pointer in BAD_BODIES:
        answer = await host.call("POST", "/v1/connectors", body)
        told = await problem(answer, ProblemCode.INVALID_REQUEST)
        assert pointer in [error["pointer"] for error in told["errors"]], body
        assert "SECRET" not in await answer.text()


async def test_a_grant_with_what_no_database_holds_is_refused_like_any_wrong_field(host: Host) -> None:
    path = f"/v1/connectors/{await host.registered()}/credential"
    for wrong in ({"scope": "a\0"}, {"account_id": "1\0"}, {"refresh_token": "\0"}, {"access_token": "\u00e9"}):
        answer = await host.call("POST", path, {"refresh_token": "x", **wrong})
        told = await problem(answer, ProblemCode.INVALID_REQUEST)
        assert [error["pointer"] for error in told["errors"]] == [f"/{name}" for name in wrong]


async def test_what_is_no_json_or_too_large_is_told_so(host: Host) -> None:
    headers = {"Authorization": f"Bearer {host.token()}", "Content-Type": "application/json"}
    bad = await host.client.post("/v1/connectors", data=b"{", headers=headers)
    await problem(bad, ProblemCode.MALFORMED_REQUEST)
    large = await host.client.post("/v1/connectors", data=b" " * 300_000, headers=headers)
    await problem(large, ProblemCode.BODY_TOO_LARGE)
    text = await host.client.post("/v1/connectors", data=b"x", headers={**headers, "Content-Type": "text/plain"})
    await problem(text, ProblemCode.NOT_JSON)
    await problem(await host.call("GET", "/v1/nothing"), ProblemCode.NOT_FOUND)
    await problem(await host.call("PUT", "/v1/connectors"), ProblemCode.METHOD_NOT_ALLOWED)
    await problem(
        await host.call("POST", "/v1/connectors", {**_CONNECTOR, "connector_id": "p", "provider": "nobody"}),
        ProblemCode.UNKNOWN_PROVIDER,
    )


async def test_if_match_refuses_what_has_changed_since(host: Host) -> None:
    id_ = await host.registered()
    stale = await host.call("PATCH", f"/v1/connectors/{id_}", {"name": "b"}, If_Match='"7"')
    await problem(stale, ProblemCode.VERSION_MISMATCH)


async def test_an_idempotency_key_makes_a_post_happen_once(host: Host, loop: Loop) -> None:
    body = {**_CONNECTOR, "connector_id": "once"}
    first, second = [await host.call("POST", "/v1/connectors", body, Idempotency_Key="k1") for _ in range(2)]
    assert (first.status, await first.read(), first.headers["ETag"]) == (
        second.status,
        await second.read(),
        second.headers["ETag"],
    )
    other = await host.call("POST", "/v1/connectors", {**body, "name": "other"}, Idempotency_Key="k1")
    await problem(other, ProblemCode.IDEMPOTENCY_KEY_REUSED)
    strangers = await host.call("POST", "/v1/connectors", body, tenant="stranger", Idempotency_Key="k1")
    await problem(strangers, ProblemCode.ID_TAKEN)
    assert await loop.pool.fetchval("select count(*) from transition") == 1


@pytest.mark.parametrize("key", ["", "k" * 201, "k\u00e9"], ids=["empty", "long", "accents"])
async def test_an_idempotency_key_that_is_none_is_refused_on_every_post(host: Host, key: str) -> None:
    id_ = await host.registered()
    for path in ("/v1/connectors", f"/v1/connectors/{id_}/attempts", f"/v1/connectors/{id_}/token"):
        answer = await host.call("POST", path, {}, Idempotency_Key=key)
        await problem(answer, ProblemCode.MALFORMED_REQUEST)


async def test_probes_and_documents_ask_for_no_token(host: Host) -> None:
    assert (await host.client.get("/livez")).status == 200
    assert (await (await host.client.get("/readyz?verbose")).json()) == {
        "serving": True,
        "database": True,
        "schema": True,
    }
    assert (await (await host.client.get("/v1/openapi.json")).json())["openapi"].startswith("3.1")
    assert (await host.client.get("/schemas/connector.transition.v1.schema.json")).status == 200


async def test_words_are_in_the_language_that_the_caller_prefers(host: Host) -> None:
    id_ = await host.registered()
    german = {"Accept_Language": "de-AT, en;q=0.5"}
    for answer in (
        await host.call("GET", f"/v1/connectors/{id_}", **german),
        await host.call("GET", f"/v1/connectors/{id_}", Accept_Language="ja;q=0.1, de;q=0.9"),
    ):
        told = await answer.json()
        assert told["title"] == "Noch nicht verbunden"
        assert told["next"] == "Melden Sie sich bei QuickBooks mit der Rolle „Organisationsadministrator“ an."
        assert (answer.headers["Content-Language"], answer.headers["Vary"]) == ("de", "Accept-Language")

    plain = await host.call("GET", f"/v1/connectors/{id_}", Accept_Language="nl, *;q=0.1")
    assert (plain.headers["Content-Language"], (await plain.json())["title"]) == ("en", "Not connected yet")

    reasons = (await (await host.call("GET", "/v1/reasons", **german)).json())["reasons"]
    named = {one["code"]: one for one in reasons}
    assert named["token_refused"]["words"] == (
        "{provider} nimmt die gespeicherte Anmeldung für {account} nicht mehr an."
    )
    providers = (await (await host.call("GET", "/v1/providers", **german)).json())["providers"]
    quickbooks = next(one for one in providers if one["id"] == "quickbooks-online")
    assert (quickbooks["account_word"], quickbooks["prerequisites"][0]) == (
        "Unternehmen",
        "Ein aktives Abonnement von QuickBooks Online.",
    )
