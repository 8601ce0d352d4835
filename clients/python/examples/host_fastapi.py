"""A host with FastAPI: sign-ins through regrant's window, and states as Kafka tells them.

    pip install "regrant-client[kafka]" fastapi uvicorn
    CONNECT_URL=https://connect.example.com SIGNING_KEY_FILE=jwt.key KAFKA=localhost:9092 python host_fastapi.py

regrant's settings name this host's addresses: REGRANT_WEB__COMPLETION_URL is <host>/connections/complete, and
REGRANT_WEB__RECONNECT_URL is <host>/connections/reconnect.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import uvicorn
from fastapi import Cookie, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from regrant_client import Problem, Regrant, Signer
from regrant_client.kafka import Transitions

TENANT = "drivewell"
CONNECT_URL = os.environ["CONNECT_URL"]
KAFKA, TOPIC_PREFIX = os.environ["KAFKA"], os.environ.get("TOPIC_PREFIX", "")
SIGNER = Signer.with_secret(Path(os.environ["SIGNING_KEY_FILE"]).read_bytes(), issuer="https://host.example")
PEOPLE = {"olivias-session": ("u-olivia", "Olivia")}  # stands for your own login

states: dict[str, str] = {}  # stands for your own table


async def follow() -> None:
    """What regrant says. Without a group this process reads all of it; see host_django.py for one with a database."""
    async with Transitions(KAFKA, None, topic_prefix=TOPIC_PREFIX) as transitions:
        async for told in transitions:
            if told.data.tenant_id == TENANT:
                states[told.connector_id] = told.data.to


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Regrant]]:
    async with Regrant(CONNECT_URL, SIGNER, TENANT) as regrant, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        yield {"regrant": regrant}
        following.cancel()


def client(request: Request) -> Regrant:
    regrant: Regrant = request.state.regrant
    return regrant


def signed_in(session: Annotated[str, Cookie()] = "") -> tuple[str, str]:
    """Who is signed in here: id and name."""
    if session not in PEOPLE:
        raise HTTPException(401)
    return PEOPLE[session]


Client = Annotated[Regrant, Depends(client)]
Person = Annotated[tuple[str, str], Depends(signed_in)]
app = FastAPI(lifespan=lifespan)


@app.exception_handler(Problem)
async def refused(request: Request, problem: Problem) -> JSONResponse:
    """What regrant refused, in its words; 502 where it is this host's fault."""
    status = problem.status if problem.status in (403, 404, 409, 410, 429, 503) else 502
    return JSONResponse({"detail": problem.action, "trace_id": problem.trace_id}, status)


@app.get("/connections")
async def page(person: Person) -> HTMLResponse:
    rows = "".join(f"<li>{escape(id_)}: {escape(state)}" for id_, state in states.items())
    connect = '<form method="post" action="/connections"><button>Connect QuickBooks</button></form>'
    return HTMLResponse(f"<!doctype html><ul>{rows}</ul>{connect}")


@app.post("/connections")
async def connect(regrant: Client, person: Person) -> RedirectResponse:
    """A new connection: registered, and signed in to at once."""
    connector = await regrant.register_connector(f"c-{uuid4().hex}", provider="quickbooks-online", name="Books")
    return await reconnect(regrant, person, connector.connector_id)


@app.get("/connections/reconnect")
@app.post("/connections/{connector_id}/attempts")
async def reconnect(regrant: Client, person: Person, connector_id: str) -> RedirectResponse:
    """The button, and the link of a notice. Check here that the connector is one of this person's."""
    attempt = await regrant.open_attempt(connector_id, person_id=person[0], person_name=person[1])
    assert attempt.handoff is not None  # it is there in the answer that made it
    return RedirectResponse(attempt.handoff.url, 303)


@app.get("/connections/complete")
async def complete(regrant: Client, person: Person, attempt_id: UUID, completion_token: str) -> RedirectResponse:
    """The browser is back with a new account: it counts if the person here is the one who began."""
    await regrant.complete_attempt(attempt_id, completion_token=completion_token, person_id=person[0])
    return RedirectResponse(f"{CONNECT_URL}/connect/attempts/{attempt_id}", 303)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
