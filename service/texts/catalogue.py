"""The texts of one language, filled with outside words that are cleaned, cut and isolated first."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from schemas.reasons import Reason
from service.texts.language import ENGLISH, FILES, Language

MAX_OUTSIDE_TEXT = 200
"""The most characters of a company's, person's or connector's name that are shown (S22)."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where it was built: ten times as fast
_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?] ))[^\W\d_]")
_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


@dataclass(frozen=True, slots=True)
class ReasonWords:
    """A reason as people read it."""

    title: str
    words: str
    next: str
    takes: str
    """How long it takes until all is well again."""
    then: tuple[str, ...] = ()
    """What comes after the first step."""

    @property
    def steps(self) -> tuple[str, ...]:
        """One to three steps, in order."""
        return (self.next, *self.then)

    def filled(self, values: Mapping[str, str]) -> "ReasonWords":
        """The same with its braces filled. Raises `KeyError` for a value that is missing."""
        return self.each(lambda text: text.format(**values))

    def each(self, change: Callable[[str], str]) -> "ReasonWords":
        """The same with each of its texts changed."""
        then = tuple(map(change, self.then))
        return ReasonWords(change(self.title), change(self.words), change(self.next), change(self.takes), then)


class Texts:
    """The texts of one language, by their place in its file, for example `start.title`."""

    def __init__(self, language: Language = ENGLISH) -> None:
        """Raises `FileNotFoundError` for a language without a file."""
        text = (FILES / f"{language}.yaml").read_text(encoding="utf-8")
        self._texts = dict(flattened(_Loader(text).get_single_data()))
        self.language = language
        self.right_to_left = self._texts["direction"] == "rtl"

    @property
    def unfilled(self) -> Mapping[str, str]:
        """Every text of the file, with its names in braces."""
        return self._texts

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def say(self, key: str, **values: str) -> str:
        """The text, filled. Raises `KeyError` for an unknown key, or a value that it needs and doesn't get."""
        return self._texts[key].format(**self._set_in(values))

    def reason(self, reason: Reason, **values: str) -> ReasonWords:
        """What to say of a reason, filled."""
        return self._reason(reason).filled(self._set_in(values))

    def reason_unfilled(self, reason: Reason) -> ReasonWords:
        """What to say of a reason, with its names left open in braces: `{provider}`, `{account}`, and so on."""
        return self._reason(reason).filled({name: f"{{{name}}}" for name in GENERAL} | self._formed("{provider}"))

    def reason_in_general(self, reason: Reason) -> ReasonWords:
        """What to say of a reason where no connector is meant: of "the provider" and "the connected company"."""
        said = self._reason(reason).filled({name: self._texts[f"general.{name}"] for name in GENERAL})
        return said.each(sentences)

    def _reason(self, reason: Reason) -> ReasonWords:
        """English words stand in the catalogue of reasons itself."""
        if self.language == ENGLISH:
            entry = reason.entry
            return ReasonWords(entry.title, entry.words, entry.next, entry.takes, entry.then)
        title, words, next_ = (self._texts[f"reasons.{reason}.{part}"] for part in ("title", "words", "next"))
        further = (f"afterwards.{reason}.{part}" for part in ("second", "third"))
        then = tuple(self._texts[key] for key in further if key in self._texts)
        return ReasonWords(title, words, next_, self._texts[f"afterwards.{reason}.takes"], then)

    def _set_in(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values as they may stand in a sentence, with what the language makes of the provider's name."""
        safe = {name: self.isolated(value) for name, value in values.items()}
        if "provider" in safe:
            safe |= self._formed(safe["provider"])
        return safe

    def _formed(self, provider: str) -> dict[str, str]:
        return {"at_provider": self._texts["at_provider"].format(provider=provider)}

    def isolated(self, value: str) -> str:
        """An outside text that can't disturb the order of the words around it, whichever way either is written."""
        safe = shown(value)
        apart = self.right_to_left or any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in safe)
        return f"{_ISOLATE}{safe}{_POP_ISOLATE}" if apart and safe else safe


GENERAL = ("provider", "at_provider", "admin", "account", "expected", "seen")
"""What the words of reasons leave open."""


@cache
def texts(language: Language) -> Texts:
    """The texts of a language, read once."""
    return Texts(language)


def flattened(tree: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Every text of a file by its place."""
    found: list[tuple[str, str]] = []
    for name, value in tree.items():
        found += flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", str(value))]
    return found


def sentences(text: str) -> str:
    """The text with a capital at each sentence's beginning, where a general word ("the provider") stands there."""
    return _SENTENCE_START.sub(lambda found: found.group().upper(), text)


def shown(text: str) -> str:
    """An outside text without what could disturb ours (control, direction and unpaired characters), and cut."""
    plain = "".join(" " if c in "\t\r\n" else c for c in text if c in "\t\r\n" or _harmless(c)).strip()
    return plain if len(plain) <= MAX_OUTSIDE_TEXT else plain[: MAX_OUTSIDE_TEXT - 1].rstrip() + "…"


_JOINERS = "\u200c\u200d"  # Persian and Indic scripts, and some emoji, need them


def _harmless(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
