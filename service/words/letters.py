"""`regrant dlq …`: dead letters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.words.shared import AsJson, Config, run, settings_of

if TYPE_CHECKING:
    from schemas.fleet import LetterStatus

words = typer.Typer(help="Dead letters: records that couldn't be handled.", no_args_is_help=True)

Who = Annotated[str, typer.Option("--name", help="Who you are: the audit will say so.")]
LetterArgument = Annotated[str, typer.Argument(metavar="LETTER", help="The id of the dead letter.")]


@words.command("list")
def dlq_list(
    status: Annotated[
        str | None, typer.Option(help="Only those that are waiting, replaying, replayed, dropped.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List dead letters, the newest first."""
    loaded = settings_of(config)
    from service.terminal.letters import listed, printed_list

    told = run(listed(loaded, _status(status), most))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed_list(told)))


@words.command("explain")
def dlq_explain(letter: LetterArgument, as_json: AsJson = False, config: Config = None) -> None:
    """Say what is wrong with a dead letter, and what to do about it."""
    loaded = settings_of(config)
    from service.terminal.letters import explained, printed

    told = run(explained(loaded, letter))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed(told)))


@words.command("replay")
def dlq_replay(letter: LetterArgument, name: Who = "operator", as_json: AsJson = False, config: Config = None) -> None:
    """Have a worker write a dead letter's record to its topic again."""
    _decide(letter, "replay", name, as_json=as_json, config=config)


@words.command("drop")
def dlq_drop(letter: LetterArgument, name: Who = "operator", as_json: AsJson = False, config: Config = None) -> None:
    """Decide that a dead letter isn't needed. It is kept."""
    _decide(letter, "drop", name, as_json=as_json, config=config)


def _decide(letter: str, fate: Literal["replay", "drop"], name: str, *, as_json: bool, config: Path | None) -> None:
    loaded = settings_of(config)
    from service.terminal.letters import decided, printed

    told = run(decided(loaded, letter, fate, name))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed(told)))


def _status(given: str | None) -> "LetterStatus | None":
    from schemas.fleet import LetterStatus

    if given is not None and given not in set(LetterStatus):
        raise typer.BadParameter(f"there is no {given}: there are {', '.join(LetterStatus)}", param_hint="--status")
    return LetterStatus(given) if given else None
