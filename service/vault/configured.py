"""The key source that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.settings.model import Keys
from service.vault.keys import FileKeySource, KeySource
from service.vault.transit import Transit, transit_key_source


@asynccontextmanager
async def key_source(keys: Keys) -> AsyncIterator[KeySource]:
    """The source, ready to wrap. Raises `NoKey`: no key, no start."""
    if keys.folder is not None:
        yield FileKeySource(keys.folder)
        return
    assert keys.transit_url is not None and keys.transit_token_file is not None, "the settings see to it"
    transit = Transit(
        keys.transit_url, keys.transit_mount, keys.transit_key, keys.transit_token_file, keys.transit_namespace
    )
    async with transit_key_source(transit, keys.transit_ca_file) as source:
        await source.current()
        yield source
