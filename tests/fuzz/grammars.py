"""Grammars for Hypothesis: callbacks, JWTs, CloudEvents and providers' answers, from almost right to garbage."""

import base64
import json
from typing import Any, TypeAlias
from urllib.parse import quote

from hypothesis import strategies as st

from schemas import channels

JSON: TypeAlias = Any  # what JSON can hold
Values: TypeAlias = "st.SearchStrategy[JSON]"

# What parsers and databases trip over.
NASTY_TEXT = st.sampled_from(
    [
        *(
            "",
            " ",
            "\0",
            "a\0b",
            "\r\nX-Evil: 1",
            "\u202eevil",
            "\ufffe",
            "\U0010ffff",
            "\x7f",
            "'; drop table connector--",
        ),
        *("../../etc/passwd", "%00", "%2e%2e%2f", "{{7*7}}", "<script>", "null", "-1", "٣", "²", "1e9", "NaN"),
        *("a" * 300, "é" * 5000),
    ]
)
ANY_TEXT = st.one_of(NASTY_TEXT, st.text(max_size=40))
SCALARS: Values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, 1e308, -0.0]),
    ANY_TEXT,
)
ANYTHING: Values = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3), max_leaves=6
)

NASTY_JSON = [
    b"",
    b" ",
    b"{",
    b"nul",
    b"NaN",
    b"[1,]",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"a":1,"a":2}',
    b'"\\ud800"',
    b'{"\\u0000":"\\u0000"}',
    b"[" * 200 + b"]" * 200,
    b"[" * 400 + b"]" * 400,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"[" * 5000,
    b"9" * 5000,
    b"1e400",
    b"-" + b"9" * 400,
    b'"' + b"a" * 300_000 + b'"',
]


def as_json(told: Any) -> bytes:
    """As a careless client writes it: with `NaN` and numbers of any length."""
    return json.dumps(told).encode()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


# Cursors, which `Link` headers hold, and what somebody makes of them.

_TOLD = [
    b'{"after":"a"}',
    b'{"before":"2026-01-01T00:00:00+00:00","place":1}',
    b'{"after":"\\u0000"}',
    b'{"after":{"a":1}}',
    b'{"after":["a"],"before":[]}',
    b'{"before":"2026-01-01T00:00:00","place":0}',
    b'{"before":"0001-01-01T00:00:00+23:59","place":0}',
    b'{"before":"9999-12-31T23:59:59-23:59","place":0}',
    b'{"before":"2026-01-01T00:00:00+00:00","place":9223372036854775808}',
    b'{"before":"2026-01-01T00:00:00+00:00","place":-1e300}',
    b'{"before":"2026-01-01T00:00:00+00:00","place":true}',
    b'{"before":1e400,"place":null}',
    b"[1]",
    b"null",
    b"\xff",
]
CURSORS = [base64.urlsafe_b64encode(told).decode() for told in _TOLD] + ["e30", "=", "a", "%00", "é"]

# Callbacks.

_NAMES = st.sampled_from(
    [
        "state",
        "code",
        "error",
        "iss",
        "realmId",
        "error_description",
        "scope",
        "a",
        "",
        "State",
        "state%00",
        "%ff",
        "code[]",
    ]
)
_VALUES = st.one_of(
    st.sampled_from(
        ["", "abc", "access_denied", "123456789", "%00", "%ff%fe", "%", "%zz", "a+b", "a%20b", "%0d%0aX:1"]
    ),
    st.sampled_from(["a" * 5000, "%C3%A9", "%D9%A3", "123%0A", "+", "%2526", "a=b", "%u0041", "=", ";", "٣"]),
    NASTY_TEXT.map(quote),
    st.binary(max_size=20).map(quote),
)
_PAIRS = st.tuples(_NAMES, st.sampled_from(["=", "=", "=", ""]), _VALUES).map("".join)
_ALMOST = st.tuples(
    st.sampled_from(["state=abc", "state=" + "a" * 43, "state=a&state=b"]),
    st.sampled_from(["code=abc", "error=access_denied", "code=a&error=b", "code="]),
    st.sampled_from(["", "&realmId=1", "&realmId=x", "&realmId=1&realmId=2", "&iss=https://evil.example"]),
).map(lambda parts: f"{parts[0]}&{parts[1]}{parts[2]}")


