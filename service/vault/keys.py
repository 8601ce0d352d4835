"""Where key-encryption keys come from. They wrap data keys, and never leave their source.

A file source reads a folder of numbered keys (`1.key`, `2.key`, …: 32 random bytes in base64). The highest number
wraps; all of them unwrap. The folder is read again when it changes, so that a mounted Secret rotates without a restart.
A number whose `N.retired` lies there is refused for good, whatever else brings its key back.
"""

import base64
import binascii
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NewType, Protocol

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KeyNumber = NewType("KeyNumber", int)

log = structlog.get_logger()

DATA_KEY_BYTES = 32
NONCE_BYTES = 12
LOOK_EVERY_S = 1.0
"""How often the folder is looked at while only known keys are asked for: each look costs more than an unwrapping."""


class NoKey(Exception):
    """There is no usable key now: nothing may start, and what runs waits. Plain text is never kept."""


class SourceAway(NoKey):
    """The service that holds the keys doesn't answer, which passes by itself."""


class SealBroken(Exception):
    """What is stored isn't what was sealed, or not for this place: it is not used."""


class KeyRetired(SealBroken):
    """A key that was retired would be needed. Nothing was left under it, so this came from an older copy."""


class KeySource(Protocol):
    """A source of key-encryption keys. Asynchronous, since one may be a service of its own.

    Whatever it can't do just now raises `NoKey`.
    """

    async def current(self) -> KeyNumber:
        """The number of the key that wraps from now on."""
        ...

    async def numbers(self) -> dict[KeyNumber, bool]:
        """All keys that there were, and whether each is usable: false of one that was retired."""
        ...

    async def holds(self, number: KeyNumber) -> bool:
        """Whether the key is usable, as far as is known without asking anybody."""
        ...

    async def wrap(self, data_key: bytes) -> tuple[KeyNumber, bytes]:
        """A data key, wrapped by the current key."""
        ...

    async def unwrap(self, number: KeyNumber, wrapped: bytes) -> bytes:
        """The data key. Raises `SealBroken` when it isn't what that key wrapped, `KeyRetired` when that was retired."""
        ...

    async def rewrap(self, number: KeyNumber, wrapped: bytes) -> tuple[KeyNumber, bytes]:
        """The same data key, wrapped by the current key."""
        ...

    async def rotate(self) -> KeyNumber:
        """Makes a new key, which wraps from now on."""
        ...

    async def retire(self, number: KeyNumber) -> str:
        """Takes a key away for good; returns what is left to be done by hand."""
        ...


