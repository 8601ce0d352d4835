"""The texts of the window: one file a language, filled with outside words that are cleaned and cut first."""

import re
import unicodedata
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from schemas.reasons import Entry

MAX_OUTSIDE_TEXT = 200
"""The most characters of a company's, person's or connector's name that are shown (S22)."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where it was built: ten times as fast
_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?] ))[a-z]")


class Texts:
    """The texts of one language, by their place in its file, for example `start.title`."""

    def __init__(self, language: str = "en") -> None:
        """Raises `FileNotFoundError` for a language without a file."""
        source = files("service.web") / "texts" / f"{language}.yaml"
        self._texts = dict(_flattened(_Loader(source.read_text(encoding="utf-8")).get_single_data()))

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def say(self, key: str, **values: str) -> str:
        """The text, filled. Raises `KeyError` for an unknown key, or a value that it needs and doesn't get."""
        return self._texts[key].format(**cleaned(values))


def _flattened(tree: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in tree.items():
        found += _flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", str(value))]
    return found


def filled(entry: Entry, **values: str) -> tuple[str, str, str]:
    """A reason's title, words and next step, filled."""
    safe = cleaned(values)
    title, words, next_ = (text.format(**safe) for text in (entry.title, entry.words, entry.next))
    return title, words, next_


def sentences(text: str) -> str:
    """The text with a capital at each sentence's beginning, where a general word ("the provider") stands there."""
    return _SENTENCE_START.sub(lambda found: found.group().upper(), text)


def cleaned(values: Mapping[str, str]) -> dict[str, str]:
    """Outside words as they may be shown."""
    return {name: shown(value) for name, value in values.items()}


def shown(text: str) -> str:
    """An outside text without what could disturb ours (control, direction and unpaired characters), and cut."""
    plain = "".join(" " if c in "\t\r\n" else c for c in text if c in "\t\r\n" or _harmless(c)).strip()
    return plain if len(plain) <= MAX_OUTSIDE_TEXT else plain[: MAX_OUTSIDE_TEXT - 1].rstrip() + "…"


_JOINERS = "\u200c\u200d"  # Persian and Indic scripts, and some emoji, need them


def _harmless(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
