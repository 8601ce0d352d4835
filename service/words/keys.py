"""`regrant keys …`: the keys that everything is sealed under."""

from pathlib import Path

import typer

from service.words.shared import AsJson, Config, run, settings_of

words = typer.Typer(help="The keys that everything is sealed under.", no_args_is_help=True)


@words.command("new")
def keys_new(folder: Path) -> None:
    """Make the next key in FOLDER; the newest seals from then on. Keep all of them safe: nothing opens without."""
    from service.vault.keys import generate_key_file

    typer.echo(f"{generate_key_file(folder)} is made: keep a copy where the database's backups are not")


@words.command("list")
def keys_list(as_json: AsJson = False, config: Config = None) -> None:
    """List the keys: which one wraps, how many data keys each one is needed for, and what is retired."""
    loaded = settings_of(config)
    import json

    from service import keys

    found = run(keys.listed(loaded))
    typer.echo(json.dumps(keys.as_json(found), indent=2) if as_json else "\n".join(keys.printed(found)))


@words.command("rotate")
def keys_rotate(config: Config = None) -> None:
    """Make the next key where the settings say that keys are. It wraps at once; the older ones still open."""
    loaded = settings_of(config)
    from service.keys import rotate

    run(rotate(loaded, typer.echo))


@words.command("rewrap")
def keys_rewrap(config: Config = None) -> None:
    """Bring all data keys under the newest key. Workers do so, too; it may be interrupted and run again."""
    loaded = settings_of(config)
    from service.keys import rewrap

    run(rewrap(loaded, typer.echo))


@words.command("retire")
def keys_retire(number: int, config: Config = None) -> None:
    """Refuse key NUMBER for good. Not possible while it wraps, or while a data key needs it."""
    loaded = settings_of(config)
    from service.keys import retire

    run(retire(loaded, number, typer.echo))
