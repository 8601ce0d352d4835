"""Calls to regrant's HTTP API as a host's backend makes them: a JWT (HS256) per tenant, JSON, RFC 9457 problems."""

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from joserfc import jwt
from joserfc.jwk import OctKey

ISSUER = "https://drivewell.example"
AUDIENCE = "regrant"
EVERYTHING = (
    "connectors:read connectors:write attempts:write credentials:write tokens:read fleet:read fleet:write console:open"
)
WHOLE_FLEET = "*"
TOKEN_LIFE_S = 300
CALL_LIMIT_S = 30

Json = dict[str, Any]  # Any: what JSON can hold


@dataclass(frozen=True, slots=True)
class Answer:
    """What regrant answered. A problem's `code` is in the body, too."""

    status: int
    body: Json
    headers: Mapping[str, str]

    @property
    def is_good(self) -> bool:
        return self.status < 400

    @property
    def code(self) -> str | None:
        """The kind of problem; `None` when there is none."""
        return None if self.is_good else str(self.body.get("code"))


class Refused(Exception):
    """regrant answered with a problem where the demo can't go on without an answer."""

    def __init__(self, method: str, path: str, answer: Answer) -> None:
        super().__init__(f"{method} {path}: {answer.status} {answer.code}: {answer.body.get('detail')}")
        self.answer = answer


class Regrant:
    """One tenant's view of one deployment."""

    def __init__(self, session: aiohttp.ClientSession, url: str, tenant: str, key_file: Path) -> None:
        self._session = session
        self._key = OctKey.import_key(key_file.read_text().strip())
        self.url = url
        self.tenant = tenant

    def for_whole_fleet(self) -> "Regrant":
        """The same deployment, as its operators see it: every tenant's connectors."""
        operators = copy(self)
        operators.tenant = WHOLE_FLEET
        return operators

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        scope: str = EVERYTHING,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Any call. A POST gets a fresh Idempotency-Key unless one is given. Raises aiohttp.ClientError."""
        headers = {"Authorization": f"Bearer {self._token(scope)}"}
        if method == "POST":
            headers["Idempotency-Key"] = idempotency_key or uuid4().hex
        timeout = aiohttp.ClientTimeout(total=CALL_LIMIT_S)
        async with self._session.request(
            method, self.url + path, json=body, headers=headers, timeout=timeout
        ) as response:
            is_json = response.content_type.endswith("json")
            told = await response.json(content_type=None) if is_json else {"detail": (await response.text())[:300]}
            return Answer(response.status, told, response.headers)

    async def get(self, path: str) -> Json:
        return await self._good("GET", path)

    async def post(self, path: str, body: Json | None = None) -> Json:
        return await self._good("POST", path, body)

    async def _good(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = await self.call(method, path, body)
        if not answer.is_good:
            raise Refused(method, path, answer)
        return answer.body

    def _token(self, scope: str) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "drivewell-backend",
            "tenant": self.tenant,
            "scope": scope,
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
        }
        return jwt.encode({"alg": "HS256"}, claims, self._key)
