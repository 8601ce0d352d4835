"""What a hostile or broken provider answers, as one table, and where each answer leads at each place.

`token` is the token endpoint, for an exchange and a refresh alike; `api` the call that proves the account; `jwks` the
keys of the ID token; `revoke` the revocation. `None`: the answer makes no sense there.
"""

import asyncio
import gzip
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import orjson

from tests.hostile.server import Script

# Where a call leads.
GRANT = "grant"
NO_ANSWER = "unavailable, sent"
"""Nothing that means anything. An exchange isn't repeated, a refresh is tried later, and nobody has to sign in."""
AGAIN = "again"
DONE = "done"
PROVED = "proved"


def refused(reason: str) -> str:
    """The provider said no, for this reason of ours."""
    return f"refused: {reason}"


@dataclass(frozen=True)
class HostileAnswer:
    """One answer. What it leads to beyond a name is in the tests."""

    name: str
    script: Script
    token: str | None = NO_ANSWER
    api: str | None = AGAIN
    jwks: str | None = AGAIN
    revoke: str | None = AGAIN
    endless: bool = False
    """Only the bound of the call ends it."""
    wait: timedelta | None = None
    """How long it asks us to wait, as far as that is believed."""


# How answers are written.


def raw(data: bytes) -> Script:
    """These bytes, and the connection stays open."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return script


def http(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Script:
    """A well-formed answer."""
    given = {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return raw(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode("latin-1") + body)


def json(told: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Script:
    return http(status, orjson.dumps(told), headers)


def then_closed(data: bytes) -> Script:
    """These bytes, and the end of the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return script


