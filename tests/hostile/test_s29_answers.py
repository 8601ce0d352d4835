"""Hostile answers (S29): each of the table leads where the table says, at each place, within the call's bounds."""

import asyncio
import base64
import hmac
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from schemas.reasons import Reason
from schemas.secret import Secret
from service.oauth import outbound as module
from service.oauth.grant import LONGEST, LONGEST_WAIT, Grant, Refusal, Unavailable, exchange, refresh, revoke
from service.oauth.outbound import Outbound
from service.oauth.verification import Rejection, VerifiedAccount, verify
from tests.hostile.answers import AGAIN, ANSWERS, COMPANY, DONE, GRANT, NO_ANSWER, PROVED, HostileAnswer, json, refused
from tests.hostile.provider import provider_at
from tests.hostile.server import HostileServer, hostile_server

MEMORY = 50_000_000
PATIENCE_S = 30.0
"""A call that isn't bounded at all fails here; the bound itself is `outbound.TOTAL_S`."""


@pytest.fixture
async def server() -> AsyncIterator[HostileServer]:
    async with hostile_server() as server:
        yield server


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as outbound:
        yield outbound


@pytest.fixture
def within_bounds(monkeypatch: pytest.MonkeyPatch) -> "Callable[[HostileAnswer], None]":
    """The bound of a call, lowered for an answer that only it ends."""

    def lowered(answer: HostileAnswer) -> None:
        if answer.endless:
            monkeypatch.setattr(module, "TOTAL_S", 0.2)

    return lowered


def answers_at(place: str) -> list[HostileAnswer]:
    return [answer for answer in ANSWERS if getattr(answer, place) is not None]


def test_s29_there_are_forty_answers_at_least_and_no_two_of_a_name() -> None:
    assert len({answer.name for answer in ANSWERS}) == len(ANSWERS) >= 40


def named(answer: HostileAnswer) -> str:
    return answer.name.replace(" ", "-")


def led_to(result: object) -> str:
    """Where a call led, in the words of the table."""
    match result:
        case Grant():
            return GRANT
        case Refusal(reason) | Rejection(reason):
            return refused(reason.value)
        case VerifiedAccount():
            return PROVED
        case Unavailable(sent=True):
            return NO_ANSWER
        case None:
            return DONE
    return repr(result)


@asynccontextmanager
async def bounded() -> AsyncIterator[None]:
    """A block that ends by itself, and takes no more memory than a call may."""
    tracemalloc.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


# The token endpoint.


@pytest.mark.parametrize("answer", answers_at("token"), ids=named)
async def test_s29_at_the_token_endpoint(
    server: HostileServer, outbound: Outbound, within_bounds: Callable[[HostileAnswer], None], answer: HostileAnswer
) -> None:
    within_bounds(answer)
    server.scripts["token"] = answer.script
    config = provider_at(f"http://127.0.0.1:{server.port}")
    async with bounded():
        exchanged = await exchange(
            outbound, config, code=Secret("code"), verifier=Secret("v" * 43), redirect_uri="https://h.example/cb"
        )
        refreshed = await refresh(outbound, config, Secret("rt-0"))
    assert (led_to(exchanged), led_to(refreshed)) == (answer.token, answer.token)
    assert server.of("token") == 2  # once each: nothing is repeated by itself
    if isinstance(exchanged, Unavailable):
        assert exchanged.retry_after == answer.wait
        assert exchanged.retry_after is None or exchanged.retry_after <= LONGEST_WAIT
    if isinstance(exchanged, Grant):
        check_grant(exchanged)


def check_grant(grant: Grant) -> None:
    """What a grant holds can be sent, stored and reckoned with."""
    texts = [grant.access_token.reveal(), grant.scope]
    texts += [token.reveal() for token in (grant.refresh_token, grant.id_token) if token]
    assert grant.access_token == Secret("at-1")
    assert all(text is None or (text.isascii() and text.isprintable()) for text in texts)
    for lifetime in (grant.access_expires_in, grant.refresh_expires_in, grant.hard_expires_in):
        assert lifetime is None or timedelta(0) <= lifetime <= LONGEST


