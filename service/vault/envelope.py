"""The envelope: how a sealed value and a wrapped data key are laid out, and what a seal covers.

A sealed value:      version (1 byte) | nonce (12) | AES-256-GCM ciphertext and tag
A wrapped data key:  version (1 byte) | number of the key-encryption key (4, big endian) | what its source made

The associated data holds the format's version and every part of the context, each with its length before it, so that no
two contexts look alike: a value that is moved to another row, or an older generation that is put back, doesn't open.
"""

import secrets
from dataclasses import astuple, dataclass
from typing import NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.ids import ConnectorId, Generation, TenantId
from schemas.secret import Secret
from service.vault.keys import NONCE_BYTES, KeyNumber, SealBroken

WrappedKey = NewType("WrappedKey", bytes)
"""A data key that only its key source can open."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class SealContext:
    """Whose secret it is and what for. A value opens only in the context that it was sealed in."""

    tenant: TenantId
    connector: ConnectorId
    account: str
    """The proved account's id; empty before one is proved."""
    kind: str
    """What it is, for example `refresh_token.3`: the fourth value of a rotating token."""
    generation: Generation

    def covered(self) -> bytes:
        """The associated data."""
        parts = [str(part).encode() for part in astuple(self)]
        return bytes([VERSION]) + b"".join(len(part).to_bytes(4) + part for part in parts)


def seal(data_key: AESGCM, context: SealContext, secret: Secret) -> bytes:
    """The secret, sealed for its context."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return bytes([VERSION]) + nonce + data_key.encrypt(nonce, secret.reveal().encode(), context.covered())


def open_sealed(data_key: AESGCM, context: SealContext, sealed: bytes) -> Secret:
    """The secret. Raises `SealBroken` when anything about it is not as it was."""
    if len(sealed) < 1 + NONCE_BYTES + 16 or sealed[0] != VERSION:
        raise SealBroken(f"the {context.kind} of {context.connector} is no sealed value")
    nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        return Secret(data_key.decrypt(nonce, ciphertext, context.covered()).decode())
    except InvalidTag as error:
        raise SealBroken(f"the {context.kind} of {context.connector} doesn't open in its place") from error


def wrapped(number: KeyNumber, made: bytes) -> WrappedKey:
    """A wrapped data key as it is stored."""
    return WrappedKey(bytes([VERSION]) + number.to_bytes(4) + made)


def unwrapped_parts(stored: WrappedKey) -> tuple[KeyNumber, bytes]:
    """The number of the key that wrapped it, and what that key's source made."""
    if len(stored) < 6 or stored[0] != VERSION:
        raise SealBroken("a wrapped data key is no wrapped data key")
    return KeyNumber(int.from_bytes(stored[1:5])), stored[5:]
