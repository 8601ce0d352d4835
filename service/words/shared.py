"""What words have in common: the options that many take, their settings, and running what they call."""

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from service.settings import Settings

Result = TypeVar("Result")

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file (REGRANT_CONFIG).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_of(config: Path | None, *, logs: bool = True) -> "Settings":
    """The settings, once they hold; with the logs that they want."""
    from service.settings import load
    from service.telemetry.logs import set_up_logs

    loaded = load(config=config)
    if logs:
        set_up_logs(loaded.log.level, loaded.log.format)
    return loaded


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """What a word's coroutine comes to."""
    import uvloop

    return uvloop.run(work)