@pytest.mark.parametrize("scope", ["openid", 1, "com.intuit.quickbooks.accounting \0", {"a": 1}])
async def test_s29_a_scope_that_lacks_or_cant_be_read_is_a_scope_missing(
    server: HostileServer, outbound: Outbound, scope: object
) -> None:
    server.scripts["token"] = json({"access_token": "at-1", "scope": scope})
    config = provider_at(f"http://127.0.0.1:{server.port}")
    grant = await refresh(outbound, config, Secret("rt-0"))
    assert isinstance(grant, Grant)
    result = await verify(outbound, config, grant, expected=None, claimed="1", nonce=None)
    assert led_to(result) == refused("scope_missing")


# Revocation.


@pytest.mark.parametrize("answer", answers_at("revoke"), ids=named)
async def test_s29_at_the_revocation_endpoint(
    server: HostileServer, outbound: Outbound, within_bounds: Callable[[HostileAnswer], None], answer: HostileAnswer
) -> None:
    within_bounds(answer)
    server.scripts["revoke"] = answer.script
    async with bounded():
        result = await revoke(outbound, provider_at(f"http://127.0.0.1:{server.port}"), Secret("rt-0"))
    assert led_to(result) == {AGAIN: NO_ANSWER, DONE: DONE}[answer.revoke or ""]


# The API.


@pytest.mark.parametrize("answer", answers_at("api"), ids=named)
async def test_s29_at_the_api(
    server: HostileServer, outbound: Outbound, within_bounds: Callable[[HostileAnswer], None], answer: HostileAnswer
) -> None:
    within_bounds(answer)
    server.scripts["api"] = answer.script
    async with bounded():
        config = provider_at(f"http://127.0.0.1:{server.port}")
        result = await verify(outbound, config, Grant(Secret("at-1")), expected=None, claimed="17", nonce=None)
    assert led_to(result) == (NO_ANSWER if answer.api == AGAIN else answer.api)
    if isinstance(result, VerifiedAccount):
        assert result.account.name.startswith("Acme") and result.account.name.isprintable()
        assert len(result.account.name) <= 200
    if isinstance(result, Unavailable):
        assert result.request_id is None or len(result.request_id) <= 200
    if isinstance(result, Rejection) and result.evidence is not None:
        assert result.evidence.code is None or result.evidence.code.isprintable()


# The keys of the ID token, and the ID token itself.

KEY = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
ISSUER = "https://oauth.platform.intuit.com/op/v1"
PUBLIC = KeySet([KEY]).as_dict(private=False)


def claims(**changes: object) -> dict[str, object]:
    told = {"iss": ISSUER, "aud": "client-of-the-host", "sub": "u-1", "exp": int(time.time()) + 60, "realmid": "17"}
    return {**told, **changes}


def signed(told: dict[str, object], **header: object) -> str:
    return jwt.encode({"alg": "RS256", "kid": "k", **header}, told, KEY, algorithms=["RS256"])


async def verified(server: HostileServer, outbound: Outbound, id_token: str) -> str:
    hosts_but_the_issuers = {
        host: f"http://127.0.0.1:{server.port}"
        for host in ("oauth.platform.intuit.com/op/v1/jwks", "quickbooks.api.intuit.com")
    }
    config = provider_at("", hosts=hosts_but_the_issuers)
    server.scripts.setdefault("api", json(COMPANY))
    grant = Grant(Secret("at-1"), id_token=Secret(id_token))
    async with bounded():
        return led_to(await verify(outbound, config, grant, expected=None, claimed="17", nonce="n-1"))


async def test_s29_an_id_token_that_is_right_is_accepted(server: HostileServer, outbound: Outbound) -> None:
    server.scripts["jwks"] = json(PUBLIC)
    assert await verified(server, outbound, signed(claims())) == PROVED
    assert await verified(server, outbound, signed(claims(nonce="n-1"))) == PROVED


