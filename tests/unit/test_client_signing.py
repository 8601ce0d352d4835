"""The host's tokens: regrant's own check takes them, they live for minutes, and are made again in time."""

import time
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from joserfc.jwk import ECKey, RSAKey

from regrant_client import Signer
from service.http.auth import Authenticator
from service.settings.model import Jwt

ISSUER = "https://host.example"


async def checked(settings: Jwt, token: str) -> tuple[str, str, frozenset[str]]:
    request = make_mocked_request("GET", "/", headers={"Authorization": f"Bearer {token}"})
    caller = await Authenticator(settings).caller(request)
    return caller.tenant, caller.subject, caller.scopes


async def test_regrant_takes_a_token_that_is_signed_with_the_shared_secret(tmp_path: Path) -> None:
    key = tmp_path / "jwt.key"
    key.write_text("a secret of the host that is long enough\n")
    settings = Jwt(issuer=ISSUER, audience="regrant", hs256_key_file=key)
    signer = Signer.with_secret(key.read_bytes(), issuer=ISSUER, subject="billing")
    assert await checked(settings, signer.token("acme", "tokens:read")) == ("acme", "billing", {"tokens:read"})


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_regrant_takes_a_token_whose_public_key_the_host_serves(algorithm: str, tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(2048)
    signer = Signer.with_private_key(key.as_pem(private=True), issuer=ISSUER, key_id="2026-11", algorithm=algorithm)  # type: ignore[arg-type]
    served = orjson.dumps(signer.public_keys())
    assert b'"d"' not in served and b'"kid":"2026-11"' in served
    (tmp_path / "jwks.json").write_bytes(served)
    settings = Jwt(issuer=ISSUER, audience="regrant", jwks_file=tmp_path / "jwks.json")
    assert await checked(settings, signer.token("acme", "tokens:read")) == ("acme", "backend", {"tokens:read"})


def test_a_token_is_used_again_until_a_quarter_of_its_life_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("regrant_client.signing.time.time", lambda: now)
    signer = Signer.with_secret("a secret of the host that is long enough", issuer=ISSUER)
    signer.life = timedelta(seconds=100)
    first = signer.token("acme", "tokens:read")
    now += 74
    assert signer.token("acme", "tokens:read") == first
    assert signer.token("acme", "connectors:read") != first and signer.token("other", "tokens:read") != first
    now += 2
    assert signer.token("acme", "tokens:read") != first


def test_a_weak_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Signer.with_secret("short", issuer=ISSUER)
