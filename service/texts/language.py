"""Which languages there are, and which of them somebody prefers (`Accept-Language`, RFC 9110)."""

import re
from importlib.resources import files
from typing import NewType

Language = NewType("Language", str)
"""A language that has a file, for example `de`."""

FILES = files("service.texts")
LANGUAGES = tuple(
    sorted(Language(entry.name.removesuffix(".yaml")) for entry in FILES.iterdir() if entry.name.endswith(".yaml"))
)
ENGLISH = Language("en")

_TAG = r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)"
_RANGE = re.compile(rf"\s*{_TAG}\s*(?:;\s*[qQ]\s*=\s*(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?)\s*)?")
_LONGEST = 1000


def chosen(tag: str) -> Language | None:
    """The language of a tag: `de` for `de-AT`; `None` for one that has no file."""
    primary = tag.partition("-")[0].lower()
    return next((language for language in LANGUAGES if language == primary), None)


def preferred(accept_language: str) -> Language:
    """The best of our languages for an `Accept-Language`; English where it names none of them, or can't be read.

    A language with `q=0` is not wanted, also where `*` would allow it.
    """
    weights: dict[str, float] = {}
    for part in accept_language[:_LONGEST].split(","):
        if found := _RANGE.fullmatch(part):
            name = found[1] if found[1] == "*" else chosen(found[1])
            if name is not None:
                weights[name] = max(weights.get(name, 0.0), float(found[2] or 1))
    named = [language for language in weights if language != "*"]
    best = max(named, key=lambda language: weights[language], default=None)  # of equals, the first that was named
    others = weights.get("*", 0.0)
    if best is not None and weights[best] > 0 and weights[best] >= others:
        return Language(best)
    if others > 0 and weights.get(ENGLISH, 1.0) > 0:
        return ENGLISH
    return Language(best) if best is not None and weights[best] > 0 else ENGLISH
