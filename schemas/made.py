"""Files that are made and committed: a program that makes some writes them, or with `--check` says which are stale."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

Made: TypeAlias = Mapping[Path, str | None]
"""What each file should hold; `None` for one that should be gone."""


def stale(made: Made) -> list[Path]:
    """The files that are missing, not as they should be, or not wanted any more."""
    return [path for path, text in made.items() if _there(path) != text]


def write(made: Made) -> None:
    """Makes the files hold what they should."""
    for path in stale(made):
        if (text := made[path]) is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")


def run(program: str, made: Made, arguments: list[str]) -> int:
    """The program's work; returns its exit code: 1 where `--check` found a stale file."""
    if arguments != ["--check"]:
        write(made)
        return 0
    old = stale(made)
    if old:
        sys.stderr.write(f"stale: {', '.join(path.name for path in old)}: run python -m {program}\n")
    return 1 if old else 0


def _there(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None
