"""The catalogue as an operator sees it: the list of providers, and the check of a description of one's own."""

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from service.oauth.description import Description, read_descriptions


def listed(files: Iterable[Path], *, as_json: bool) -> str:
    """All providers, those of further files too: a line each, or JSON. Raises `BadDescription`."""
    rows = [_row(description) for _, description in sorted(read_descriptions(files).items())]
    if as_json:
        return json.dumps(rows, indent=2)
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    lines = [{name: name.replace("_", " ") for name in widths}, *rows]
    return "\n".join("  ".join(line[name].ljust(width) for name, width in widths.items()).rstrip() for line in lines)


def checked(files: Iterable[Path]) -> Iterator[str]:
    """A line for each description of these files that can be used. Raises `BadDescription` with all that is wrong."""
    before = read_descriptions(()).keys()
    for id_, description in read_descriptions(files).items():
        if id_ not in before:
            yield f"{id_}: good: {description.words.title}, {', '.join(description.environments)}"


def _row(description: Description) -> dict[str, str]:
    lifetimes = description.lifetimes
    admin = description.admin
    return {
        "id": description.id,
        "title": description.words.title,
        "environments": ", ".join(description.environments),
        "access": _shown(lifetimes.access),
        "refresh": _shown(lifetimes.refresh_idle),
        "rotation": description.rotation,
        "account_proved_by": description.identity.match,
        "admin": "provider" if admin.enforced_by_provider else "probe" if admin.probe else "unknown",
        "revocation": description.revoke_scope if description.revocation_endpoint else "none",
    }


def _shown(time: timedelta | None) -> str:
    if time is None:
        return "no end"
    return f"{time.days} d" if time.days else f"{int(time.total_seconds() // 60)} min"