@dataclass(slots=True)
class FileKeySource:
    """Keys in the files of a folder."""

    folder: Path
    _keys: dict[KeyNumber, AESGCM] = field(default_factory=dict, repr=False)
    _retired: frozenset[KeyNumber] = frozenset()
    _read_from: tuple[tuple[str, int, int], ...] = ()
    _looked: float = 0.0

    def __post_init__(self) -> None:
        self._read(self._seen())

    async def current(self) -> KeyNumber:
        self._look()
        return max(self._keys)

    async def numbers(self) -> dict[KeyNumber, bool]:
        self._look()
        return dict(sorted([*((n, True) for n in self._keys), *((n, False) for n in self._retired)]))

    async def holds(self, number: KeyNumber) -> bool:
        self._look(seldom=True)
        return number in self._keys

    async def wrap(self, data_key: bytes) -> tuple[KeyNumber, bytes]:
        number = await self.current()
        nonce = secrets.token_bytes(NONCE_BYTES)
        return number, nonce + self._keys[number].encrypt(nonce, data_key, _covered(number))

    async def unwrap(self, number: KeyNumber, wrapped: bytes) -> bytes:
        self._look(seldom=number in self._keys)
        if number in self._retired:
            raise KeyRetired(f"key {number} was retired, and something is still wrapped by it")
        if number not in self._keys:
            if any(_opens(key, one, wrapped) for one, key in self._keys.items()):
                raise SealBroken(f"a data key says that key {number} wrapped it, and another one did")
            raise NoKey(f"key {number} is not in {self.folder}: it was taken away too early, or isn't mounted yet")
        data_key = _opened(self._keys[number], number, wrapped)
        if data_key is None:
            raise SealBroken("a data key doesn't open")
        return data_key

    async def rewrap(self, number: KeyNumber, wrapped: bytes) -> tuple[KeyNumber, bytes]:
        return await self.wrap(await self.unwrap(number, wrapped))

    async def rotate(self) -> KeyNumber:
        generate_key_file(self.folder)
        return await self.current()

    async def retire(self, number: KeyNumber) -> str:
        self._take_away(number)
        return f"destroy every other copy of {number}.key: while one is left, an older dump can still be opened with it"

    def _take_away(self, number: KeyNumber) -> None:
        """The mark stays when the file is gone, so that a backup of the folder doesn't bring the key back by itself."""
        try:
            (self.folder / f"{number}.retired").touch(mode=0o600)
            (self.folder / f"{number}.key").unlink(missing_ok=True)
        except OSError as error:
            raise NoKey(
                f"{self.folder} can't be written ({error.strerror}): nothing is wrapped by key {number} any more; now "
                f"put an empty {number}.retired there, and take {number}.key away"
            ) from error

    def _look(self, *, seldom: bool = False) -> None:
        """Reads the folder again if it changed. Keys that are known stay while a changed folder can't be read."""
        now = time.monotonic()
        if seldom and now - self._looked < LOOK_EVERY_S:
            return
        seen = self._seen()
        self._looked = now
        if seen == self._read_from:
            return
        try:
            self._read(seen)
        except (NoKey, OSError) as error:
            if not self._keys:
                raise
            self._read_from = seen  # until it changes again
            log.error("key_folder_unreadable", error=str(error))

    def _seen(self) -> tuple[tuple[str, int, int], ...]:
        files = [*self.folder.glob("*.key"), *self.folder.glob("*.retired")]
        seen = []
        for file in sorted(files):
            with suppress(FileNotFoundError):  # a mounted Secret is swapped amidst this
                told = file.stat()
                seen.append((file.name, told.st_ctime_ns, told.st_size))
        return tuple(seen)

    def _read(self, seen: tuple[tuple[str, int, int], ...]) -> None:
        files = [self.folder / name for name, _, _ in seen]
        retired = frozenset(_number(file) for file in files if file.suffix == ".retired")
        keys = {n: file for file in files if file.suffix == ".key" and (n := _number(file)) not in retired}
        if not keys:
            self._keys = {}
            raise NoKey(f"no key in {self.folder}: make one with `regrant keys new {self.folder}`, and keep it safe")
        read = {number: AESGCM(_read(file)) for number, file in keys.items()}
        self._keys, self._retired, self._read_from = read, retired, seen


def generate_key_file(folder: Path) -> Path:
    """Makes the folder's next key, readable by its owner only; returns its file. No number is ever used again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = [*folder.glob("*.key"), *folder.glob("*.retired")]
    path = folder / f"{max((_number(file) for file in there), default=0) + 1}.key"
    # Whole or not at all: a service that looks at the folder now must not see half a key.
    unfinished = folder / f".{path.name}.{secrets.token_hex(4)}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(DATA_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(descriptor)
        os.link(unfinished, path)
    finally:
        unfinished.unlink()
    return path


def _covered(number: KeyNumber) -> bytes:
    return b"regrant data key v1" + number.to_bytes(4)


def _opened(key: AESGCM, number: KeyNumber, wrapped: bytes) -> bytes | None:
    try:
        return key.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _covered(number))
    except (InvalidTag, ValueError):
        return None


def _opens(key: AESGCM, number: KeyNumber, wrapped: bytes) -> bool:
    return _opened(key, number, wrapped) is not None


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
