"""The vault: seals and opens with data keys that only its key source can unwrap."""

import secrets
import time
from collections import OrderedDict

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.secret import Secret
from service.telemetry import metrics
from service.vault.envelope import SealContext, WrappedKey, open_sealed, seal, unwrapped_parts, wrapped
from service.vault.keys import DATA_KEY_BYTES, KeyNumber, KeySource, NoKey

CACHED_KEYS = 1000
CACHED_FOR_S = 300.0
"""An unwrapped data key is kept for so long: a sync engine asks for the same tokens again and again, and a key source
may be a service. It goes at once with the key that wrapped it, and when its own row is shredded by this process."""


class Vault:
    """Seals and opens secrets."""

    def __init__(self, source: KeySource) -> None:
        self.source = source
        self._opened: OrderedDict[WrappedKey, tuple[float, AESGCM]] = OrderedDict()

    async def current(self) -> KeyNumber:
        """The number of the key that wraps new data keys."""
        return await self.source.current()

    async def new_data_key(self) -> WrappedKey:
        """A new data key, wrapped by the current key-encryption key, to be stored with its connector."""
        number, made = await self.source.wrap(secrets.token_bytes(DATA_KEY_BYTES))
        return wrapped(number, made)

    async def check(self, key: WrappedKey) -> None:
        """Raises what `seal` and `open` would raise because of the data key."""
        await self._unwrapped(key)

    async def seal(self, key: WrappedKey, context: SealContext, secret: Secret) -> bytes:
        """The secret, sealed for its context. Raises `NoKey` or `SealBroken` when the data key doesn't open."""
        return seal(await self._unwrapped(key), context, secret)

    async def open(self, key: WrappedKey, context: SealContext, sealed: bytes) -> Secret:
        """The secret. Raises `SealBroken` when anything about it is not as it was sealed, `NoKey` without its key."""
        return open_sealed(await self._unwrapped(key), context, sealed)

    async def rewrap(self, key: WrappedKey) -> WrappedKey:
        """The same data key under the current key-encryption key."""
        return wrapped(*await self.source.rewrap(*unwrapped_parts(key)))

    async def _unwrapped(self, key: WrappedKey) -> AESGCM:
        now = time.monotonic()
        number, made = unwrapped_parts(key)
        known = self._opened.get(key)
        if known is not None and now - known[0] < CACHED_FOR_S and await self.source.holds(number):
            self._opened.move_to_end(key)
            return known[1]
        self._opened.pop(key, None)
        try:
            opened = AESGCM(await self.source.unwrap(number, made))
        except NoKey:
            metrics.SEALED_ROWS.labels("no_key").inc()
            raise
        self._opened[key] = (now, opened)
        while len(self._opened) > CACHED_KEYS:
            self._opened.popitem(last=False)
        return opened
