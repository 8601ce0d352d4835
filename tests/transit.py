"""A small Vault: the transit engine's API with real AES-256-GCM, versions, floors, trimming, and its own errors.

What it says is what HashiCorp's `builtin/logical/transit` and `sdk/helper/keysutil` say; it keeps everything in memory.
"""

import base64
import binascii
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Refused(Exception):
    """An error, as Vault answers it."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(*errors)
        self.status, self.errors = status, list(errors)


@dataclass
class Key:
    """A transit key of type aes256-gcm96."""

    versions: dict[int, bytes] = field(default_factory=lambda: {1: secrets.token_bytes(32)})
    min_decryption: int = 1
    min_encryption: int = 0
    min_available: int = 0

    @property
    def latest(self) -> int:
        return max(self.versions)

    def encrypted(self, plaintext: bytes) -> dict[str, Any]:
        nonce = secrets.token_bytes(12)
        made = nonce + AESGCM(self.versions[self.latest]).encrypt(nonce, plaintext, None)
        return {"ciphertext": f"vault:v{self.latest}:{base64.b64encode(made).decode()}", "key_version": self.latest}

    def decrypted(self, ciphertext: str) -> bytes:
        if not ciphertext:
            raise Refused(400, "missing ciphertext to decrypt")
        if not ciphertext.startswith("vault:v"):
            raise Refused(400, "invalid ciphertext: no prefix")
        number, colon, text = ciphertext.removeprefix("vault:v").partition(":")
        if not colon:
            raise Refused(400, "invalid ciphertext: wrong number of fields")
        if not number.isdecimal():
            raise Refused(400, "invalid ciphertext: version number could not be decoded")
        version = int(number) or 1
        if version > self.latest:
            raise Refused(400, "invalid ciphertext: version is too new")
        if version < self.min_decryption:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            made = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise Refused(400, "invalid ciphertext: could not decode base64") from None
        if len(made) < 12:
            raise Refused(400, "invalid ciphertext length")
        try:
            return AESGCM(self.versions[version]).decrypt(made[:12], made[12:], None)
        except InvalidTag:
            raise Refused(400, "cipher: message authentication failed") from None


@dataclass
class Vault:
    """One server, and what it was asked."""

    url: str = ""
    token: str = "hvs.first"
    sealed: bool = False
    mount: str = "transit"
    keys: dict[str, Key] = field(default_factory=lambda: {"regrant": Key()})
    asked: list[tuple[str, str]] = field(default_factory=list)

    def key(self, name: str, missing: int = 400) -> Key:
        if name not in self.keys:
            raise Refused(missing, *(["encryption key not found"] if missing == 400 else []))
        return self.keys[name]

    def answer(self, method: str, what: str, name: str, then: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """What the engine does; `None` is 204."""
        match method, what, then:
            case "GET", "keys", "":
                return _described(name, self.key(name, 404))
            case "POST", "encrypt", "":
                # Vault would make a missing key here; regrant's policy has `update` only.
                if name not in self.keys:
                    raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
                return self.keys[name].encrypted(base64.b64decode(body["plaintext"], validate=True))
            case "POST", "decrypt", "":
                plaintext = self.key(name).decrypted(body.get("ciphertext", ""))
                return {"plaintext": base64.b64encode(plaintext).decode()}
            case "POST", "rewrap", "":
                key = self.key(name)
                return key.encrypted(key.decrypted(body.get("ciphertext", "")))
            case "POST", "keys", "rotate":
                key = self.key(name)
                key.versions[key.latest + 1] = secrets.token_bytes(32)
                return _described(name, key)
            case "POST", "keys", "config":
                return _configured(name, self.key(name), body)
            case "POST", "keys", "trim":
                return _trimmed(self.key(name), body["min_available_version"])
        raise Refused(405, "1 error occurred:\n\t* unsupported operation\n\n")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/v1/")
        self.asked.append((request.method, path))
        try:
            if self.sealed:
                raise Refused(503, "Vault is sealed")
            if request.headers.get("X-Vault-Token") != self.token:
                raise Refused(403, "permission denied")
            if not path.startswith(f"{self.mount}/"):
                raise Refused(404, f'no handler for route "{path}". route entry not found.')
            what, name, *then = path.removeprefix(f"{self.mount}/").split("/")
            body = await request.json() if request.can_read_body else {}
            data = self.answer(request.method, what, name, "/".join(then), body)
        except Refused as refused:
            return web.json_response({"errors": refused.errors}, status=refused.status)
        return web.Response(status=204) if data is None else web.json_response({"data": data, "lease_duration": 0})


def _described(name: str, key: Key) -> dict[str, Any]:
    return {
        "name": name,
        "type": "aes256-gcm96",
        "derived": False,
        "exportable": False,
        "keys": {str(version): 1_700_000_000 for version in key.versions if version >= key.min_decryption},
        "latest_version": key.latest,
        "min_available_version": key.min_available,
        "min_decryption_version": key.min_decryption,
        "min_encryption_version": key.min_encryption,
    }


def _configured(name: str, key: Key, body: dict[str, Any]) -> dict[str, Any]:
    decryption = body.get("min_decryption_version", key.min_decryption)
    encryption = body.get("min_encryption_version", key.min_encryption)
    if decryption > key.latest:
        raise Refused(400, f"cannot set min decryption version of {decryption}, latest key version is {key.latest}")
    if encryption > key.latest:
        raise Refused(400, f"cannot set min encryption version of {encryption}, latest key version is {key.latest}")
    if 0 < encryption < decryption:
        raise Refused(
            400,
            f"cannot set min encryption/decryption values; min encryption version of {encryption} must be "
            f"greater than or equal to min decryption version of {decryption}",
        )
    if decryption < key.min_available:
        raise Refused(400, "min decryption version should not be less then min available version")
    key.min_decryption, key.min_encryption = decryption, encryption
    return _described(name, key)


def _trimmed(key: Key, least: int) -> None:
    if least < key.min_available:
        raise Refused(400, "minimum available version cannot be decremented")
    if key.min_encryption == 0:
        raise Refused(400, "minimum available version cannot be set when minimum encryption version is not set")
    if least > key.min_encryption:
        raise Refused(400, "minimum available version cannot be greater than minmum encryption version")
    if least > key.min_decryption:
        raise Refused(400, "minimum available version cannot be greater than minimum decryption version")
    key.min_available = least
    for version in [version for version in key.versions if version < least]:
        del key.versions[version]


@asynccontextmanager
async def running_vault(tls: ssl.SSLContext | None = None) -> AsyncIterator[Vault]:
    """A Vault that listens on this machine."""
    vault = Vault()
    app = web.Application()
    app.router.add_route("*", "/v1/{path:.*}", vault.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        vault.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield vault
    finally:
        await runner.cleanup()