def callback_texts() -> "st.SearchStrategy[str]":
    """Queries, as the parser gets them."""
    joined = st.tuples(st.lists(_PAIRS, max_size=7), st.sampled_from(["&", "&", "&&", ";"])).map(
        lambda t: t[1].join(t[0])
    )
    return st.one_of(joined, _ALMOST, st.text(max_size=60))


def callback_queries() -> "st.SearchStrategy[bytes]":
    """Queries, as they stand in a request's first line."""
    return callback_texts().map(lambda text: bytes(b for b in text.encode() if b > 0x20 and b != 0x7F))


# The window.

_ADDRESSES = [
    "/connect/{}",
    "/connect/attempts/{}",
    "/connect/attempts/{}/status",
    "/connect/attempts/{}/again",
    "/connect/attempts/{}/cancel",
    "/connect/assets/{}",
    "/reconnect/{}",
    "/oauth/disconnected/{}",
    "/help/reasons/{}",
    "/help/problems/{}",
    "/help/{}",
    "/help?ask={}",
    "/oauth/callback/{}",
    "/oauth/callback/{}?state=a&code=b",
    "/schemas/{}",
    "/v1/{}",
    "/{}",
]


def window_requests() -> "st.SearchStrategy[tuple[bytes, bytes]]":
    """Methods and addresses that strangers try."""
    ids = st.one_of(
        st.uuids().map(str),
        st.sampled_from(["a" * 43, "a" * 5000, "%00", "%ff", "..", "%2e%2e%2f", "assets", "assets/..%2f..", "%C3%A9"]),
        st.sampled_from(["quickbooks-online", "quickbooks-online?realmId=1", "nobody", "openapi.json"]),
        NASTY_TEXT.map(quote),
        st.binary(max_size=30).map(quote),
    )
    methods = st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"])
    return st.tuples(methods, st.tuples(st.sampled_from(_ADDRESSES), ids).map(lambda t: t[0].format(t[1]).encode()))


# JWTs.

_ALGS = st.sampled_from(["HS256", "none", "None", "RS256", "ES256", "HS512", "", ["HS256"], None, 1, {"a": 1}, "dir"])


def bearers(tenant: str) -> "st.SearchStrategy[bytes]":
    """Tokens that nobody signed with our key, however right they look."""
    headers = st.fixed_dictionaries(
        {"alg": _ALGS},
        optional={
            "kid": SCALARS,
            "typ": SCALARS,
            "crit": st.one_of(st.just(["exp"]), SCALARS),
            "jwk": st.just({"kty": "oct", "k": "YQ"}),
            "jku": st.just("http://127.0.0.1:1/jwks"),
            "b64": st.booleans(),
            "zip": st.just("DEF"),
            "enc": st.just("A256GCM"),
        },
    )
    claims = st.fixed_dictionaries(
        {"iss": st.just("https://host.example"), "aud": st.just("regrant"), "tenant": st.just(tenant)},
        optional={"exp": st.one_of(st.just(4_000_000_000), SCALARS), "scope": SCALARS, "sub": SCALARS, "nbf": SCALARS},
    )
    parts = st.one_of(headers, claims, ANYTHING).map(as_json)
    segments = st.one_of(parts, st.binary(max_size=40), st.sampled_from(NASTY_JSON[:18]))
    whole = st.tuples(headers.map(as_json), claims.map(as_json), st.binary(max_size=70))
    mixed = st.lists(segments, min_size=1, max_size=6)
    tokens = st.one_of(whole, mixed).map(lambda found: ".".join(map(b64, found)).encode())
    garbage = st.binary(max_size=60).map(lambda data: bytes(b for b in data if b > 0x20 and b != 0x7F) or b"x")
    return st.one_of(tokens, garbage)


# CloudEvents.

_TYPES = st.one_of(
    st.sampled_from([m.type for channel in channels.INPUTS for m in channel.messages]),
    st.sampled_from(["connector.deleted", "sync.failed.v2", "sync.failed.v99999999999", "", "a\0b"]),
)
_TIMES = st.sampled_from(
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00+14:00",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "now",
        "",
    ]
)
_IDS = st.one_of(st.sampled_from(["c-1", "c" * 129, "", "c\0", "é", "c-1\n"]), NASTY_TEXT)


