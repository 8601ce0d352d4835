"""Two hundred secrets of every shape that one has, by their looks: to be put where names and ids should stand.

They are nobody's, and without the run's marker, since tests put them into tables.
"""

import base64
import random
import string
from collections.abc import Callable

_random = random.Random(25)


def _letters(alphabet: str, number: int) -> str:
    return "".join(_random.choice(alphabet) for _ in range(number))


def _urlsafe(number: int) -> str:
    return base64.urlsafe_b64encode(_random.randbytes(number)).rstrip(b"=").decode()


def _jwt() -> str:
    head, body, signature = (base64.urlsafe_b64encode(_random.randbytes(n)).rstrip(b"=").decode() for n in (24, 60, 32))
    return f"eyJ{head}.eyJ{body}.{signature}"


_MIXED = string.ascii_letters + string.digits
SHAPES: dict[str, Callable[[], str]] = {
    "a handoff, state, verifier or cookie of ours": lambda: _urlsafe(32),
    "a completion token": lambda: _urlsafe(24),
    "Intuit's authorization code": lambda: f"AB11{_letters(string.digits, 12)}{_letters(_MIXED, 34)}",
    "Intuit's refresh token": lambda: (
        f"RT1-{_letters(string.digits, 3)}-H0-{_letters(string.digits, 10)}{_letters('abcdefghij0123456789', 24)}"
    ),
    "a client's secret": lambda: _letters(_MIXED, 40),
    "a JSON web token": _jwt,
    "a key in hexadecimal": lambda: _random.randbytes(32).hex(),
    "half a key in hexadecimal": lambda: _random.randbytes(16).hex(),
    "a key in base64": lambda: base64.b64encode(_random.randbytes(32)).decode(),
    "a key in base32": lambda: base64.b32encode(_random.randbytes(20)).decode(),
    "a token of lower case": lambda: _letters(string.ascii_lowercase + string.digits, 32),
    "a Google token": lambda: f"ya29.a0{_letters(_MIXED + '-_', 60)}",
    "a Stripe key": lambda: f"sk_live_{_letters(_MIXED, 24)}",
    "a Salesforce token": lambda: f"00D{_letters(_MIXED, 12)}!{_letters(_MIXED + '._', 40)}",
    "a Vault token": lambda: f"hvs.{_letters(_MIXED, 24)}",
    "a Shopify token": lambda: f"shpat_{_random.randbytes(16).hex()}",
}
SECRETS = [(shape, make()) for _ in range(13) for shape, make in SHAPES.items()][:200]


def parts_of(secret: str) -> list[str]:
    """What of a secret must not be seen: it, and each long part of it."""
    return [secret, *(part for part in secret.replace("!", ".").split(".") if len(part) >= 20)]
