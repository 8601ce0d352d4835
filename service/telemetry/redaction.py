"""Redaction: what may be logged or traced of a value. Secrets are masked by type, by name and by their looks."""

import re
from collections.abc import Mapping, Sequence

from schemas.secret import REDACTED, Secret

MASK = REDACTED

_SECRET_WORDS = frozenset(
    {
        *("token", "secret", "password", "passphrase", "code", "state", "cookie", "authorization", "dsn"),
        *("verifier", "assertion", "key", "jwt", "handoff", "nonce"),
    }
)
# Names that hold such a word, and aren't a secret.
_HARMLESS = frozenset(
    {"status_code", "error_code", "reason_code", "from_state", "to_state", "connector_state", "sqlstate"}
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Inside texts: what follows `token=` or `"code":`, `Bearer …`, a JWT anywhere, and the password in an address.
_ASSIGNED = re.compile(
    r"""(?ix) \b ((?:access_|refresh_|id_|client_|api_|code_)?
        (?:token|secret|password|code|state|verifier|handoff|cookie|authorization|dsn))
    (["']? \s* [=:] \s* ["']?) [^\s"'&,;})\]]+"""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@]+@")

_MAX_DEPTH = 6


def redacted(name: str, value: object, depth: int = 0) -> object:
    """`value` as it may be logged under `name`: secrets masked by type, by name and by their looks in a text."""
    if isinstance(value, Secret) or _is_secret_name(name):
        return value if value is None or isinstance(value, bool) else MASK
    if isinstance(value, str):
        return redacted_text(value)
    if depth >= _MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {str(key): redacted(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, bytes | bytearray):
        return f"[{len(value)} bytes]"
    if isinstance(value, Sequence | set | frozenset):
        return [redacted("", inner, depth + 1) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return redacted_text(str(value))


def redacted_text(text: str) -> str:
    """A text without what looks like a secret."""
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _ASSIGNED.sub(rf"\1\2{MASK}", text)
    return _JWT.sub(MASK, text)


def _is_secret_name(name: str) -> bool:
    if name in _HARMLESS:
        return False
    words = [word.lower() for word in _WORDS.findall(name)]
    return any(word in _SECRET_WORDS or word.removesuffix("s") in _SECRET_WORDS for word in words)
