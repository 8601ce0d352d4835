"""What leaves for support holds no secret: not by its place, nor by its looks where people or programs named things.

A name, an id or a code from outside may hold what its writer put there by mistake. So every text is looked through
word by word, and what looks like a secret is masked; ids that are ours, or have an id's shape, stay.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.telemetry.logs import MASK, redacted_text

_WORD = re.compile(r"[A-Za-z0-9_+/=~%|-]{16,}")
_PIECE = re.compile(r"[-_/=~%|+]+")
_PLAIN = re.compile(r"[A-Za-z]{1,24}|[0-9]{1,24}|[A-Za-z]?[0-9]{1,4}|[0-9]{1,4}[A-Za-z]{0,2}")
_UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_ID = re.compile(rf"[0-9a-f]{{32}}|{_UUID}|[0-9a-f]{{1,16}}(?:-[0-9a-f]{{1,32}}){{1,5}}")
_SHORTEST_MIXED, _SHORTEST = 16, 24


def is_an_id(text: str) -> bool:
    """Whether it has the shape of a trace id, a UUID or a provider's request id: nothing that opens anything."""
    return _ID.fullmatch(text) is not None or len(text) < _SHORTEST_MIXED


def scrubbed_text(text: str, keep: Iterable[str] = ()) -> str:
    """The text with everything masked that looks like a secret, save the words of `keep`."""
    kept = frozenset(keep)

    def masked(word: re.Match[str]) -> str:
        return word[0] if word[0] in kept or not _looks_secret(word[0]) else MASK

    return _WORD.sub(masked, redacted_text(text))


def scrubbed(value: Any, keep: Iterable[str] = ()) -> Any:  # Any: what JSON can hold
    """JSON with every text scrubbed, keys left alone; a text that is one of `keep` stays whole."""
    kept = frozenset(keep)
    if isinstance(value, str):
        return value if value in kept else scrubbed_text(value, kept)
    if isinstance(value, Mapping):
        return {key: scrubbed(inner, kept) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [scrubbed(inner, kept) for inner in value]
    return value


def _looks_secret(word: str) -> bool:
    """Letters and digits mixed beyond what a name made of words and numbers has."""
    if all(_PLAIN.fullmatch(piece) for piece in _PIECE.split(word) if piece):
        return False
    has_digit, has_letter = any(map(str.isdigit, word)), any(map(str.isalpha, word))
    mixed = has_digit and word.lower() != word and word.upper() != word
    return (mixed and len(word) >= _SHORTEST_MIXED) or (len(word) >= _SHORTEST and has_letter and (has_digit or mixed))
