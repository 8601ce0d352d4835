"""The server that takes messages (RFC 6409): its certificate is checked, and few connections are open at a time.

What it says may hold an address, so nothing of it is kept but its code.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from schemas.secret import Secret

CONNECTIONS = 4
"""To the server, from one process."""
ANSWER_S = 60.0
"""How long it may take for each command: what is given up too early comes twice."""
GOODBYE_S = 2.0

_OF_THE_SETUP = re.compile(r"\s*5\.7\.")
"""Refused by a policy (RFC 3463): it doesn't relay for us, or distrusts the sender. Not the address's fault."""
_CLOSES = 421
_OF_A_MAILBOX = 550
"""From here on 5xx is about a mailbox or its message (RFC 5321 4.2.2, 7504); below it, about what we speak."""


class NotTaken(Exception):
    """A message wasn't taken. The text is ours: no address, nothing that the server said but its code."""

    def __init__(self, what: str, *, address: bool = False, for_good: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.address = address
        """Whether only this address is refused."""
        self.for_good = for_good
        """Whether trying again is no use."""


@dataclass(slots=True)
class Server:
    """Where messages are handed over."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    tls: ssl.SSLContext
    """Whom to trust."""
    login: tuple[str, Secret] | None
    calls_itself: str
    """The name that we greet it with."""
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """A connection of one's own, opened with the first message."""
        async with self._slots:
            client = SMTP(
                hostname=self.host,
                port=self.port,
                local_hostname=self.calls_itself,
                timeout=ANSWER_S,
                use_tls=self.security == "tls",
                start_tls=self.security == "starttls",
                tls_context=None if self.security == "none" else self.tls,
                username=self.login[0] if self.login else None,
                password=self.login[1].reveal() if self.login else None,
            )
            try:
                yield Session(client)
                with suppress(SMTPException, OSError, TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await client.quit()
            finally:
                client.close()


@dataclass(slots=True)
class Session:
    """An open connection, or one that will be."""

    _client: SMTP

    async def open(self) -> None:
        """Connects and signs in, if it isn't open already. Raises `NotTaken`."""
        try:
            if not self._client.is_connected:
                await self._client.connect()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            raise _not_taken(error) from None

    async def hand_over(self, sender: str, address: Secret, message: bytes) -> None:
        """Hands a message over; when this returns, the server has it. Raises `NotTaken`."""
        await self.open()
        try:
            await self._client.sendmail(sender, [address.reveal()], message)
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            raise _not_taken(error) from None


def _not_taken(error: Exception) -> NotTaken:
    """What went wrong, and whose fault it is."""
    match error:
        case SMTPRecipientsRefused():
            return _refused(error.recipients[0])
        case SMTPAuthenticationError():
            return NotTaken(f"the sign-in is refused ({error.code})")
        case SMTPSenderRefused():
            return NotTaken(f"the sender is refused ({error.code})")
        case SMTPResponseException():
            return _refused(error)
        case TimeoutError():
            return NotTaken("no answer in time")
    if _has_cause(error, ssl.SSLCertVerificationError):
        return NotTaken("the server's certificate isn't trusted")
    if _has_cause(error, ssl.SSLError):
        return NotTaken("no TLS with the server")
    if isinstance(error, OSError | UnicodeError):
        return NotTaken("the server can't be reached")
    if isinstance(error, ValueError):
        return NotTaken("the address can't be sent to", address=True)
    return NotTaken("the server doesn't offer what is needed: STARTTLS, or a way to sign in")


def _refused(answer: SMTPResponseException) -> NotTaken:
    """By code: 4xx passes, 5xx stays (RFC 5321 4.2.1)."""
    what = f"refused ({answer.code})"
    if answer.code >= _OF_A_MAILBOX:
        return NotTaken(what, address=True, for_good=not _OF_THE_SETUP.match(answer.message))
    return NotTaken(what, address=400 <= answer.code < 500 and answer.code != _CLOSES)


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False
