"""Makes secrets recognisable: whatever is minted in this process begins with the marker, and stays as long as it was.

States, verifiers, handoffs, cookies, completion tokens and the simulator's codes and tokens all come from
`secrets.token_urlsafe`, key-encryption keys and data keys from `secrets.token_bytes`. Short values (nonces) are left
alone.
"""

import secrets

MARKER = "Zk7qMARKx3Wv"
"""Twelve characters that base64 has, too; by chance it comes once in 10^21 places."""
SHORTEST_KEY = 32

_token_urlsafe = secrets.token_urlsafe
_token_bytes = secrets.token_bytes


def _marked_urlsafe(nbytes: int | None = None) -> str:
    token = _token_urlsafe(nbytes)
    return MARKER + token[len(MARKER) :] if len(token) > len(MARKER) + 8 else token


def _marked_bytes(nbytes: int | None = None) -> bytes:
    made = _token_bytes(nbytes)
    return MARKER.encode() + made[len(MARKER) :] if len(made) >= SHORTEST_KEY else made


def plant() -> None:
    """From now on."""
    secrets.token_urlsafe = _marked_urlsafe
    secrets.token_bytes = _marked_bytes
