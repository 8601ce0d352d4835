"""A mail server, as real as one: it takes what is handed over, or refuses it as a test says, and keeps what it took."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from service.mail.server import Server

Answering = Callable[[str], Awaitable[str]]
"""What it says to RCPT, by the address."""


async def welcome(address: str) -> str:
    return "250 OK"


def refusing(address: str, answer: str) -> Answering:
    """Refuses one address."""

    async def say(given: str) -> str:
        return answer if given == address else "250 OK"

    return say


@dataclass(frozen=True)
class Letter:
    """A message that it took."""

    to: str
    read: EmailMessage

    @property
    def plain(self) -> str:
        body = self.read.get_body(("plain",))
        assert body is not None
        text: str = body.get_content()
        return text


@dataclass
class PostOffice:
    """Takes messages, in the order in which they come."""

    answering: Answering = welcome
    asked: list[str] = field(default_factory=list)
    """The address of each RCPT."""
    letters: list[Letter] = field(default_factory=list)
    silent: bool = False
    """Whether it takes a message and never says so."""
    login: tuple[str, str] | None = None
    seen_login: bool = False
    port: int = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.append(address)
        answer = await self.answering(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.seen_login |= bool(session.authenticated)
        read = message_from_bytes(envelope.content, policy=default)
        assert isinstance(read, EmailMessage) and not read.defects
        self.letters += [Letter(to, read) for to in envelope.rcpt_tos]
        if self.silent:
            await asyncio.Event().wait()
        return "250 OK"

    def to(self, address: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.to == address]

    def told(self) -> dict[str, int]:
        """How many messages came for each address."""
        return {to: len(self.to(to)) for to in dict.fromkeys(letter.to for letter in self.letters)}

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None, *, at_once: bool = False) -> AsyncIterator[None]:
        """Open for as long as the block lasts, at the port that it had before."""
        loop = asyncio.get_running_loop()
        serving = await loop.create_server(
            lambda: self._speaking(tls if not at_once else None),
            "127.0.0.1",
            self.port,
            ssl=tls if at_once else None,
        )
        self.port = serving.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            serving.close()
            await serving.wait_closed()

    def _speaking(self, tls: ssl.SSLContext | None) -> SMTP:
        return SMTP(
            self,
            hostname="postoffice.example",
            loop=asyncio.get_running_loop(),
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=self.login is not None,
            authenticator=self._authenticate,
        )

    def _authenticate(self, server: SMTP, session: Session, envelope: Envelope, way: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == self.login, handled=False)

    def server(self, **changes: Any) -> Server:
        """How it is reached in the clear."""
        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "security": "none",
            "tls": ssl.create_default_context(),
            "login": None,
            "calls_itself": "northwind.example",
        }
        return Server(**{**given, **changes})
