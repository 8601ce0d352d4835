"""Keys in HashiCorp Vault (or OpenBao): its transit engine wraps data keys, over its HTTP API; no key ever comes here.

The number of a key is the version of the transit key. It should be a key of regrant's own: transit's `rewrap`, which
brings a data key under a newer version inside Vault, takes no associated data. Sources: Vault's API documentation of
the transit engine; its answers as `sdk/helper/keysutil` and `builtin/logical/transit` make them.
"""

import base64
import binascii
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from service.vault.keys import DATA_KEY_BYTES, KeyNumber, KeyRetired, NoKey, SealBroken, SourceAway

TOTAL_S, CONNECT_S = 5.0, 2.0
CAP = 64 * 1024
LOOK_EVERY_S = 5.0
"""How long what is known of the key's versions counts."""

_AEAD = {"aes256-gcm96", "aes128-gcm96", "chacha20-poly1305"}
_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/=]{1,500}")
# What Vault says of a ciphertext that isn't one of this key. All else that it refuses is a fault of the set-up.
_BROKEN = ("cipher: message authentication failed", "invalid ciphertext", "unable to decrypt")
_NEWER = "version is too new"
_RETIRED = "disallowed by policy (too old)"

Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Transit:
    """Where the transit key is."""

    url: str
    mount: str
    key: str
    token_file: Path
    """Read again for each call: an agent renews it there."""
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class _Versions:
    at: float
    latest: int
    least: int
    """The least version that still decrypts."""


class TransitKeySource:
    """A key source that asks Vault. Every fault of the way there is `SourceAway`, which passes."""

    def __init__(self, session: aiohttp.ClientSession, transit: Transit) -> None:
        self._session = session
        self._transit = transit
        self._known: _Versions | None = None

    async def current(self) -> KeyNumber:
        return KeyNumber((await self._versions()).latest)

    async def numbers(self) -> dict[KeyNumber, bool]:
        versions = await self._versions()
        return {KeyNumber(n): n >= versions.least for n in range(1, versions.latest + 1)}

    async def holds(self, number: KeyNumber) -> bool:
        """While Vault is away, what was known last counts: what is open already goes on."""
        try:
            versions = await self._versions()
        except SourceAway:
            if self._known is None:
                return True
            versions = self._known
        return versions.least <= number <= versions.latest

    async def wrap(self, data_key: bytes) -> tuple[KeyNumber, bytes]:
        made = await self._call("POST", "encrypt", {"plaintext": base64.b64encode(data_key).decode()})
        return _parts(made.get("ciphertext"))

    async def unwrap(self, number: KeyNumber, wrapped: bytes) -> bytes:
        ciphertext = _of(number, wrapped)
        told = (await self._call("POST", "decrypt", {"ciphertext": ciphertext})).get("plaintext")
        try:
            data_key = base64.b64decode(told or "", validate=True)
        except (binascii.Error, TypeError) as error:
            raise NoKey(f"{self._transit.url} gives no plaintext") from error
        if len(data_key) != DATA_KEY_BYTES:
            raise SealBroken("what a wrapped data key holds is no data key")
        return data_key

    async def rewrap(self, number: KeyNumber, wrapped: bytes) -> tuple[KeyNumber, bytes]:
        made = await self._call("POST", "rewrap", {"ciphertext": _of(number, wrapped)})
        return _parts(made.get("ciphertext"))

    async def rotate(self) -> KeyNumber:
        await self._call("POST", "keys", {}, "rotate")
        self._known = None
        return await self.current()

    async def retire(self, number: KeyNumber) -> str:
        """Lets Vault refuse this version and all before it, and then destroys them: the first alone can be undone."""
        least = number + 1
        await self._call("POST", "keys", {"min_decryption_version": least, "min_encryption_version": least}, "config")
        await self._call("POST", "keys", {"min_available_version": least}, "trim")
        self._known = None
        return "Vault has destroyed it; who has a backup of Vault's own storage still has it"

    async def _versions(self) -> _Versions:
        if self._known is not None and time.monotonic() - self._known.at < LOOK_EVERY_S:
            return self._known
        told = await self._call("GET", "keys", None)
        if told.get("type") not in _AEAD or told.get("derived"):
            raise NoKey(f"the transit key {self._transit.key} is {told.get('type')}: make it one of type aes256-gcm96")
        least = max(int(told.get("min_decryption_version") or 1), int(told.get("min_available_version") or 1))
        self._known = _Versions(time.monotonic(), int(told["latest_version"]), least)
        return self._known

    async def _call(self, method: str, what: str, body: Json | None, then: str = "") -> Json:
        """One call about the key. Returns the answer's `data`; raises what the answer means."""
        transit = self._transit
        url = f"{transit.url}/v1/{transit.mount}/{what}/{transit.key}" + (f"/{then}" if then else "")
        headers = _headers(transit)
        try:
            async with self._session.request(method, url, json=body, headers=headers, allow_redirects=False) as answer:
                text = await answer.content.read(CAP)
                while not answer.content.at_eof() and len(text) < CAP:
                    text += await answer.content.read(CAP - len(text))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceAway(f"{transit.url} doesn't answer: {type(error).__name__}") from error
        told = _json(text)
        if answer.status not in (200, 204):
            raise self._meaning(answer.status, told, about_a_ciphertext=what in ("decrypt", "rewrap"))
        data = told.get("data")
        return data if isinstance(data, dict) else {}

    def _meaning(self, status: int, told: Mapping[str, Any], *, about_a_ciphertext: bool) -> NoKey | SealBroken:
        errors = told.get("errors")
        said = "; ".join(str(one) for one in errors)[:300] if isinstance(errors, list) else ""
        where = f"{self._transit.url} answers {status}" + (f": {said}" if said else "")
        if status in (412, 429, 472, 473) or status >= 500:  # sealed, a standby, too many requests, not yet replicated
            return SourceAway(where)
        if status == 400 and about_a_ciphertext:
            if _RETIRED in said:
                return KeyRetired(f"a data key needs a version of {self._transit.key} that was retired")
            if _NEWER not in said and any(broken in said for broken in _BROKEN):
                return SealBroken("a data key doesn't open")
        if status == 403:
            return NoKey(f"{where}: renew the token in {self._transit.token_file}, or give its policy this path")
        return NoKey(where)


