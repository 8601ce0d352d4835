"""Signatures of webhooks: Standard Webhooks 1.0.0, symmetric (`v1`), one for each secret that is there."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from schemas.secret import Secret
from service.webhooks.events import Event

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret."""


class BadSecret(Exception):
    """A file doesn't hold a signing secret. The text names the file and nothing that is in it."""


def secret_of(path: Path) -> Secret:
    """The signing secret in a file. Raises `BadSecret`."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSecret(f"{path} can't be read ({type(error).__name__})") from None
    try:
        decoded = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        decoded = b""
    if not text.startswith(PREFIX) or not SHORTEST <= len(decoded) <= LONGEST:
        raise BadSecret(f"{path} must hold {PREFIX} and {SHORTEST} to {LONGEST} bytes as base64")
    return Secret(text)


def headers_of(event: Event, at: datetime, secrets: Sequence[Secret]) -> dict[str, str]:
    """The three headers of a try that is made at that instant."""
    stamp = str(int(at.timestamp()))
    signed = f"{event.id}.{stamp}.".encode() + event.body
    return {
        "webhook-id": event.id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _signature(secret: Secret, signed: bytes) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
