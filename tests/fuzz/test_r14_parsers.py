"""R14, the parsers of what comes from outside: each says yes, or no in its own words, and nothing else."""

import os
import re
from collections.abc import Sequence

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import channels
from schemas.ids import ConnectorId, Generation, ProviderId, TenantId
from schemas.secret import Secret
from service.http.auth import Authenticator
from service.http.problems import ApiProblem
from service.kafka.cloudevents import BadRecord
from service.kafka.decode import decode
from service.oauth.callback import BadCallback, parse_callback
from service.oauth.description import load_descriptions
from service.oauth.verdict import judge
from service.settings.model import Jwt
from service.vault.envelope import SealContext, WrappedKey, open_sealed, seal, unwrapped_parts
from service.vault.keys import SealBroken
from tests.fuzz import grammars
from tests.loop import QUICKBOOKS

DESCRIPTION = load_descriptions()[ProviderId(QUICKBOOKS)]
ISSUER = DESCRIPTION.issuer
EXAMPLES = int(os.environ.get("REGRANT_FUZZ_EXAMPLES", "1000"))
many = settings(max_examples=EXAMPLES, deadline=None, database=None)


def is_storable(text: str | None) -> bool:
    """Whether PostgreSQL's text can hold it."""
    return text is None or ("\0" not in text and text.isascii())


@many
@given(grammars.callback_texts())
def test_r14_s05_a_callback_is_one_answer_to_one_request_or_none_at_all(query: str) -> None:
    try:
        callback = parse_callback(DESCRIPTION, ISSUER, query)
    except BadCallback:
        return
    assert (callback.code is None) != (callback.refusal is None)
    assert re.fullmatch(r"[\x21-\x7e]{1,4096}", callback.state.reveal())
    assert callback.code is None or re.fullmatch(r"[\x21-\x7e]{1,4096}", callback.code.reveal())
    assert callback.claimed_account is None or re.fullmatch(r"[0-9]{1,20}", callback.claimed_account, re.ASCII)
    for name in ("state", "code", "realmId"):
        assert len(re.findall(rf"(?:^|&){name}=", query)) <= 1, "a parameter twice"


def test_r14_the_grammar_also_makes_callbacks_that_are_right() -> None:
    """A grammar that only made garbage would prove nothing."""
    from hypothesis import find

    def is_right(query: str) -> bool:
        try:
            return parse_callback(DESCRIPTION, ISSUER, query).code is not None
        except BadCallback:
            return False

    assert find(grammars.callback_texts(), is_right)


@many
@given(grammars.records(), st.sampled_from([channel.topic for channel in channels.INPUTS]))
def test_r14_a_record_is_an_input_or_a_dead_letter_with_its_reason(
    record: "tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]", topic: str
) -> None:
    key, value, headers = record
    try:
        decoded = decode(key, value, headers, topic=topic)
    except BadRecord as bad:
        assert len(bad.detail) < 500
        return
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", decoded.connector)
    assert key == decoded.connector.encode()
    for name in ("position", "name"):
        assert "\0" not in (getattr(decoded.input, name, None) or "")


@many
@given(st.sampled_from(["api", "token"]), st.integers(100, 599), grammars.provider_bodies())
def test_r14_what_is_kept_of_a_providers_answer_is_short_and_can_be_stored(at: str, status: int, body: str) -> None:
    verdict = judge(DESCRIPTION, at, status, body)  # type: ignore[arg-type]  # one of the two
    assert is_storable(verdict.code) and len(verdict.code or "") <= 100


@settings(many, max_examples=EXAMPLES // 4)
@given(grammars.bearers("drivewell"))
async def test_r14_s38_a_token_that_nobody_signed_is_no_caller(shared_key: Authenticator, token: bytes) -> None:
    headers = {"Authorization": "Bearer " + token.decode(errors="replace")}
    with pytest.raises(ApiProblem):
        await shared_key.caller(make_mocked_request("GET", "/v1/connectors", headers))


@pytest.fixture(scope="session")
def shared_key(tmp_path_factory: pytest.TempPathFactory) -> Authenticator:
    file = tmp_path_factory.mktemp("jwt") / "jwt.key"
    file.write_text("k" * 48)
    return Authenticator(Jwt(issuer="https://host.example", audience="regrant", hs256_key_file=file))


CONTEXT = SealContext(TenantId("t"), ConnectorId("c"), "17", "refresh_token.3", Generation(2))
KEY = AESGCM(b"k" * 32)
SEALED = seal(KEY, CONTEXT, Secret("a-refresh-token"))


@many
@given(
    st.one_of(st.binary(max_size=80), st.tuples(st.integers(0, len(SEALED) - 1), st.integers(1, 255)), st.integers())
)
def test_r14_s34_a_sealed_value_opens_whole_and_in_its_place_or_is_broken(
    made: "bytes | tuple[int, int] | int",
) -> None:
    match made:
        case bytes():
            sealed = made
        case (place, flip):
            sealed = SEALED[:place] + bytes([SEALED[place] ^ flip]) + SEALED[place + 1 :]
        case cut:
            sealed = SEALED[: cut % len(SEALED)]
    with pytest.raises(SealBroken):
        open_sealed(KEY, CONTEXT, sealed)


@many
@given(st.tuples(grammars.ANY_TEXT, grammars.ANY_TEXT, grammars.ANY_TEXT, grammars.ANY_TEXT, st.integers(0, 2**31)))
def test_r14_s34_a_value_opens_in_no_other_context(parts: "Sequence[str | int]") -> None:
    other = SealContext(*parts)  # type: ignore[arg-type]  # its fields are texts and a number
    assert other.covered() != CONTEXT.covered()
    with pytest.raises(SealBroken):
        open_sealed(KEY, other, SEALED)


@many
@given(st.binary(max_size=80))
def test_r14_s34_a_wrapped_keys_header_is_read_or_broken(wrapped: bytes) -> None:
    try:
        number, made = unwrapped_parts(WrappedKey(wrapped))
    except SealBroken:
        return
    assert 0 <= number < 2**32 and len(made) < len(wrapped)


def test_r14_a_reported_error_with_a_nul_in_its_code_is_judged_without_it() -> None:
    """As it stood, one such record held up every other of its batch: PostgreSQL's text holds no NUL."""
    body = orjson.dumps({"fault": {"error": [{"code": "a\0b"}]}}).decode()
    assert judge(DESCRIPTION, "api", 400, body).code is None
