"""The client's calls: done once however often they are sent, refused by type, page by page, silent about secrets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from regrant_client import Problem, Regrant, Signer, Unreachable, Unreadable, bodies
from regrant_client.bodies import AccessToken, CompleteAttempt, ConsoleLink, Handoff, ImportCredential
from regrant_client.refusals import NoCredential, TooManyRequests, VersionMismatch
from regrant_client.words import Reason, State
from schemas import samples

SECRET = "a secret of the host that is long enough"
SIGNER = Signer.with_secret(SECRET, issuer="https://host.example")
SOON = {"Retry-After": "0"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def regrant_that(answers: Handler, *, patience_s: float = 5) -> AsyncIterator[Regrant]:
    """A client of a server that answers so to everything."""
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answers)
    async with (
        TestServer(app) as server,
        Regrant(str(server.make_url("")), SIGNER, "acme", patience=timedelta(seconds=patience_s)) as regrant,
    ):
        yield regrant


def problem(code: str, status: int, *, retryable: bool = False, headers: dict[str, str] | None = None) -> web.Response:
    told = {"type": "https://regrant.example/help", "title": "No", "status": status, "detail": "No.", "code": code}
    told |= {"retryable": retryable, "action": "Do this.", "trace_id": "abc"}
    return web.Response(
        text=json.dumps(told), status=status, content_type="application/problem+json", headers=headers or {}
    )


def good(model: str, **headers: str) -> web.Response:
    return web.json_response(samples.BODIES[model], headers=headers)


def script(*answers: Callable[[], web.StreamResponse]) -> tuple[Handler, list[web.Request]]:
    """A handler that gives these answers in order, and the requests that it saw."""
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        await request.read()
        return answers[len(seen) - 1]()

    return handler, seen


async def test_a_post_that_has_to_be_sent_again_keeps_its_idempotency_key() -> None:
    handler, seen = script(
        lambda: problem("busy", 503, retryable=True, headers=SOON),
        lambda: problem("request_running", 409, retryable=True),
        lambda: web.Response(status=502, headers=SOON),  # a proxy's
        lambda: good("Attempt"),
        lambda: good("Attempt"),
    )
    async with regrant_that(handler) as regrant:
        await regrant.open_attempt("c-1", person_id="u", person_name="Robin")
        await regrant.open_attempt("c-1", person_id="u", person_name="Robin")
    keys = [request.headers["Idempotency-Key"] for request in seen]
    assert len(set(keys[:4])) == 1 and keys[4] != keys[0]


async def test_a_post_whose_answer_was_lost_is_sent_again() -> None:
    keys: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            assert request.transport is not None
            request.transport.close()
        return good("Attempt")

    async with regrant_that(handler) as regrant:
        await regrant.open_attempt("c-1", person_id="u", person_name="Robin", idempotency_key="of the caller")
    assert keys == ["of the caller"] * 2


async def test_a_change_whose_answer_was_lost_is_not_sent_again() -> None:
    seen = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["If-Match"])
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with regrant_that(handler) as regrant:
        with pytest.raises(Unreachable, match="PATCH /v1/connectors/c-1"):
            await regrant.update_connector("c-1", name="Books", if_version=7)
    assert seen == ['"7"']


async def test_nobody_there_is_unreachable_once_patience_ends() -> None:
    async with Regrant("http://127.0.0.1:1", SIGNER, "acme", patience=timedelta(0)) as regrant:
        with pytest.raises(Unreachable, match="GET"):
            await regrant.get_connector("c-1")


async def test_a_problem_has_a_class_and_tells_what_to_do() -> None:
    handler, seen = script(lambda: problem("no_credential", 409))
    async with regrant_that(handler) as regrant:
        with pytest.raises(NoCredential) as refused:
            await regrant.get_token("c-1")
    told = refused.value
    assert (told.code, told.status, told.retryable, told.action, told.trace_id) == (
        "no_credential",
        409,
        False,
        "Do this.",
        "abc",
    )
    assert len(seen) == 1


async def test_a_wait_that_is_longer_than_patience_is_the_callers() -> None:
    handler, seen = script(lambda: problem("too_many_requests", 429, retryable=True, headers={"Retry-After": "60"}))
    async with regrant_that(handler) as regrant:
        with pytest.raises(TooManyRequests) as refused:
            await regrant.get_connector("c-1")
    assert refused.value.retry_after == timedelta(minutes=1) and len(seen) == 1


async def test_a_problem_that_a_newer_regrant_adds_is_a_problem() -> None:
    handler, _ = script(lambda: problem("never_heard_of", 409))
    async with regrant_that(handler) as regrant:
        with pytest.raises(Problem, match="never_heard_of"):
            await regrant.get_connector("c-1")


async def test_the_version_that_was_seen_goes_along() -> None:
    handler, seen = script(lambda: good("Connector", ETag='"7"'), lambda: problem("version_mismatch", 412))
    async with regrant_that(handler) as regrant:
        connector = await regrant.get_connector("c-1")
        with pytest.raises(VersionMismatch):
            await regrant.update_connector("c-1", name="Books", if_version=connector.version)
    assert seen[1].headers["If-Match"] == f'"{connector.version}"'
    assert "Idempotency-Key" not in seen[1].headers


async def test_contacts_are_set_and_no_repr_shows_an_address() -> None:
    handler, seen = script(lambda: good("Contacts"), lambda: good("Contacts"))
    async with regrant_that(handler) as regrant:
        given = [bodies.NewContact(address="robin@example.com", language="de")]
        set_ = await regrant.set_contacts("c-1", given)
        assert await regrant.get_contacts("c-1") == set_
    assert [request.method for request in seen] == ["PUT", "GET"]
    assert set_[0].address == "robin@example.com"
    assert "robin" not in repr((given, set_))


async def test_pages_are_read_one_after_the_other() -> None:
    following = '</v1/connectors?cursor=a%2Fb%3D&limit=1>; rel="next"'
    handler, seen = script(lambda: good("ConnectorList", Link=following), lambda: good("ConnectorList"))
    async with regrant_that(handler) as regrant:
        found = [one.connector_id async for one in regrant.list_connectors(state=State.FAILED, page_size=1)]
    assert len(found) == 2 * len(samples.BODIES["ConnectorList"]["connectors"])
    assert [dict(request.query) for request in seen] == [
        {"state": "failed", "limit": "1"},
        {"state": "failed", "limit": "1", "cursor": "a/b="},
    ]


async def test_an_id_stays_one_part_of_the_path() -> None:
    handler, seen = script(lambda: good("Connector"))
    async with regrant_that(handler) as regrant:
        await regrant.get_connector("a/../b?c#d")
        with pytest.raises(ValueError, match="no id"):
            await regrant.get_connector("..")
    assert seen[0].raw_path == "/v1/connectors/a%2F..%2Fb%3Fc%23d"


async def test_each_call_has_a_token_for_its_tenant_and_its_scope_alone() -> None:
    handler, seen = script(lambda: good("Connector"), lambda: good("AccessToken"), lambda: good("Connector"))
    async with regrant_that(handler) as regrant:
        await regrant.get_connector("c-1")
        await regrant.get_token("c-1")
        await regrant.for_tenant("other").get_connector("c-1")
    given = [claims(request.headers["Authorization"]) for request in seen]
    assert [(one["tenant"], one["scope"]) for one in given] == [
        ("acme", "connectors:read"),
        ("acme", "tokens:read"),
        ("other", "connectors:read"),
    ]


def claims(authorization: str) -> dict[str, Any]:
    from joserfc import jwt
    from joserfc.jwk import OctKey

    return jwt.decode(authorization.removeprefix("Bearer "), OctKey.import_key(SECRET), algorithms=["HS256"]).claims


async def test_what_is_no_answer_is_unreadable_and_not_shown() -> None:
    handler, _ = script(lambda: web.json_response({"access_token": "s3cret", "expires_at": "s3cret"}))
    async with regrant_that(handler) as regrant:
        with pytest.raises(Unreadable, match=r"AccessToken: .*expires_at") as error:
            await regrant.get_token("c-1")
    assert "s3cret" not in f"{error.value} {error.value.__context__}"


async def test_words_and_fields_that_a_newer_regrant_adds_do_no_harm() -> None:
    newer = {**samples.BODIES["Connector"], "state": "levitating", "reason": "moon_phase", "added": 1}
    handler, _ = script(lambda: web.json_response(newer))
    async with regrant_that(handler) as regrant:
        connector = await regrant.get_connector("c-1")
    assert connector.state == "levitating" and connector.reason == "moon_phase"
    assert isinstance(connector.reason, Reason) and connector.reason not in list(Reason)


async def test_a_stream_that_breaks_is_taken_up_where_it_was() -> None:
    told: list[str | None] = []
    transition = json.dumps(samples.RECORDS["Transition"])

    async def handler(request: web.Request) -> web.StreamResponse:
        told.append(request.headers.get("Last-Event-ID"))
        if len(told) == 2:
            return problem("busy", 503, retryable=True, headers=SOON)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        parts = [
            "retry: 1000\nid: p0\n\n",
            "event: transition\nid: p1\nda",
            f"ta: {transition}\n\n: still here\nid: p2\n\n",
        ]
        for part in parts:
            await stream.write(part.encode())
        return stream

    async with regrant_that(handler) as regrant:
        events = regrant.follow_events()
        async with asyncio.timeout(20):
            got = [await anext(events), await anext(events)]
        await events.aclose()  # type: ignore[attr-defined]  # a generator's
    assert [event.position for event in got] == ["p1", "p1"]
    assert got[0].transition.connector_id == samples.RECORDS["Transition"]["connector_id"]
    assert told == [None, "p2", "p2"]


def test_no_repr_shows_a_secret() -> None:
    bodies = [
        AccessToken.model_validate(samples.BODIES["AccessToken"] | {"access_token": "s3cret"}),
        Handoff(url="https://regrant.example/connect/s3cret", expires_at="2026-11-24T09:01:00Z"),  # type: ignore[arg-type]
        ConsoleLink(url="https://regrant.example/console/s3cret", expires_at="2026-11-24T09:01:00Z"),  # type: ignore[arg-type]
        CompleteAttempt(completion_token="s3cret", person_id="u"),
        ImportCredential(refresh_token="s3cret", access_token="s3cret"),
    ]
    signer = Signer.with_secret("s3cret" * 8, issuer="https://host.example")
    token = signer.token("acme", "tokens:read")
    for thing in [*bodies, signer, Regrant("https://regrant.example", signer, "acme")]:
        shown = f"{thing!r} {thing}"
        assert "s3cret" not in shown and token not in shown
