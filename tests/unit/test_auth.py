"""Who calls (S38), by a published set of keys: which tokens count, and what a set that changes or is away means."""

import base64
import hmac
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, make_mocked_request
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from schemas.problems import ProblemCode
from schemas.routes import Scope
from service.http import auth
from service.http.auth import Authenticator, Caller
from service.http.problems import ApiProblem
from service.settings.model import Jwt

RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
LATER = ECKey.generate_key("P-256", {"kid": "later", "use": "sig"})


def published(*keys: RSAKey | ECKey) -> bytes:
    return orjson.dumps(KeySet(list(keys)).as_dict(private=False))


def urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(key: Any, alg: str, **changes: Any) -> str:
    claims = {
        "iss": "https://host.example",
        "aud": "regrant",
        "exp": int(time.time()) + 60,
        "tenant": "drivewell",
        "scope": "tokens:read",
        **changes,
    }
    return jwt.encode({"alg": alg, "kid": getattr(key, "kid", None) or "none"}, claims, key, algorithms=[alg])


@pytest.fixture
def authenticator(tmp_path: Path) -> Authenticator:
    file = tmp_path / "jwks.json"
    file.write_bytes(published(RSA, EC))
    return Authenticator(Jwt(issuer="https://host.example", audience="regrant", jwks_file=file))


async def caller(authenticator: Authenticator, bearer: str) -> Caller:
    request = make_mocked_request("GET", "/", headers={"Authorization": f"Bearer {bearer}"})
    found = await authenticator.caller(request)
    found.check(Scope.TOKENS_READ)
    return found


async def refused(authenticator: Authenticator, bearer: str) -> ProblemCode:
    with pytest.raises(ApiProblem) as problem:
        await caller(authenticator, bearer)
    return problem.value.code


async def test_s38_published_keys_of_both_kinds_count(authenticator: Authenticator) -> None:
    for key, alg in ((RSA, "RS256"), (EC, "ES256")):
        assert (await caller(authenticator, token(key, alg))).tenant == "drivewell"


async def test_s38_a_public_key_is_no_shared_secret(authenticator: Authenticator) -> None:
    """The classical confusion: a token signed by HS256 with the text of the public key."""
    for text in (RSA.as_pem(private=False), RSA.as_pem(private=False).strip(), published(RSA)):
        unsigned = token(RSA, "RS256").split(".")[1]
        head = urlsafe(orjson.dumps({"alg": "HS256", "kid": "rsa"}))
        signature = urlsafe(hmac.digest(text, f"{head}.{unsigned}".encode(), "sha256"))
        forged = f"{head}.{unsigned}.{signature}"
        assert await refused(authenticator, forged) is ProblemCode.UNAUTHENTICATED


async def test_s38_another_key_algorithm_or_none_at_all_doesnt_count(authenticator: Authenticator) -> None:
    head, body, signature = token(RSA, "RS256").split(".")
    none = "eyJhbGciOiJub25lIn0"
    for forged in (
        token(LATER, "ES256"),
        token(RSA, "RS512"),
        token(RSA, "PS256"),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        "a.b.c",
        ".." * 10,
    ):
        assert await refused(authenticator, forged) is ProblemCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "a b"},
        {"tenant": "a\0"},
        {"tenant": "t" * 129},
        {"tenant": 7},
        {"sub": "a\0"},
        {"nbf": 2**33},
        {"scope": 7},
    ],
    ids=str,
)
async def test_s38_a_claim_that_is_no_name_doesnt_count(authenticator: Authenticator, changes: dict[str, Any]) -> None:
    assert await refused(authenticator, token(RSA, "RS256", **changes)) is ProblemCode.UNAUTHENTICATED


class Host:
    """Publishes keys, or is away."""

    def __init__(self) -> None:
        self.keys: bytes | None = published(EC)
        self.asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.keys is None:
            raise web.HTTPServiceUnavailable
        return web.Response(body=self.keys)


async def test_s38_new_keys_count_at_once_and_nobody_makes_us_ask_for_them_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    host, app = Host(), web.Application()
    app.router.add_get("/jwks", host.answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/jwks")).replace("127.0.0.1", "localhost")
        authenticator = Authenticator(Jwt(issuer="https://host.example", audience="regrant", jwks_url=url))
        host.keys = None
        assert await refused(authenticator, token(EC, "ES256")) is ProblemCode.BUSY  # not the caller's fault
        now[0] += 11
        host.keys = published(EC)
        await caller(authenticator, token(EC, "ES256"))

        asked = host.asked
        for _ in range(20):
            assert await refused(authenticator, token(LATER, "ES256")) is ProblemCode.UNAUTHENTICATED
        assert host.asked == asked
        host.keys = published(EC, LATER)
        now[0] += 11
        await caller(authenticator, token(LATER, "ES256"))

        host.keys = None
        now[0] += 3600
        await caller(authenticator, token(LATER, "ES256"))  # the older set is better than none
