"""ID tokens (OpenID Connect Core 2) as Intuit signs them: RS256, key published as a JWK set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from service.demo.simulator.grants import IssuedTokens
from service.demo.simulator.world import World

KEY_ID = "OPENID.SIMULATED.1"


@cache
def _key() -> RSAKey:
    """One for all simulators of a process: to make it takes longer than the rest of such a start."""
    return RSAKey.generate_key(2048, {"kid": KEY_ID, "use": "sig", "alg": "RS256"})


class IdTokenSigner:
    """One key for the life of a simulator."""

    def __init__(self) -> None:
        self._key = _key()

    def jwks(self) -> dict[str, Any]:  # Any: a JWK set is free JSON
        return {"keys": [self._key.as_dict(private=False)]}

    def sign(self, world: World, tokens: IssuedTokens, issuer: str, described: Mapping[str, Any] | None = None) -> str:
        """The ID token for an exchanged code. `aud` is a list, as Intuit's own client expects.

        `described` are the claims of a provider that is played from its description, instead of Intuit's own.
        """
        code = tokens.code
        assert code is not None, "Intuit gives an ID token with the code's exchange only"
        now = int(world.clock().timestamp())
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": tokens.grant.sub,
            "aud": [world.client.client_id],
            "iat": now,
            "exp": now + int(tokens.expires_in.total_seconds()),
            "auth_time": int(tokens.grant.consented_at.timestamp()),
        }
        if code.nonce is not None:
            claims["nonce"] = code.nonce
        if described is not None:
            claims |= described
        elif code.realm_claim:
            claims[world.settings.realm_claim_name] = tokens.grant.realm
        return jwt.encode({"alg": "RS256", "kid": KEY_ID}, claims, self._key)
