"""Who calls: the host's JWT names its tenant and what it may do. Neither is ever taken from a path or a body."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import orjson
import structlog
from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from schemas.ids import TenantId
from schemas.lifecycle import ActorKind
from schemas.problems import ProblemCode
from schemas.routes import Reach, Scope
from service.http.problems import ApiProblem
from service.settings.model import Jwt

log = structlog.get_logger()

LEEWAY_S = 30
JWKS_FOR_S = 300.0
JWKS_AGAIN_S = 10.0
"""How soon the JWK set may be read again for a key that it didn't hold: a host may change its keys at any time, and
nobody can make us read it more often than this."""
LARGEST_TOKEN = 8192
_TENANT = re.compile(r"[A-Za-z0-9._~-]{1,128}")

WHOLE_FLEET = TenantId("*")
"""In place of a tenant: the caller speaks for all of them. No tenant can have that name."""
NAMED_BY = "Regrant-Tenant"
"""The header in which such a caller names the tenant that a request is about."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the host's backend, speaking for one tenant, or its operators, speaking for the whole fleet."""

    tenant: TenantId
    subject: str
    scopes: frozenset[str]
    kind: ActorKind = ActorKind.HOST
    """As what it acts."""

    @property
    def only(self) -> TenantId | None:
        """The tenant that this is about alone; `None`: the whole fleet."""
        return None if self.tenant == WHOLE_FLEET else self.tenant

    def check(self, scope: Scope) -> None:
        """Raises `ApiProblem` when this caller's token doesn't allow `scope`."""
        if scope.value not in self.scopes:
            raise ApiProblem(ProblemCode.SCOPE_MISSING, f"The scope {scope.value} is needed.")

    def on(self, reach: Reach, headers: Mapping[str, str]) -> "Caller":
        """The caller as it stands before a route of that reach. Raises `ApiProblem` where it doesn't reach as far.

        A tenant's own token is of that tenant, whatever the header says.
        """
        named = headers.get(NAMED_BY)
        if named is not None and not _TENANT.fullmatch(named):
            raise ApiProblem(ProblemCode.MALFORMED_REQUEST, f"The header {NAMED_BY} holds no tenant's name.")
        if self.tenant != WHOLE_FLEET:
            if reach is Reach.FLEET:
                raise ApiProblem(ProblemCode.WHOLE_FLEET_ONLY)
            return self
        if reach is Reach.FLEET or (named is None and reach is Reach.SPANNING):
            return replace(self, kind=ActorKind.OPERATOR)
        if named is None:
            raise ApiProblem(ProblemCode.TENANT_NEEDED)
        return replace(self, tenant=TenantId(named), kind=ActorKind.OPERATOR)


class Authenticator:
    """Checks bearer tokens against the deployment's keys: HS256 by a file, or RS256 and ES256 by a JWK set."""

    def __init__(self, settings: Jwt) -> None:
        self._settings = settings
        self._shared: OctKey | None = None
        self._algorithms = ["RS256", "ES256"]
        self._keys: KeySet | None = None
        self._read_at, self._next_read_at = -JWKS_FOR_S, 0.0
        self._reading = asyncio.Lock()
        if settings.hs256_key_file is not None:
            secret = settings.hs256_key_file.read_bytes().strip()
            if len(secret) < 32:
                raise WeakKey(f"{settings.hs256_key_file} holds {len(secret)} bytes: HS256 needs 32 at least")
            self._shared, self._algorithms = OctKey.import_key(secret), ["HS256"]

    async def caller(self, request: web.Request) -> Caller:
        """The caller of a request. Raises `ApiProblem` when its token isn't valid."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > LARGEST_TOKEN:
            raise _unauthenticated("no bearer token")
        return await self._checked(token)

    async def _checked(self, token: str) -> Caller:
        try:
            claims = await self._decoded(token)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._settings.issuer},
                aud={"essential": True, "value": self._settings.audience},
                exp={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise _unauthenticated(type(error).__name__) from None
        if claims["aud"] != self._settings.audience:
            raise _unauthenticated("the audience must be this service alone")
        tenant, scope, subject = claims.get("tenant"), claims.get("scope", ""), claims.get("sub", "")
        if not (isinstance(tenant, str) and isinstance(scope, str) and isinstance(subject, str)):
            raise _unauthenticated("the claims tenant, scope and sub are needed")
        if not (tenant == WHOLE_FLEET or _TENANT.fullmatch(tenant)) or "\x00" in subject:
            raise _unauthenticated("the claim tenant or sub is no name")
        return Caller(TenantId(tenant), subject, frozenset(scope.split()))

    async def _decoded(self, token: str) -> dict[str, Any]:
        """The claims of a token with a good signature."""
        if self._shared is not None:
            return jwt.decode(token, self._shared, algorithms=self._algorithms).claims
        keys = await self._key_set(JWKS_FOR_S)
        try:
            return jwt.decode(token, keys, algorithms=self._algorithms).claims
        except (JoseError, ValueError):
            newer = await self._key_set(0)  # perhaps by a key that was published since
            if newer is keys:
                raise
        return jwt.decode(token, newer, algorithms=self._algorithms).claims

    async def _key_set(self, oldest_s: float) -> KeySet:
        """The host's keys, not read longer ago than this; older ones while it can't be asked. Raises `ApiProblem`."""
        async with self._reading:
            now = time.monotonic()
            if now >= self._next_read_at and now - self._read_at > oldest_s:
                self._next_read_at = now + JWKS_AGAIN_S
                try:
                    self._keys, self._read_at = KeySet.import_key_set(orjson.loads(await self._jwks())), now
                except (aiohttp.ClientError, OSError, JoseError, ValueError, KeyError, TypeError) as error:
                    log.warning("jwks_not_read", error=type(error).__name__)
            if self._keys is None:
                raise ApiProblem(ProblemCode.BUSY, "The host's keys can't be read.", headers={"Retry-After": "5"})
            return self._keys

    async def _jwks(self) -> bytes:
        if self._settings.jwks_file is not None:
            return await asyncio.to_thread(self._settings.jwks_file.read_bytes)
        assert self._settings.jwks_url is not None
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(self._settings.jwks_url, allow_redirects=False, raise_for_status=True) as response,
        ):
            return await response.content.read(256 * 1024)


class WeakKey(Exception):
    """The shared key is too short."""


def _unauthenticated(why: str) -> ApiProblem:
    return ApiProblem(
        ProblemCode.UNAUTHENTICATED, f"The token isn't valid: {why}.", headers={"WWW-Authenticate": "Bearer"}
    )
