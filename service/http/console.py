"""Signing in at the console: a link of the host's for one of its people, and the session that it becomes, once."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from schemas import console as bodies
from schemas.ids import TenantId
from schemas.lifecycle import ActorKind
from schemas.routes import Scope
from schemas.secret import Secret
from service.http.auth import Caller
from service.http.context import Call
from service.oauth.authorization import hash_of
from service.store import console
from service.store.console import Visitor
from service.store.pool import Pool

LINK_LASTS = timedelta(minutes=3)
IDLE = timedelta(hours=8)
LONGEST = timedelta(hours=24)
"""However much it is used: whoever may no longer come in is out the day after."""

_DOES = frozenset(
    {Scope.CONNECTORS_READ, Scope.CONNECTORS_WRITE, Scope.ATTEMPTS_WRITE, Scope.FLEET_READ, Scope.FLEET_WRITE}
)
"""What a session may be allowed: never tokens, never grants."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in."""

    name: str
    caller: Caller


async def open_console(call: Call) -> web.Response:
    body = call.body(bodies.OpenConsole)
    visitor = Visitor(call.caller.tenant, _allowed(call.caller), body.person.id, body.person.name)
    url, expires = await make_link(call.parts.pool, call.parts.public_url, visitor)
    return call.answer(bodies.ConsoleLink(url=url.reveal(), expires_at=expires))


async def make_link(pool: Pool, public_url: str, visitor: Visitor) -> tuple[Secret, datetime]:
    """A link that opens the console for that person, once, and when it ends."""
    ticket = Secret(secrets.token_urlsafe(32))
    async with pool.acquire() as connection:
        expires = await console.link(connection, hash_of(ticket), visitor, LINK_LASTS)
    return Secret(f"{public_url}/console/open/{ticket.reveal()}"), expires


def operator(name: str) -> Visitor:
    """Somebody at the command line: the whole fleet, and everything that a session may."""
    return Visitor("*", frozenset(scope.value for scope in _DOES), name, name)


def _allowed(caller: Caller) -> frozenset[str]:
    """A session may do what whoever opened it may, and nothing that the console has no page for."""
    return frozenset(scope.value for scope in _DOES) & caller.scopes


class Sessions:
    """Who is signed in at the console. Links and sessions are known by their hashes alone."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def linked(self, ticket: Secret) -> str | None:
        """For whom a link is that can still be spent; a look spends nothing."""
        async with self._pool.acquire() as connection:
            return await console.linked(connection, hash_of(ticket))

    async def begin(self, ticket: Secret) -> Secret | None:
        """Spends a link; the new session's value, or `None` where the link doesn't count any more."""
        session = Secret(secrets.token_urlsafe(32))
        async with self._pool.acquire() as connection:
            spent = await console.spend(connection, hash_of(ticket), hash_of(session), IDLE, LONGEST)
        return session if spent else None

    async def find(self, session: Secret) -> Session | None:
        """Who that is; `None` when the session has ended."""
        async with self._pool.acquire() as connection:
            visitor = await console.session(connection, hash_of(session), IDLE, LONGEST)
        return _session(visitor) if visitor else None

    async def end(self, session: Secret) -> None:
        async with self._pool.acquire() as connection:
            await console.end(connection, hash_of(session))


def _session(visitor: Visitor) -> Session:
    caller = Caller(TenantId(visitor.tenant), visitor.person_id, visitor.scopes, kind=ActorKind.OPERATOR)
    return Session(visitor.person_name, caller)