@st.composite
def records(draw: st.DrawFn) -> "tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]":
    """Key, value and headers of a record."""
    subject = draw(_IDS)
    headers: list[tuple[str, bytes | None]] = [
        ("ce_specversion", draw(st.sampled_from([b"1.0", b"1.0", b"1.0", b"0.3", b""]))),
        ("ce_id", draw(st.sampled_from([b"e-1", b"", b"\xff", b"a" * 2000]))),
        ("ce_source", b"/host"),
        ("ce_type", draw(_TYPES).encode()),
        ("ce_subject", subject.encode(errors="replace")),
        ("ce_time", draw(_TIMES).encode()),
        ("content-type", draw(st.sampled_from([b"application/json", b"application/cloudevents+json", b"text/plain"]))),
    ]
    for _ in range(draw(st.integers(0, 2))):  # left out, doubled, or something else
        place = draw(st.integers(0, len(headers) - 1))
        match draw(st.sampled_from(["drop", "double", "null", "other"])):
            case "drop":
                headers.pop(place)
            case "double":
                headers.append(headers[place])
            case "null":
                headers[place] = (headers[place][0], None)
            case _:
                headers.append(
                    (
                        draw(st.sampled_from(["ce_traceparent", "ce_x", "ce_", "x", "ce_É"])),
                        draw(st.binary(max_size=20)),
                    )
                )
    key = draw(
        st.sampled_from([subject.encode(errors="replace"), subject.encode(errors="replace"), None, b"", b"\xff"])
    )
    return key, draw(values()), headers


def values() -> "st.SearchStrategy[bytes | None]":
    """Data of events: of the right fields with any values, structured events, garbage."""
    error = st.fixed_dictionaries(
        {"at": st.sampled_from(["api", "token", "network", "x"])},
        optional={
            "status": st.one_of(st.sampled_from([401, 400, 403, 999, -1]), SCALARS),
            "body": st.one_of(provider_bodies(), SCALARS),
            "request_id": SCALARS,
        },
    )
    told = st.fixed_dictionaries(
        {},
        optional={
            "generation": st.one_of(st.integers(0, 5), SCALARS),
            "started_at": st.one_of(_TIMES, SCALARS),
            "position": SCALARS,
            "reason": st.one_of(st.sampled_from(["token_refused", "cancelled"]), SCALARS),
            "error": st.one_of(error, error, ANYTHING),
            "tenant_id": SCALARS,
            "provider": st.one_of(st.just("quickbooks-online"), SCALARS),
            "name": SCALARS,
            "attempt_id": st.one_of(st.uuids().map(str), SCALARS),
            "connected": SCALARS,
        },
    )
    structured = st.fixed_dictionaries(
        {"specversion": st.just("1.0"), "id": st.just("e-1"), "source": st.just("/h"), "type": _TYPES},
        optional={"subject": _IDS, "time": _TIMES, "data": told, "data_base64": SCALARS, "x": ANYTHING},
    )
    told_somehow = st.one_of(told, told, structured, ANYTHING).map(as_json)
    return st.one_of(told_somehow, st.none(), st.sampled_from(NASTY_JSON), st.binary(max_size=40))


def provider_bodies() -> "st.SearchStrategy[str]":
    """What a provider's API may have answered, as the sync engine reports it: what is in it gets judged."""
    codes = st.one_of(st.sampled_from(["3200", "003200", "3100", 120, "\0", "a\0b", "", True, 10**400]), SCALARS)
    fault = st.sampled_from(["fault", "Fault"])
    error = st.fixed_dictionaries({"code": codes}, optional={"message": SCALARS})
    told = st.tuples(fault, st.sampled_from(["error", "Error"]), st.lists(st.one_of(error, ANYTHING), max_size=3))
    bodies = st.one_of(told.map(lambda t: {t[0]: {t[1]: t[2]}}), st.fixed_dictionaries({"error": codes}), ANYTHING)
    return st.one_of(bodies.map(json.dumps), st.text(max_size=40), st.just("errorCode=" + "0" * 300 + "7" * 300))
