"""In which form an answer is wanted: by the address's ending, else by what `Accept` prefers (RFC 9110 12.5.1)."""

from typing import Literal, TypeAlias

from aiohttp import web

Form: TypeAlias = Literal["html", "markdown", "json"]

_TYPES: dict[str, Form] = {"text/html": "html", "text/markdown": "markdown", "application/json": "json"}
MOST = 20
"""Types of the header that are looked at."""


def wanted(request: web.Request) -> Form:
    """The form that is preferred; HTML where none of ours is named."""
    best: Form = "html"
    best_quality = 0.0
    for part in ",".join(request.headers.getall("Accept", [])).split(",")[:MOST]:
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        form, quality = _TYPES.get(name), _quality(parameters)
        if form is not None and quality > best_quality:
            best, best_quality = form, quality
    return best


def _quality(parameters: list[str]) -> float:
    given = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
    try:
        return float(given) if len(given) <= 5 else 0.0
    except ValueError:
        return 0.0
