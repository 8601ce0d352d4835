"""The console's bodies: how a host lets one of its own people in."""

from datetime import datetime

from pydantic import Field

from schemas.api import Person, Request, Response


class OpenConsole(Request):
    """Let somebody of the host's own staff look at the console."""

    person: Person


class ConsoleLink(Response):
    """A link that opens the console once, in one browser."""

    url: str = Field(repr=False)
    expires_at: datetime
