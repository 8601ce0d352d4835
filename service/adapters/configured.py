"""From the settings to adapters. A mapping that isn't one, or a secret that is easily guessed, is no start."""

import re
from collections.abc import Mapping as Object
from dataclasses import dataclass, field

from schemas.secret import Secret
from service.adapters.mapping import BadMapping, Mapping, mapping_of, shipped
from service.settings.model import Adapter as Setting

_IN_AN_ADDRESS = re.compile(r"[A-Za-z0-9_-]{24,200}")
SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Adapter:
    """One sender's way in."""

    name: str
    mapping: Mapping
    secrets: tuple[Secret, ...] = field(repr=False)
    prefix: str = ""
    ignores_unknown: bool = False


def configured_adapters(settings: Object[str, Setting]) -> dict[str, Adapter]:
    """The adapters of the settings, by name. Raises `BadMapping`."""
    return {name: _adapter(name, setting) for name, setting in settings.items()}


def _adapter(name: str, setting: Setting) -> Adapter:
    if setting.mapping_file is not None:
        mapping = mapping_of(setting.mapping_file)
    else:
        assert setting.kind is not None, "the settings have one of the two"
        mapping = shipped(setting.kind)
    secrets = tuple(secret for secret in (setting.secret, setting.former_secret) if secret is not None)
    for secret in secrets:
        if mapping.signed.by == "address" and not _IN_AN_ADDRESS.fullmatch(secret.reveal()):
            raise BadMapping(f"the secret of the adapter {name} must be 24 characters at least, of A-Z a-z 0-9 _ -")
        if len(secret.reveal()) < SHORTEST:
            raise BadMapping(f"the secret of the adapter {name} must be {SHORTEST} characters at least")
    return Adapter(name, mapping, secrets, setting.prefix, setting.unknown == "ignore")
