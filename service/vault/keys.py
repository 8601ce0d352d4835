"""Where key-encryption keys come from. They wrap data keys, and never leave their source.

A file source reads a folder of numbered keys (`1.key`, `2.key`, …: 32 random bytes in base64). The highest number
wraps; all of them unwrap. The folder is read again when it changes, so that a mounted Secret rotates without a restart.
"""

import base64
import binascii
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NewType, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KeyNumber = NewType("KeyNumber", int)

DATA_KEY_BYTES = 32
NONCE_BYTES = 12


class NoKey(Exception):
    """There is no usable key, so nothing may start: plain text is never kept."""


class SealBroken(Exception):
    """What is stored isn't what was sealed, or not for this place: it is not used."""


class KeySource(Protocol):
    """A source of key-encryption keys. Asynchronous, since one may be a service of its own."""

    async def current(self) -> KeyNumber:
        """The number of the key that wraps from now on."""
        ...

    async def wrap(self, data_key: bytes) -> tuple[KeyNumber, bytes]:
        """A data key, wrapped by the current key."""
        ...

    async def unwrap(self, number: KeyNumber, wrapped: bytes) -> bytes:
        """The data key. Raises `SealBroken` when it isn't what was wrapped, `NoKey` when that key is gone."""
        ...


@dataclass(slots=True)
class FileKeySource:
    """Keys in the files of a folder."""

    folder: Path
    _keys: dict[KeyNumber, AESGCM] = field(default_factory=dict, repr=False)
    _read_from: tuple[tuple[str, int, int], ...] = ()

    def __post_init__(self) -> None:
        self._refresh()

    async def current(self) -> KeyNumber:
        self._refresh()
        return max(self._keys)

    async def wrap(self, data_key: bytes) -> tuple[KeyNumber, bytes]:
        number = await self.current()
        nonce = secrets.token_bytes(NONCE_BYTES)
        return number, nonce + self._keys[number].encrypt(nonce, data_key, _covered(number))

    async def unwrap(self, number: KeyNumber, wrapped: bytes) -> bytes:
        self._refresh()
        if number not in self._keys:
            raise NoKey(f"key {number} is not in {self.folder}: it was retired too early, or never mounted")
        try:
            return self._keys[number].decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _covered(number))
        except (InvalidTag, ValueError) as error:
            raise SealBroken("a data key doesn't open") from error

    def _refresh(self) -> None:
        files = sorted(self.folder.glob("*.key")) if self.folder.is_dir() else []
        seen = tuple((f.name, (s := f.stat()).st_mtime_ns, s.st_size) for f in files)
        if seen == self._read_from and self._keys:
            return
        if not files:
            raise NoKey(f"no key in {self.folder}: make one with `regrant keys new {self.folder}`, and keep it safe")
        self._keys = {_number(file): AESGCM(_read(file)) for file in files}
        self._read_from = seen


def generate_key_file(folder: Path) -> Path:
    """Makes the folder's next key, readable by its owner only; returns its file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = max((_number(file) for file in folder.glob("*.key")), default=KeyNumber(0)) + 1
    path = folder / f"{number}.key"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(DATA_KEY_BYTES)) + b"\n")
    return path


def _covered(number: KeyNumber) -> bytes:
    return b"regrant data key v1" + number.to_bytes(4)


def _number(file: Path) -> KeyNumber:
    if not file.stem.isdecimal() or not 0 < int(file.stem) < 2**32:
        raise NoKey(f"{file} is not named by a number, like 1.key")
    return KeyNumber(int(file.stem))


def _read(file: Path) -> bytes:
    # A mounted Secret is a link into a folder that only the container sees, with a mode of its own.
    if stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH and not file.is_symlink():
        raise NoKey(f"{file} can be read by everybody: chmod 600 {file}")
    try:
        key = base64.b64decode(file.read_bytes().strip(), validate=True)
    except binascii.Error as error:
        raise NoKey(f"{file} doesn't hold 32 bytes in base64") from error
    if len(key) != DATA_KEY_BYTES:
        raise NoKey(f"{file} holds {len(key)} bytes, not {DATA_KEY_BYTES}")
    return key
