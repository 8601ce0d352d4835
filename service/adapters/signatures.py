"""Whether a webhook comes from who it should: each comparison takes as long for a wrong secret as for a right one."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from schemas.secret import Secret
from service.adapters.mapping import Signed

BEARER = "Bearer "


def is_from_the_sender(
    signed: Signed, secrets: Iterable[Secret], headers: Mapping[str, str], in_address: str, body: bytes
) -> bool:
    """Whether one of the secrets made it."""
    return any([_is(signed, secret, headers, in_address, body) for secret in secrets])


def _is(signed: Signed, secret: Secret, headers: Mapping[str, str], in_address: str, body: bytes) -> bool:
    match signed.by:
        case "address":
            return _same(in_address, secret.reveal())
        case "bearer":
            given = headers.get("Authorization", "")
            return given.startswith(BEARER) and _same(given.removeprefix(BEARER), secret.reveal())
        case "hmac-sha256":
            assert signed.header is not None
            given = headers.get(signed.header, "").strip()
            return given.startswith(signed.prefix) and _same(*_alike(signed, given, _signature(signed, secret, body)))


def _signature(signed: Signed, secret: Secret, body: bytes) -> str:
    digest = hmac.new(secret.reveal().encode(), body, hashlib.sha256).digest()
    return digest.hex() if signed.written == "hex" else base64.b64encode(digest).decode()


def _alike(signed: Signed, given: str, made: str) -> tuple[str, str]:
    given = given.removeprefix(signed.prefix)
    # Fivetran writes its digits in capitals.
    return (given.lower(), made) if signed.written == "hex" else (given, made)


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())
