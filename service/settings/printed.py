"""What `regrant settings` prints: every setting as it is, and of a secret only whether it is set."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.settings.model import Settings
from service.settings.variables import ANY, variable_name, variables, written


def printed(settings: Settings) -> dict[str, str]:
    """The value of each variable, as it would be written; `(set)` for a secret, empty for what isn't set."""
    return {
        variable_name(path): written(value)
        for variable in variables()
        for path, value in _values(settings, variable.path, ())
    }


_TELLING = ("RULES__", "LIMITS__", "RETENTION__", "SHARDS", "DEVELOPMENT", "HTTP__PUBLIC_URL", "KAFKA__TOPIC_PREFIX")
_TELLING_OF_THE_WINDOW = ("WEB__COMPLETION", "WEB__HANDOFF_LIFETIME", "WEB__HOST_NAME")
_TELLING_OF_A_PROVIDER = re.compile("PROVIDERS__[A-Z0-9_]+__(?:ENVIRONMENT|EXTRA_SCOPES|ACCOUNTS_MAY_REPEAT)")


def told_to_support(settings: Settings) -> dict[str, str]:
    """The settings that explain what was done when; none that is a secret, an address inside, or a file."""
    return {name: value for name, value in printed(settings).items() if _tells(name.removeprefix("REGRANT_"))}


def _tells(name: str) -> bool:
    return name.startswith(_TELLING) or name in _TELLING_OF_THE_WINDOW or bool(_TELLING_OF_A_PROVIDER.fullmatch(name))


def _values(of: Any, path: tuple[str, ...], done: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values at `path`, of which a provider's exists once a provider. Any: settings hold many types."""
    if not path:
        yield done, of
    elif path[0].startswith(ANY):
        assert isinstance(of, Mapping)
        for name, one in of.items():
            yield from _values(one, path[1:], (*done, name))
    else:
        yield from _values(getattr(of, path[0]), path[1:], (*done, path[0]))


def listed(settings: Mapping[str, str], *, as_json: bool) -> str:
    """Names and what stands beside them, aligned or as a JSON object."""
    if as_json:
        return json.dumps(settings, indent=2, ensure_ascii=False)
    width = max(map(len, settings))
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in settings.items())
