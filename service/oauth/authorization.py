"""The authorization request (RFC 6749 4.1.1, RFC 7636): what the browser is sent to the provider with."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from schemas.secret import Secret
from service.oauth.description import ProviderConfig
from service.oauth.description_file import PROTECTED


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What is asked for and where, and what must be remembered to recognise the answer."""

    endpoint: str
    parameters: Mapping[str, str] = field(repr=False)
    """The state is among them: they go to the browser only, or to the provider itself (RFC 9126)."""
    state: Secret
    verifier: Secret
    nonce: str = field(repr=False)

    @property
    def url(self) -> str:
        """The address to go to with all of it."""
        return f"{self.endpoint}?{urlencode(self.parameters)}"


def authorization_request(
    config: ProviderConfig, redirect_uri: str, account: str | None = None
) -> AuthorizationRequest:
    """A request with a state of 256 random bits, PKCE S256 (always), and a nonce.

    What is protected comes from nowhere else (S13): a description's parameters can't name it. `account` is the one that
    is expected, where the connector is pinned: some providers have an address for each.
    """
    description = config.description
    state, verifier, nonce = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        **{name: value for name, value in description.authorization_parameters.items() if name not in PROTECTED},
        "client_id": config.client_id,
        "response_type": "code",
        "scope": description.scope_separator.join(config.scopes),
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    if description.response_mode != "query":
        query["response_mode"] = description.response_mode
    if "openid" in config.scopes:
        query["nonce"] = nonce
    endpoint = config.address(description.authorization_endpoint)
    if account is not None and description.account_authorization_endpoint is not None:
        endpoint = config.address(description.account_authorization_endpoint, account=account)
    return AuthorizationRequest(endpoint, query, Secret(state), Secret(verifier), nonce)


def hash_of(secret: Secret) -> bytes:
    """SHA-256 of a random secret: what is stored in its place."""
    return hashlib.sha256(secret.reveal().encode()).digest()
