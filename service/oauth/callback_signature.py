"""The signature of a callback, at providers that sign it: HMAC-SHA256 of all other parameters under our secret.

Shopify signs so that nobody can put another shop's name into the address: the token request goes to that shop's host.
"""

import hashlib
import hmac
from urllib.parse import parse_qsl

from service.oauth.callback import BadCallback
from service.oauth.description import ProviderConfig


def check_signature(config: ProviderConfig, raw_query: str) -> None:
    """Raises `BadCallback` for a callback without its provider's signature; does nothing where none is described."""
    name = config.description.identity.callback_hmac
    if name is None:
        return
    values = dict(parse_qsl(raw_query, keep_blank_values=True))  # read strictly before: nothing is there twice
    given = values.pop(name, "")
    if not hmac.compare_digest(given.encode(), signature(config.client_secret.reveal(), values).encode()):
        raise BadCallback("not signed by the provider")


def signature(secret: str, values: dict[str, str]) -> str:
    """The signature of a callback's parameters, in hexadecimal: sorted by name, joined as a query, not encoded."""
    message = "&".join(f"{name}={value}" for name, value in sorted(values.items()))
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
