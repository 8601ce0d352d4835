"""What operators do to a deployment: bring it to a version, grow it, and bring it back after a disaster."""

from typing import Annotated

import typer

from service.words.shared import AsJson, Config, run, settings_of

words = typer.Typer()


@words.command()
def migrate(
    post: Annotated[
        bool, typer.Option("--post", help="Do what waits until no process of an older version runs.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print what would be run, for psql, and run nothing.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="List all migrations, and which are to come.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Bring the database and the topics to this version. Safe to run from many places at once."""
    loaded = settings_of(config)
    from service import roll_out

    if plan:
        found = run(roll_out.planned(loaded))
        typer.echo(roll_out.as_json(found) if as_json else "\n".join(roll_out.printed(found)))
    elif sql:
        typer.echo(run(roll_out.script(loaded, post=post)))
    else:
        for line in run(roll_out.migrate(loaded, post=post)):
            typer.echo(line)


@words.command()
def shards(
    number: Annotated[int, typer.Argument(min=1, max=4096, help="How many there shall be; more than there are.")],
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long the workers may take to drain.")] = 300,
    config: Config = None,
) -> None:
    """Add shards, and partitions to every topic, while the workers run. They end by themselves: start them again."""
    loaded = settings_of(config)
    from service.grow import grow

    run(grow(loaded, number, wait, typer.echo))


@words.command()
def republish(
    new_cluster: Annotated[
        bool, typer.Option("--new-cluster", help="It is another Kafka: read its inputs from their beginning.")
    ] = False,
    rate: Annotated[float, typer.Option(min=1, metavar="RECORDS", help="How many a second at most.")] = 5000,
    config: Config = None,
) -> None:
    """Publish the whole log and every state once more. End all workers first; run it again if it was interrupted."""
    loaded = settings_of(config)
    from service.republish import republish

    run(republish(loaded, typer.echo, new_cluster=new_cluster, rate=rate))


@words.command()
def restore(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    config: Config = None,
) -> None:
    """After the database came back from a backup: go on behind what Kafka shows. End all processes first."""
    loaded = settings_of(config)
    from service.restore import restore

    run(restore(loaded, typer.echo, dry_run=dry_run))