@pytest.mark.parametrize("answer", answers_at("jwks"), ids=named)
async def test_s29_at_the_key_set(
    server: HostileServer, outbound: Outbound, within_bounds: Callable[[HostileAnswer], None], answer: HostileAnswer
) -> None:
    within_bounds(answer)
    server.scripts["jwks"] = answer.script
    result = await verified(server, outbound, signed(claims()))
    assert result == (NO_ANSWER if answer.jwks == AGAIN else answer.jwks)
    assert server.of("api") == 0  # whatever it was, no call was made that would have trusted it


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unsigned(header: bytes, told: bytes, signature: bytes = b"") -> str:
    return ".".join(map(b64, (header, told, signature)))


def with_the_public_key_as_a_secret() -> str:
    """HS256, keyed with what everybody knows: the public key's PEM."""
    signed_part = ".".join(map(b64, (b'{"alg":"HS256","kid":"k"}', RIGHT)))
    digest = hmac.digest(KEY.as_pem(private=False), signed_part.encode(), "sha256")
    return f"{signed_part}.{b64(digest)}"


def with_a_key_of_its_own() -> str:
    mine = RSAKey.generate_key(2048, {"kid": "k"})
    header = {"alg": "RS256", "kid": "k", "jwk": mine.as_dict(private=False)}
    return jwt.encode(header, claims(), mine, algorithms=["RS256"])


RIGHT = orjson.dumps(claims(exp=4_000_000_000))
ID_TOKENS: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned(b'{"alg":"none"}', RIGHT),
    "alg None": lambda: unsigned(b'{"alg":"None","kid":"k"}', RIGHT),
    "no alg": lambda: unsigned(b'{"kid":"k"}', RIGHT, b"x"),
    "a list for alg": lambda: unsigned(b'{"alg":["RS256"],"kid":"k"}', RIGHT, b"x"),
    "HS256 with the public key": with_the_public_key_as_a_secret,
    "a key of its own": with_a_key_of_its_own,
    "a signature of something else": lambda: signed(claims()).rsplit(".", 1)[0] + "." + signed({}).rsplit(".", 1)[1],
    "no signature": lambda: signed(claims()).rsplit(".", 1)[0] + ".",
    "an unknown key id": lambda: signed(claims(), kid="other"),
    "an unknown critical header": lambda: unsigned(b'{"alg":"RS256","kid":"k","crit":["x"],"x":1}', RIGHT, b"x"),
    "another issuer": lambda: signed(claims(iss="https://evil.example")),
    "an issuer that only begins alike": lambda: signed(claims(iss=f"{ISSUER}.evil.example")),
    "another audience": lambda: signed(claims(aud="other")),
    "an object for the audience": lambda: signed(claims(aud={"client-of-the-host": 1})),
    "expired": lambda: signed(claims(exp=1)),
    "an exp that is text": lambda: signed(claims(exp="tomorrow")),
    "no exp": lambda: signed({name: value for name, value in claims().items() if name != "exp"}),
    "another nonce": lambda: signed(claims(nonce="n-2")),
    "an object for the account": lambda: signed(claims(realmid={"$ne": 1})),
    "an account with NUL": lambda: signed(claims(realmid="17\0")),
    "another account than the callback's": lambda: signed(claims(realmid="18")),
    "a header that is nested too deep": lambda: unsigned(b'{"alg":' + b"[" * 5000 + b"]" * 5000 + b"}", RIGHT, b"x"),
    "claims that are nested too deep": lambda: unsigned(b'{"alg":"RS256","kid":"k"}', b"[" * 5000, b"x"),
    "claims that are a list": lambda: unsigned(b'{"alg":"RS256","kid":"k"}', b"[1]", b"x"),
    "a header that is a list": lambda: unsigned(b"[1]", RIGHT, b"x"),
    "two parts": lambda: "a.b",
    "five parts": lambda: "a.b.c.d.e",
    "dots only": lambda: "..",
    "no base64": lambda: "!.!.!",
    "16 kB of one part": lambda: "a" * 16_384,
}


@pytest.mark.parametrize("made", ID_TOKENS.values(), ids=ID_TOKENS.keys())
async def test_s29_an_id_token_that_is_wrong_ends_the_attempt(
    server: HostileServer, outbound: Outbound, made: Callable[[], str]
) -> None:
    server.scripts["jwks"] = json(PUBLIC)
    assert await verified(server, outbound, made()) == refused(Reason.CODE_REFUSED.value)
    assert server.of("api") == 0
