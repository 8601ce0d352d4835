"""`regrant providers …`: the catalogue of providers."""

from pathlib import Path
from typing import Annotated

import typer

from service.words.shared import AsJson

words = typer.Typer(help="The catalogue of providers.", no_args_is_help=True)


@words.command("list")
def providers_list(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Descriptions of your own.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the providers that there are, and what is particular about each."""
    from service.oauth.catalogue import listed

    typer.echo(listed(files or [], as_json=as_json))


@words.command("check")
def providers_check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Descriptions of your own.")],
) -> None:
    """Check descriptions: every fault with its file, line and field. Exit code 2 where there is one."""
    from service.oauth.catalogue import checked

    for line in checked(files):
        typer.echo(line)