@asynccontextmanager
async def transit_key_source(transit: Transit, ca_file: Path | None) -> AsyncIterator[TransitKeySource]:
    """The source, with its connections to Vault: TLS as the system or `ca_file` says, no proxy of the environment."""
    try:
        tls = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NoKey(f"{ca_file} isn't a certificate: {error}") from error
    timeout = aiohttp.ClientTimeout(total=TOTAL_S, connect=CONNECT_S)
    connector = aiohttp.TCPConnector(ssl=tls, limit=32)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        yield TransitKeySource(session, transit)


def _headers(transit: Transit) -> dict[str, str]:
    try:
        headers = {"X-Vault-Token": transit.token_file.read_text().strip(), "X-Vault-Request": "true"}
    except OSError as error:
        raise NoKey(f"{transit.token_file} can't be read: {error.strerror}") from error
    return headers | ({"X-Vault-Namespace": transit.namespace} if transit.namespace else {})


def _json(text: bytes) -> Json:
    try:
        told = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _parts(ciphertext: object) -> tuple[KeyNumber, bytes]:
    """The version in a ciphertext, and the ciphertext as it is stored."""
    if not isinstance(ciphertext, str) or not (match := _CIPHERTEXT.fullmatch(ciphertext)):
        raise NoKey("Vault gives no ciphertext")
    return KeyNumber(int(match[1])), ciphertext.encode()


def _of(number: KeyNumber, wrapped: bytes) -> str:
    """The ciphertext. Its own version must be the number that the data key is stored with."""
    ciphertext = wrapped.decode("ascii", errors="replace")
    match = _CIPHERTEXT.fullmatch(ciphertext)
    if match is None or int(match[1]) != number:
        raise SealBroken("a wrapped data key is no ciphertext of the key that it names")
    return ciphertext