def again_and_again(data: bytes, first: bytes = b"", pause_s: float = 0.005) -> Script:
    """These bytes for as long as anybody reads them."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return script


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raw_socket = writer.get_extra_info("socket")
    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await reader.read()


TOKEN = {"access_token": "at-1", "refresh_token": "rt-1", "token_type": "bearer", "expires_in": 3600}
COMPANY = {"CompanyInfo": {"CompanyName": "Acme"}}


def _token(**changes: object) -> Script:
    return json({**TOKEN, **changes})


def _at_token(name: str, leads_to: str, script: Script) -> HostileAnswer:
    """An answer that only a token endpoint would give."""
    return HostileAnswer(name, script, token=leads_to, api=None, jwks=None, revoke=None)


def _at_api(name: str, leads_to: str, script: Script) -> HostileAnswer:
    return HostileAnswer(name, script, token=None, api=leads_to, jwks=None, revoke=None)


def _at_jwks(name: str, keys: object) -> HostileAnswer:
    return HostileAnswer(name, json(keys), token=None, api=None, jwks=refused("code_refused"), revoke=None)


def _no_json(name: str, script: Script) -> HostileAnswer:
    """Well-formed HTTP with 200 and a body that says nothing: a revocation needs no more than that."""
    return HostileAnswer(name, script, jwks=refused("code_refused"), revoke=DONE)


def _patience(name: str, status: int, wait: str, believed: timedelta | None) -> HostileAnswer:
    return HostileAnswer(name, http(status, b"", {"Retry-After": wait}), wait=believed)


DEEP = b"[" * 30_000 + b"]" * 30_000
BOMB = gzip.compress(b"\0" * 30_000_000)
QUARTER = timedelta(minutes=15)
UNKNOWN_CODE = {"fault": {"error": [{"code": "a\0b"}]}}

ANSWERS: tuple[HostileAnswer, ...] = (
    # Not HTTP, or not the end of it.
    HostileAnswer("silence", _silence, endless=True),
    HostileAnswer("a reset", _reset),
    HostileAnswer("a half-close", _half_close),
    HostileAnswer("a close", then_closed(b"")),
    HostileAnswer("TLS in place of HTTP", then_closed(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x8f" * 300)),
    HostileAnswer("a banner of another protocol", then_closed(b"220 mail.example ESMTP\r\n")),
    HostileAnswer("a status line without a number", then_closed(b"HTTP/1.1 OK\r\n\r\n")),
    HostileAnswer("headers without an end", again_and_again(b"X-A: b\r\n", b"HTTP/1.1 200 OK\r\n", 0)),
    HostileAnswer("dripping headers", again_and_again(b"X", b"HTTP/1.1 200 OK\r\nX-A: "), endless=True),
    HostileAnswer("one header without an end", again_and_again(b"x" * 4096, b"HTTP/1.1 200 OK\r\nX-A: ", 0)),
    HostileAnswer("a flood of 1xx", again_and_again(b"HTTP/1.1 100 Continue\r\n\r\n" * 50), endless=True),
    HostileAnswer("a flood of early hints", again_and_again(b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n"), endless=True),
    HostileAnswer("another protocol", raw(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")),
    HostileAnswer("a status that there isn't", http(999, b"{}")),
    # The body's frame.
    HostileAnswer(
        "a dripping body", again_and_again(b" ", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"), endless=True
    ),
    HostileAnswer(
        "chunks without an end",
        again_and_again(b"1\r\n \r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        endless=True,
    ),
    HostileAnswer(
        "a chunk of no size", then_closed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")
    ),
    HostileAnswer("a body that is cut", then_closed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")),
    HostileAnswer("a length that is no number", then_closed(b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n{}")),
    HostileAnswer("a negative length", then_closed(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}")),
    HostileAnswer("two lengths", then_closed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")),
    HostileAnswer(
        "a length too short", then_closed(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"access_token":"a"}')
    ),
    HostileAnswer("a body without an end", again_and_again(b" " * 65_536, b"HTTP/1.1 200 OK\r\n\r\n", 0)),
    HostileAnswer("a body over the cap", http(200, b'"' + b"a" * 1_100_000 + b'"')),
    HostileAnswer("a gzip bomb", http(200, BOMB, {"Content-Encoding": "gzip"})),
    HostileAnswer("a body in an unknown packing", http(200, b"{}", {"Content-Encoding": "zip"})),
    # The body.
    _no_json("HTML with 200", http(200, b"<html>Sorry, we are down</html>", {"Content-Type": "text/html"})),
    _no_json("nothing with 200", http(200)),
    HostileAnswer("204", raw(b"HTTP/1.1 204 No Content\r\n\r\n"), revoke=DONE),
    HostileAnswer("a redirect", http(302, b"", {"Location": "http://127.0.0.1:1/"})),
    HostileAnswer("a redirect to a file", http(307, b"", {"Location": "file:///etc/passwd"})),
    _no_json("JSON that is nested too deep", http(200, DEEP)),
    _no_json("JSON in invalid UTF-8", http(200, b'{"access_token":"\xff\xfe"}')),
    _no_json("JSON in UTF-16", http(200, '{"access_token":"a"}'.encode("utf-16"))),
    _no_json("a list", json([TOKEN])),
    _no_json("a text", json("access_token")),
    _no_json("null", json(None)),
    _no_json("a number of 50,000 digits", http(200, b"9" * 50_000)),
    HostileAnswer("an error page", http(500, b"<html>", {"Content-Type": "text/html"})),
    HostileAnswer("401 of an unknown kind", http(401), api=refused("token_refused"), revoke=DONE),
    HostileAnswer("403 of an unknown kind", http(403), revoke=DONE),
    HostileAnswer("418", http(418), revoke=DONE),
    # How long to wait.
    _patience("Retry-After as 1e9", 429, "1e9", None),
    _patience("Retry-After of years", 503, "999999999", QUARTER),
    _patience("a negative Retry-After", 429, "-5", None),
    _patience("Retry-After as a date", 503, "Fri, 31 Dec 1999 23:59:59 GMT", None),
    _patience("Retry-After of 5,000 digits", 429, "9" * 5000, QUARTER),
    _patience("Retry-After as NaN", 429, "NaN", None),
    _patience("Retry-After in other digits", 503, "\xb2\xb3", None),
    HostileAnswer("Retry-After in small letters", http(503, b"", {"retry-after": "7"}), wait=timedelta(seconds=7)),
    # What a token endpoint says.
    _at_token("no access token", NO_ANSWER, json({"refresh_token": "rt-1"})),
    _at_token("null for a token", NO_ANSWER, _token(access_token=None)),
    _at_token("an empty token", NO_ANSWER, _token(access_token="")),
    _at_token("a list of tokens", NO_ANSWER, _token(access_token=["at-1"])),
    _at_token("a number for a token", NO_ANSWER, _token(access_token=17)),
    _at_token("a token with a line's end", NO_ANSWER, _token(access_token="a\r\nX-Evil: 1")),
    _at_token("a token with NUL", NO_ANSWER, _token(access_token="a\0b")),
    _at_token("a token that isn't ASCII", NO_ANSWER, _token(access_token="tökén")),
    _at_token("a token of 20 kB", NO_ANSWER, _token(access_token="a" * 20_000)),
    _at_token("a key twice", GRANT, http(200, b'{"access_token":"at-0","access_token":"at-1","refresh_token":"rt-1"}')),
    _at_token("another content type", GRANT, http(200, orjson.dumps(TOKEN), {"Content-Type": "text/plain"})),
    _at_token("no refresh token", GRANT, json({"access_token": "at-1", "expires_in": 3600})),
    _at_token("null for a refresh token", GRANT, _token(refresh_token=None)),
    _at_token("a refresh token with NUL", GRANT, _token(refresh_token="a\0b")),
    _at_token("expires_in as text", GRANT, _token(expires_in="3600")),
    _at_token("expires_in in words", GRANT, _token(expires_in="soon")),
    _at_token("a negative expires_in", GRANT, _token(expires_in=-1)),
    _at_token("an expires_in of 0", GRANT, _token(expires_in=0)),
    _at_token("expires_in as NaN", NO_ANSWER, http(200, b'{"access_token":"at-1","expires_in":NaN}')),
    _at_token("expires_in as the text NaN", GRANT, _token(expires_in="NaN")),
    _at_token("an endless expires_in", GRANT, _token(expires_in="Infinity")),
    _at_token("an expires_in of 1e300", GRANT, _token(expires_in=1e300)),
    _at_token(
        "an expires_in of 300 digits", GRANT, http(200, b'{"access_token":"at-1","expires_in":1%s}' % (b"0" * 300))
    ),
    _at_token("a list for expires_in", GRANT, _token(expires_in=[3600])),
    _at_token("true for expires_in", GRANT, _token(expires_in=True)),
    _at_token("huge lifetimes of the refresh token", GRANT, _token(x_refresh_token_expires_in=2**63)),
    _at_token("fewer scopes", GRANT, _token(scope="openid")),
    _at_token("a list of scopes", GRANT, _token(scope=["openid", "com.intuit.quickbooks.accounting"])),
    _at_token("a number for the scope", GRANT, _token(scope=1)),
    _at_token("a scope with NUL", GRANT, _token(scope="com.intuit.quickbooks.accounting \0")),
    _at_token("invalid_grant", refused("grant_revoked"), json({"error": "invalid_grant"}, 400)),
    _at_token("invalid_grant with 200", refused("grant_revoked"), json({"error": "invalid_grant"})),
    _at_token("invalid_client", refused("client_rejected"), json({"error": "invalid_client"}, 401)),
    _at_token("an error that is a list", NO_ANSWER, json({"error": ["invalid_grant"]}, 400)),
    _at_token("an error that nobody knows", NO_ANSWER, json({"error": "invalid\0grant"}, 400)),
    _at_token("invalid_grant beside a 503", NO_ANSWER, json({"error": "invalid_grant"}, 503)),
    # What an API says.
    _at_api("a name with NUL", PROVED, json({"CompanyInfo": {"CompanyName": "Ac\0me"}})),
    _at_api("a name of a megabyte", PROVED, json({"CompanyInfo": {"CompanyName": "Acme" * 200_000}})),
    _at_api("no name", AGAIN, json({"CompanyInfo": {}})),
    _at_api("a name that is a list", AGAIN, json({"CompanyInfo": {"CompanyName": ["Acme"]}})),
    _at_api("a fault with 200", refused("access_revoked"), json({"Fault": {"Error": [{"code": "3100"}]}})),
    _at_api("a code with NUL", AGAIN, json(UNKNOWN_CODE, 400)),
    _at_api("a code of a megabyte", AGAIN, json({"fault": {"error": [{"code": "7" * 900_000}]}}, 400)),
    _at_api("faults that aren't objects", AGAIN, json({"fault": {"error": [1, None, ["x"]]}}, 400)),
    _at_api("a request id of 8 kB", AGAIN, json(UNKNOWN_CODE, 400, {"intuit_tid": "t" * 8000})),
    _at_api("a request id in invalid UTF-8", AGAIN, json(UNKNOWN_CODE, 400, {"intuit_tid": "\xff\xfe"})),
    # What a key set holds.
    _at_jwks("no keys", {"keys": []}),
    _at_jwks("keys that are a text", {"keys": "x"}),
    _at_jwks("keys that are numbers", {"keys": [1, 2]}),
    _at_jwks("keys that are empty", {"keys": [{}]}),
    _at_jwks("keys of an unknown kind", {"keys": [{"kty": "XXX", "kid": "k"}]}),
    _at_jwks("a key whose numbers are none", {"keys": [{"kty": "RSA", "kid": "k", "n": "!", "e": 1}]}),
    _at_jwks(
        "10,000 keys", {"keys": [{"kty": "oct", "k": "YWFhYWFhYWFhYWFhYWFhYQ", "kid": str(n)} for n in range(10_000)]}
    ),
)
