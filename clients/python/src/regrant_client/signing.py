"""The host's tokens for regrant: JWTs that live for minutes, each for one tenant and for one kind of call."""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

MOST_KEPT = 10_000
"""Tokens that are kept to be used again."""
SHORTEST_SECRET = 32


@dataclass(slots=True)
class Signer:
    """Signs as this host. Made by `with_secret` or `with_private_key`; its `repr` holds no key and no token."""

    issuer: str
    """As `REGRANT_JWT__ISSUER` names it."""
    audience: str
    """As `REGRANT_JWT__AUDIENCE` names it."""
    algorithm: Literal["HS256", "RS256", "ES256"]
    key: OctKey | RSAKey | ECKey = field(repr=False)
    subject: str = "backend"
    """Who of the host calls; regrant's history names it."""
    life: timedelta = timedelta(minutes=5)
    _kept: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def with_secret(
        cls, secret: str | bytes, *, issuer: str, audience: str = "regrant", subject: str = "backend"
    ) -> "Signer":
        """Signs with a secret that regrant knows, too (HS256). Raises ValueError below 32 bytes."""
        raw = (secret.encode() if isinstance(secret, str) else secret).strip()
        if len(raw) < SHORTEST_SECRET:
            raise ValueError(f"HS256 needs a secret of {SHORTEST_SECRET} bytes at least, this one has {len(raw)}")
        return cls(issuer, audience, "HS256", OctKey.import_key(raw), subject)

    @classmethod
    def with_private_key(
        cls,
        pem: str | bytes,
        *,
        issuer: str,
        key_id: str,
        audience: str = "regrant",
        subject: str = "backend",
        algorithm: Literal["RS256", "ES256"] = "ES256",
    ) -> "Signer":
        """Signs with a key of the host's own; regrant reads its public half (`public_keys`) from the host."""
        kind = ECKey if algorithm == "ES256" else RSAKey
        key: ECKey | RSAKey = kind.import_key(pem, {"kid": key_id, "use": "sig", "alg": algorithm})
        return cls(issuer, audience, algorithm, key, subject)

    def token(self, tenant: str, scope: str) -> str:
        """A token for one tenant that allows `scope`; the same one until a quarter of its life is left."""
        now = time.time()
        token, good_until = self._kept.get((tenant, scope), ("", 0.0))
        if now >= good_until:
            token = self._signed(tenant, scope, int(now))
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[tenant, scope] = (token, now + 0.75 * self.life.total_seconds())
        return token

    def public_keys(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK set that the host serves at the address in `REGRANT_JWT__JWKS_URL`; empty for a shared secret."""
        if isinstance(self.key, OctKey):
            return {"keys": []}
        return {"keys": [dict(self.key.as_dict(private=False))]}

    def _signed(self, tenant: str, scope: str, now: int) -> str:
        header = {"alg": self.algorithm} | ({"kid": self.key.kid} if self.key.kid else {})
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": self.subject,
            "tenant": tenant,
            "scope": scope,
            "iat": now,
            "exp": now + int(self.life.total_seconds()),
        }
        return jwt.encode(header, claims, self.key, algorithms=[self.algorithm])
