"""The callback as a form (OAuth 2.0 Form Post Response Mode): carried to the browser that began, in a sealed address.

The provider's page has the browser post the answer across sites, and with such a request no SameSite=Lax cookie comes
along: it proves nothing about the browser (S4), so it changes nothing, and nothing is kept of it. The answer is sealed
with the connector's data key, for its attempt, and the browser is sent on (303) to an address of ours that holds it.
That is a GET at the top level, to which the cookie comes; there the answer counts as one in a query does: for its
state, in the browser that began, once. Nobody can read the code in the address, and no other browser can use it.

Rejected: a page of ours that posts the form again (it needs a script, and the code stands in a page); a ticket for an
answer that is kept in the database (strangers would write there); a cookie that comes across sites (SameSite=None).
"""

import base64
import binascii
from dataclasses import dataclass, field

import orjson

from schemas.ids import AttemptId
from schemas.reasons import Reason
from schemas.secret import Secret
from service.oauth.callback import Callback
from service.oauth.keeper import Access, Keeper, Owner
from service.store.attempts import AttemptRow
from service.store.pool import Connection
from service.vault.keys import SealBroken


@dataclass(frozen=True, slots=True)
class Carried:
    """An answer on its way to the browser that began."""

    attempt: AttemptId
    sealed: str = field(repr=False)
    """In base64url: what stands in the address."""


async def carry(keeper: Keeper, connection: Connection, owner: Owner, row: AttemptRow, callback: Callback) -> Carried:
    """Seals an answer. Raises `SealBroken` where the connector's key is gone, `NoKey`."""
    told = {
        "state": callback.state.reveal(),
        "code": callback.code.reveal() if callback.code else None,
        "refusal": callback.refusal,
        "account": callback.claimed_account,
    }
    key = await keeper.stored_key(connection, _key(row))
    sealed = await keeper.seal(key, owner, _kind(row), Secret(orjson.dumps(told).decode()))
    return Carried(row.attempt, base64.urlsafe_b64encode(sealed).decode().rstrip("="))


async def arrive(keeper: Keeper, connection: Connection, owner: Owner, row: AttemptRow, sealed: str) -> Callback:
    """The answer that was sealed for this attempt. Raises `SealBroken` for anything else, `NoKey`."""
    key = await keeper.stored_key(connection, _key(row))
    access = Access("callback", "form_post")
    opened = await keeper.opened(connection, key, owner, _kind(row), _bytes_of(sealed), access)
    told = orjson.loads(opened.reveal())
    return Callback(
        state=Secret(told["state"]),
        code=Secret(told["code"]) if told["code"] else None,
        refusal=Reason(told["refusal"]) if told["refusal"] else None,
        claimed_account=told["account"],
    )


def _kind(row: AttemptRow) -> str:
    return f"answer.{row.attempt}"


def _key(row: AttemptRow) -> int:
    if row.data_key is None:
        raise SealBroken("no request is under way")
    return row.data_key


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise SealBroken("no sealed answer") from error
