"""The HTTP bodies about contacts: whom e-mail asks when a connector needs its owner.

An address is personal: no error, `repr` or log line shows it.
"""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from schemas.api import Request, Response
from schemas.secret import Secret

MOST_CONTACTS = 5
LONGEST_ADDRESS = 254
"""RFC 5321 4.5.3.1.3, without the angle brackets."""

_ATOM = r"[A-Za-z0-9#$&'*+/=?^_{}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"^{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+[A-Za-z]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?$", re.ASCII)
"""An addr-spec of plain atoms (RFC 5322 3.4.1) at a host with a dot. No quotes, no literal, and none of the characters
by which mail was once sent on from there (`%`, `!`)."""


def _is_an_address(given: Secret) -> Secret:
    text = given.reveal()
    if len(text) > LONGEST_ADDRESS or not ADDRESS.fullmatch(text):
        raise PydanticCustomError("address", "must be an e-mail address like robin@example.com")
    return given


AddressField = Annotated[
    Secret,
    AfterValidator(_is_an_address),
    WithJsonSchema({"type": "string", "pattern": ADDRESS.pattern, "maxLength": LONGEST_ADDRESS}),
]


class NewContact(Request):
    """Somebody whom e-mail should ask."""

    address: AddressField = Field(description="Such as robin@example.com: an address alone, without a name.")
    language: str = Field(
        default="en",
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$",
        description="The tag of a language, such as `de` or `pt-BR`; where there are no texts in it, English.",
    )


class SetContacts(Request):
    """All contacts of a connector. An address that stands twice, in upper or lower case, counts once: the last one."""

    contacts: list[NewContact] = Field(max_length=MOST_CONTACTS)


class Contact(Response):
    """Somebody whom e-mail asks."""

    address: str = Field(repr=False)
    language: str
    refused_at: datetime | None = Field(
        description="When a mail server last said for good that it takes nothing for this address. It is tried again"
        " with the next notice."
    )


class Contacts(Response):
    """A connector's contacts, by address."""

    contacts: list[Contact]
