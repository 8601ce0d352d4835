"""What the tokens themselves say: the ID token's claims with its signature checked, and the access token's."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from schemas.reasons import Reason
from schemas.secret import Secret
from service.oauth.description import ProviderConfig
from service.oauth.grant import Grant, Unavailable, unavailable_of
from service.oauth.outbound import NoAnswer, Outbound
from service.oauth.verdict import plain, text_of

LONGEST = 200
"""Characters of a claim that an address is made of."""

_CLAIM_IN_BRACES = re.compile(r"\{([a-z_]+)\}")
_PLAIN = re.compile(r"[A-Za-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True)
class Claims:
    """What the tokens say."""

    subject: str | None
    account: str | None
    values: Mapping[str, str] = field(default_factory=dict)
    """What the description wants from the access token, by name; fit to stand in an address."""


@dataclass(frozen=True, slots=True)
class BadToken:
    """A token isn't for us, isn't of this provider, or contradicts another."""

    why: str


async def claims_of(
    outbound: Outbound, config: ProviderConfig, grant: Grant, nonce: str | None
) -> Claims | BadToken | Unavailable:
    """The claims of both tokens. Where both name an account, it is the same."""
    claims = await _id_token(outbound, config, grant, nonce)
    if not isinstance(claims, Claims):
        return claims
    values = _access_token(config, grant)
    own = values.pop("account", None)
    if own is not None and (not _is_account(config, own) or claims.account not in (None, own)):
        return BadToken("account")
    return Claims(claims.subject, claims.account or own, values)


# The access token.


def _access_token(config: ProviderConfig, grant: Grant) -> dict[str, str]:
    """What the description wants from the access token's claims.

    Its signature isn't for us: it came from the token endpoint itself over TLS (OpenID Connect Core 3.1.3.7, 6).
    """
    places = config.description.identity.access_token_claims
    told = _payload(grant.access_token) if places else None
    if not isinstance(told, dict):
        return {}
    found: dict[str, str] = {}
    for name, place in places.items():
        value = told.get(place.claim)
        text = text_of(value[0] if isinstance(value, list) and value else value)
        parts = [] if text is None else text.split(place.separator) if place.separator else [text]
        if place.part < len(parts) and 0 < len(parts[place.part]) <= LONGEST:
            found[name] = parts[place.part] if name == "account" else quote(parts[place.part], safe="")
    return found


def _payload(token: Secret) -> object:
    """The claims of a JWT (RFC 7519 3); nothing for a token that is none."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        return orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):  # neither base64 nor JSON, or deeper than anything that is meant
        return None


# The ID token (OpenID Connect Core 3.1.3.7).


async def _id_token(
    outbound: Outbound, config: ProviderConfig, grant: Grant, nonce: str | None
) -> Claims | BadToken | Unavailable:
    description = config.description
    if grant.id_token is None or description.jwks_uri is None or description.issuer is None:
        return Claims(None, None)
    answer = await outbound.call(
        config, "api", "GET", config.address(description.jwks_uri), headers={"Accept": "application/json"}
    )
    if isinstance(answer, NoAnswer):
        return Unavailable(Reason.NETWORK_ERROR, answer.sent)
    if answer.status != 200:
        return unavailable_of(config, answer)
    try:
        keys = KeySet.import_key_set(orjson.loads(answer.body))
        token = jwt.decode(grant.id_token.reveal(), keys, algorithms=["RS256", "ES256"])
        jwt.JWTClaimsRegistry(
            leeway=60,
            iss={"essential": True, "value": _issuer(config, description.issuer, token.claims)},
            aud={"essential": True, "value": config.client_id},
            exp={"essential": True},
        ).validate(token.claims)
    # What a key set or a token may look like is up to who sent it: wrong types, and nested deeper than Python reads.
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return BadToken(type(error).__name__)
    # Intuit may leave the nonce out; the token came over the very connection that redeemed our code with PKCE.
    if nonce is not None and token.claims.get("nonce") not in (None, nonce):
        return BadToken("nonce")
    account = next((token.claims[c] for c in description.identity.id_token_claims if c in token.claims), None)
    if account is not None and not _is_account(config, account := str(account)):
        return BadToken("account")
    subject = token.claims.get("sub")
    return Claims(plain(str(subject))[:200] if subject else None, account)


def _is_account(config: ProviderConfig, text: str) -> bool:
    return re.fullmatch(config.description.identity.pattern, text, re.ASCII) is not None


def _issuer(config: ProviderConfig, issuer: str, claims: Mapping[str, object]) -> str:
    """The issuer; at a provider with one a customer, with the token's own claim in it, whose signature holds by now."""
    names = set(_CLAIM_IN_BRACES.findall(issuer)) - config.description.environments[config.environment].keys()
    own = {name: value for name in names if isinstance(value := claims.get(name), str) and _PLAIN.fullmatch(value)}
    return config.address(issuer, **own)
