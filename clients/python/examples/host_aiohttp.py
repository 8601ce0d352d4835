"""A host in plain Python: a page of connections, sign-ins through regrant's window, and states as Kafka tells them.

    pip install "regrant-client[kafka]"
    CONNECT_URL=https://connect.example.com SIGNING_KEY_FILE=jwt.key KAFKA=localhost:9092 python host_aiohttp.py

regrant's settings name this host's addresses: REGRANT_WEB__COMPLETION_URL is <host>/connections/complete, and
REGRANT_WEB__RECONNECT_URL is <host>/connections/reconnect.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from uuid import uuid4

from aiohttp import web

from regrant_client import Regrant, Signer
from regrant_client.kafka import Transitions
from regrant_client.refusals import CompletionRefused, UnknownAttempt
from regrant_client.words import Notice

TENANT = "drivewell"
CONNECT_URL = os.environ["CONNECT_URL"]
KAFKA, TOPIC_PREFIX = os.environ["KAFKA"], os.environ.get("TOPIC_PREFIX", "")
SIGNER = Signer.with_secret(Path(os.environ["SIGNING_KEY_FILE"]).read_bytes(), issuer="https://host.example")
PEOPLE = {"olivias-session": ("u-olivia", "Olivia")}  # stands for your own login

regrant_key = web.AppKey("regrant", Regrant)
states: dict[str, str] = {}  # stands for your own table


def person(request: web.Request) -> tuple[str, str]:
    """Who is signed in here: id and name."""
    try:
        return PEOPLE[request.cookies.get("session", "")]
    except KeyError:
        raise web.HTTPUnauthorized from None


async def page(request: web.Request) -> web.Response:
    person(request)
    rows = "".join(
        f"<li>{escape(id_)}: {escape(state)}"
        f'<form method="post" action="/connections/{escape(id_)}/attempts"><button>Reconnect</button></form>'
        for id_, state in states.items()
    )
    connect = '<form method="post" action="/connections"><button>Connect QuickBooks</button></form>'
    return web.Response(text=f"<!doctype html><ul>{rows}</ul>{connect}", content_type="text/html")


async def connect(request: web.Request) -> web.Response:
    """A new connection: registered, and signed in to at once. Your session cookie is SameSite=Lax."""
    connector = await request.app[regrant_key].register_connector(
        f"c-{uuid4().hex}", provider="quickbooks-online", name="Books"
    )
    return await sent_to_the_window(request, connector.connector_id)


async def reconnect(request: web.Request) -> web.Response:
    """The button, and the link of a notice. Check here that the connector is one of this person's."""
    return await sent_to_the_window(request, request.match_info.get("id") or request.query["connector_id"])


async def sent_to_the_window(request: web.Request, connector_id: str) -> web.Response:
    id_, name = person(request)
    attempt = await request.app[regrant_key].open_attempt(connector_id, person_id=id_, person_name=name)
    assert attempt.handoff is not None  # it is there in the answer that made it
    raise web.HTTPSeeOther(attempt.handoff.url)


async def complete(request: web.Request) -> web.Response:
    """The browser is back with a new account: it counts if the person here is the one who began."""
    attempt, token = request.query["attempt_id"], request.query["completion_token"]
    try:
        await request.app[regrant_key].complete_attempt(attempt, completion_token=token, person_id=person(request)[0])
    except (CompletionRefused, UnknownAttempt) as refused:
        raise web.HTTPForbidden(text=refused.action) from None
    raise web.HTTPSeeOther(f"{CONNECT_URL}/connect/attempts/{attempt}")


async def follow() -> None:
    """What regrant says. Without a group this process reads all of it; see host_django.py for one with a database."""
    async with Transitions(KAFKA, None, topic_prefix=TOPIC_PREFIX) as transitions:
        async for told in transitions:
            if told.data.tenant_id != TENANT:
                continue
            states[told.connector_id] = told.data.to
            if told.data.notice in (Notice.PERSON_NEEDED, Notice.REMINDER):
                print(f"tell the owner of {told.connector_id}: {told.data.link}", flush=True)


async def beside(app: web.Application) -> AsyncIterator[None]:
    async with Regrant(CONNECT_URL, SIGNER, TENANT) as app[regrant_key], asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        yield
        following.cancel()


def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(beside)
    app.router.add_get("/connections", page)
    app.router.add_post("/connections", connect)
    app.router.add_get("/connections/complete", complete)
    app.router.add_get("/connections/reconnect", reconnect)
    app.router.add_post("/connections/{id}/attempts", reconnect)
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))


if __name__ == "__main__":
    main()
