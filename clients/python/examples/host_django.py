"""A host with Django, in one file: async views, and a follower that keeps the states in the database.

    pip install "regrant-client[kafka]" django uvicorn
    CONNECT_URL=https://connect.example.com SIGNING_KEY_FILE=jwt.key KAFKA=localhost:9092
    python host_django.py follow & python host_django.py serve

regrant's settings name this host's addresses: REGRANT_WEB__COMPLETION_URL is <host>/connections/complete, and
REGRANT_WEB__RECONNECT_URL is <host>/connections/reconnect. A view that isn't async calls the same coroutines by
`asgiref.sync.async_to_sync`, each time with a client of its own: `async with regrant() as client: …`.
"""

import asyncio
import os
import secrets
import sys
from functools import cache
from pathlib import Path
from uuid import uuid4

import django
import uvicorn
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect
from django.template import engines
from django.urls import path
from django.views.decorators.http import require_POST

from regrant_client import Regrant, Signer
from regrant_client.kafka import Delivery, Transitions
from regrant_client.records import Transition
from regrant_client.refusals import CompletionRefused, UnknownAttempt

TENANT = "drivewell"
CONNECT_URL = os.environ["CONNECT_URL"]
KAFKA, TOPIC_PREFIX = os.environ["KAFKA"], os.environ.get("TOPIC_PREFIX", "")
SIGNER = Signer.with_secret(Path(os.environ["SIGNING_KEY_FILE"]).read_bytes(), issuer="https://host.example")
PEOPLE = {"olivias-session": ("u-olivia", "Olivia")}  # stands for your own login

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "host.sqlite3")}},
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
PAGE = """<!doctype html>
<ul>{% for id, state in connections %}<li>{{ id }}: {{ state }}
  <form method="post" action="/connections/{{ id }}/attempts">{% csrf_token %}<button>Reconnect</button></form>
{% endfor %}</ul>
<form method="post" action="/connections/new">{% csrf_token %}<button>Connect QuickBooks</button></form>"""


@cache
def regrant() -> Regrant:
    """The process's client: all async views run in one event loop, so they share its connections."""
    return Regrant(CONNECT_URL, SIGNER, TENANT)


def person(request: HttpRequest) -> tuple[str, str] | None:
    """Who is signed in here: id and name."""
    return PEOPLE.get(request.COOKIES.get("session", ""))


# Views.


async def page(request: HttpRequest) -> HttpResponse:
    if person(request) is None:
        return HttpResponse(status=401)
    connections = await sync_to_async(rows)("select connector_id, state from connection")
    return HttpResponse(engines["django"].from_string(PAGE).render({"connections": connections}, request))


@require_POST
async def connect(request: HttpRequest) -> HttpResponse:
    """A new connection: registered, and signed in to at once."""
    if person(request) is None:
        return HttpResponse(status=401)
    connector = await regrant().register_connector(f"c-{uuid4().hex}", provider="quickbooks-online", name="Books")
    return await reconnect(request, connector.connector_id)


async def reconnect(request: HttpRequest, connector_id: str = "") -> HttpResponse:
    """The button, and the link of a notice. Check here that the connector is one of this person's."""
    if (who := person(request)) is None:
        return HttpResponse(status=401)
    connector_id = connector_id or request.GET["connector_id"]
    attempt = await regrant().open_attempt(connector_id, person_id=who[0], person_name=who[1])
    assert attempt.handoff is not None  # it is there in the answer that made it
    return HttpResponseRedirect(attempt.handoff.url)


async def complete(request: HttpRequest) -> HttpResponse:
    """The browser is back with a new account: it counts if the person here is the one who began."""
    if (who := person(request)) is None:
        return HttpResponse(status=401)
    attempt, token = request.GET["attempt_id"], request.GET["completion_token"]
    try:
        await regrant().complete_attempt(attempt, completion_token=token, person_id=who[0])
    except (CompletionRefused, UnknownAttempt) as refused:
        return HttpResponseForbidden(refused.action)
    return HttpResponseRedirect(f"{CONNECT_URL}/connect/attempts/{attempt}")


urlpatterns = [
    path("connections", page),
    path("connections/new", connect),
    path("connections/complete", complete),
    path("connections/reconnect", reconnect),
    path("connections/<connector_id>/attempts", require_POST(reconnect)),
]

# The table: a model of yours. The version beside the state makes every repeat harmless, also after a restart.

TABLE = "create table if not exists connection (connector_id text primary key, state text, version integer)"
NEWER = """insert into connection values (%s, %s, %s) on conflict (connector_id)
do update set state = excluded.state, version = excluded.version where connection.version < excluded.version"""


def rows(sql: str, *values: object) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []


@sync_to_async
def known(connector_id: str) -> int:
    """The version that the table has."""
    found = rows("select version from connection where connector_id = %s", connector_id)
    return int(str(found[0][0])) if found else 0


@sync_to_async
def keep(told: Delivery[Transition]) -> None:
    with transaction.atomic():  # put what else a transition causes here, mails to be sent, say
        rows(NEWER, told.connector_id, str(told.data.to), told.version)


async def follow() -> None:
    async with Transitions(KAFKA, f"{TOPIC_PREFIX}host", topic_prefix=TOPIC_PREFIX, known=known) as transitions:
        async for told in transitions:
            if told.data.tenant_id == TENANT:
                await keep(told)


def main() -> None:
    django.setup()
    rows(TABLE)
    if sys.argv[1] == "follow":
        asyncio.run(follow())
    else:
        uvicorn.run(get_asgi_application(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), lifespan="off")


if __name__ == "__main__":
    main()
