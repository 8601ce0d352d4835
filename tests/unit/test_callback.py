"""The callback: what isn't an answer to an authorization request is refused, whoever sends it."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import ProviderId
from schemas.reasons import Reason
from service.oauth.callback import BadCallback, Callback, parse_callback
from service.oauth.description import load_descriptions

QUICKBOOKS = load_descriptions()[ProviderId("quickbooks-online")]
ISSUER = "https://oauth.platform.intuit.com/op/v1"
ALWAYS = QUICKBOOKS.model_copy(update={"authorization_response_iss_parameter_supported": True})


def test_a_code_comes_with_its_state_and_the_claimed_company() -> None:
    callback = parse_callback(QUICKBOOKS, ISSUER, "code=AB11&state=s-1&realmId=9130357766590001")
    assert (callback.code and callback.code.reveal(), callback.state.reveal()) == ("AB11", "s-1")
    assert (callback.claimed_account, callback.refusal) == ("9130357766590001", None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("access_denied", Reason.ACCESS_DENIED),
        ("invalid_scope", Reason.CLIENT_REJECTED),
        ("unauthorized_client", Reason.CLIENT_REJECTED),
        ("server_error", Reason.PROVIDER_REFUSED),
        ("anything_else", Reason.PROVIDER_REFUSED),
    ],
)
def test_a_refusal_has_its_reason(error: str, reason: Reason) -> None:
    callback = parse_callback(QUICKBOOKS, ISSUER, f"error={error}&error_description=the%20person%20said+no&state=s")
    assert (callback.refusal, callback.code) == (reason, None)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=a",
        "state=s",
        "state=&code=a",
        "state=s&code=",
        "state=a&state=b&code=c",
        "state=s&code=a&code=b",
        "st%61te=a&state=b&code=c",
        "state=s&code=a&error=access_denied",
        "state=s&code=" + "a" * 10_000,
        "state=s&code=a%00b",
        "state=s&code=%ff",
        "state=s&code=a\udcff",
        "state=s&code=%zz",
        "state=s&code=a%2",
        "state=s&code=%",
        "state=s%0d%0aSet-Cookie:x&code=a",
        "state=s&code=a b",
        "state=s&code=a&id_token=e30.e30.x",
        "state=s&code=a&access_token=t",
        "state=s&code=a&response=e30.e30.x",
        "state=s&code=a&realmId=1&realmId=2",
        "state=s&code=a&realmId=",
        "state=s&code=a&realmId=12x",
        "state=s&code=a&realmId=" + "1" * 21,
        "state=s&code=a&realmId=%D9%A1%D9%A2",
        "state=s&code=a&realmId=../1",
    ],
)
def test_s05_s15_what_cant_be_an_answer_is_refused(query: str) -> None:
    with pytest.raises(BadCallback):
        parse_callback(QUICKBOOKS, ISSUER, query)


@pytest.mark.parametrize("answer", ["code=a", "error=access_denied"])
@pytest.mark.parametrize(
    "iss", ["", "https://evil.example", f"{ISSUER}/", ISSUER.upper(), ISSUER.replace("https", "http")]
)
def test_s12_an_answer_of_another_issuer_is_refused_also_where_none_was_promised(answer: str, iss: str) -> None:
    for description in (QUICKBOOKS, ALWAYS):
        with pytest.raises(BadCallback):
            parse_callback(description, ISSUER, f"state=s&{answer}&iss={quote(iss)}")
        assert parse_callback(description, ISSUER, f"state=s&{answer}&iss={quote(ISSUER)}").state.reveal() == "s"


@pytest.mark.parametrize("answer", ["code=a", "error=access_denied"])
def test_s12_an_issuer_that_is_missing_though_promised_is_refused(answer: str) -> None:
    with pytest.raises(BadCallback):
        parse_callback(ALWAYS, ISSUER, f"state=s&{answer}")
    assert parse_callback(QUICKBOOKS, ISSUER, f"state=s&{answer}").state.reveal() == "s"


@given(st.text(max_size=200))
def test_s05_any_text_is_a_callback_or_refused(query: str) -> None:
    with suppress(BadCallback):
        assert isinstance(parse_callback(QUICKBOOKS, ISSUER, query), Callback)


@given(st.lists(st.tuples(st.sampled_from(["state", "code", "error", "realmId", "iss", "x"]), st.text(max_size=8))))
def test_s05_any_parameters_are_a_callback_or_refused(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    try:
        callback = parse_callback(QUICKBOOKS, ISSUER, query)
    except BadCallback:
        return
    names = [name for name, _ in pairs]
    assert names.count("state") == 1
    assert ("code" in names) != ("error" in names)
    assert callback.state.reveal()
