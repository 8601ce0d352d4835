"""The `regrant` command: each of its words loads what it needs and calls one function.

Exit codes: 0 done, 1 not well (doctor, demo) or refused (import), 2 wrong usage or set-up, 3 a part can't be reached,
130 interrupted.
"""

import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from schemas.fleet import LetterStatus
    from schemas.lifecycle import State
    from service.settings import Settings

Result = TypeVar("Result")

WRONG_SET_UP, UNREACHABLE, INTERRUPTED = 2, 3, 130

app = typer.Typer(
    name="regrant",
    help="Brings a broken data connector back to life: the whole re-authentication lifecycle as a service.",
    no_args_is_help=True,
    # A traceback with local variables would print secrets.
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="The keys that everything is sealed under.", no_args_is_help=True)
app.add_typer(keys, name="keys")
providers = typer.Typer(help="The catalogue of providers.", no_args_is_help=True)
app.add_typer(providers, name="providers")

dlq = typer.Typer(help="Dead letters: records that couldn't be handled.", no_args_is_help=True)
app.add_typer(dlq, name="dlq")

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file (REGRANT_CONFIG).")]
ConnectorArgument = Annotated[str, typer.Argument(metavar="ID", help="The connector's id, of whatever tenant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="How many days to look back.")]
OfProvider = Annotated[str | None, typer.Option("--provider", help="Only of this provider.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")]
Who = Annotated[str, typer.Option("--name", help="Who you are: the audit will say so.")]
LetterArgument = Annotated[str, typer.Argument(metavar="LETTER", help="The id of the dead letter.")]


@app.command()
def serve(
    role: Annotated[Literal["all", "api", "worker"], typer.Option(help="What this process does.")] = "all",
    config: Config = None,
) -> None:
    """Run the service until SIGTERM."""
    loaded = _settings(config)
    from service.app import serve

    _run(serve(loaded, role))


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the database and the topics to this version. Safe to run from many places at once."""
    loaded = _settings(config)
    from service.app import migrate

    for line in _run(migrate(loaded)):
        typer.echo(line)


@app.command()
def demo(
    ci: Annotated[bool, typer.Option("--ci", help="Run the stories without a browser, check them, and end.")] = False,
    people: Annotated[int, typer.Option(min=0, max=5000, help="Let so many customers of all temperaments come.")] = 0,
    as_json: AsJson = False,
    kafka: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Use this Kafka instead of our own.")] = None,
    postgres: Annotated[str | None, typer.Option(metavar="DSN", help="Use this database instead of our own.")] = None,
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 in a container.")] = "127.0.0.1",
) -> None:
    """Show the whole loop on this machine, with a real Kafka and a real PostgreSQL. Ctrl-C ends it."""
    from service.demo.run import demo

    raise typer.Exit(_run(demo(ci=ci, json=as_json, people=people, kafka=kafka, postgres=postgres, listen=listen)))


@app.command()
def simulator(
    host: str = "127.0.0.1",
    port_accounts: Annotated[int, typer.Option(help="Of the login pages.")] = 8701,
    port_oauth: Annotated[int, typer.Option(help="Of the token endpoints.")] = 8702,
    port_api: Annotated[int, typer.Option(help="Of the company data.")] = 8703,
    client_id: str | None = None,
    client_secret: str | None = None,
    redirect_uri: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    provider: Annotated[str | None, typer.Option(help="Play this one, from its description.")] = None,
    description: Annotated[list[Path] | None, typer.Option(help="A description of your own to know.")] = None,
) -> None:
    """Play the provider alone: Intuit's pages and endpoints by heart, or another's, with faults by switch."""
    from service.demo.simulator.run import play_of, run

    _run(
        run(
            host,
            port_accounts,
            port_oauth,
            port_api,
            client_id=client_id,
            client_secret=client_secret,
            redirect_uris=tuple(redirect_uri or ()),
            play=play_of(provider, description or []) if provider else None,
            announce=typer.echo,
        )
    )


@app.command()
def doctor(as_json: AsJson = False, config: Config = None) -> None:
    """Say what is missing or wrong with this set-up, and how to mend it."""
    from service.doctor import examine, printed
    from service.telemetry.logs import set_up_logs

    set_up_logs("critical", "console")  # what the clients would say, the findings say better
    findings = _run(examine(config))
    typer.echo(printed(findings, as_json=as_json))
    raise typer.Exit(0 if all(finding.is_ok for finding in findings) else 1)


@app.command()
def settings(
    as_json: AsJson = False,
    names: Annotated[bool, typer.Option("--names", help="List all variables that there are instead.")] = False,
    config: Config = None,
) -> None:
    """Print all settings, without secrets."""
    from service.settings.printed import listed, printed
    from service.settings.variables import variables

    shown = {v.name: v.sentence for v in variables()} if names else printed(_settings(config, logs=False))
    typer.echo(listed(shown, as_json=as_json))


@app.command()
def shards(
    number: Annotated[int, typer.Argument(min=1, max=4096, help="How many there shall be; more than there are.")],
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long the workers may take to drain.")] = 300,
    config: Config = None,
) -> None:
    """Add shards, and partitions to every topic, while the workers run. They end by themselves: start them again."""
    loaded = _settings(config)
    from service.grow import grow

    _run(grow(loaded, number, wait, typer.echo))


@app.command()
def expiring(
    within: Annotated[int, typer.Option(min=0, max=3650, metavar="DAYS", help="How many days ahead to look.")] = 30,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the connectors whose sign-in is known to end soon, over all tenants, and when their owners were warned."""
    loaded = _settings(config)
    from datetime import timedelta

    from service.terminal.expiring import as_json as in_json
    from service.terminal.expiring import expiring, printed

    found = _run(expiring(loaded, timedelta(days=within)))
    typer.echo(in_json(found) if as_json else "\n".join(printed(found)))


@app.command()
def console(
    name: Annotated[str, typer.Option(help="Who you are: the history will say so.")] = "operator",
    config: Config = None,
) -> None:
    """Print a link that opens the console once, in one browser, within three minutes."""
    loaded = _settings(config)
    from service.app import console_link

    typer.echo(_run(console_link(loaded, name)))


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only those of this provider.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 1000,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List connectors, over all tenants: their states, why, and who acts."""
    loaded = _settings(config)
    from service.terminal.listing import as_json as in_json
    from service.terminal.listing import listed, printed

    found = _run(listed(loaded, _state(state), provider, tenant, most))
    typer.echo(in_json(found) if as_json else "\n".join(printed(found)))


@app.command()
def why(connector: ConnectorArgument, as_json: AsJson = False, config: Config = None) -> None:
    """Say why a connector is in its state: what happened, what was tried, what is awaited, and who acts."""
    loaded = _settings(config)
    from service.terminal.stories import bundled, why_json, why_printed

    made = _run(bundled(loaded, connector))
    typer.echo(why_json(made) if as_json else "\n".join(why_printed(made)))


@app.command()
def timeline(connector: ConnectorArgument, as_json: AsJson = False, config: Config = None) -> None:
    """Tell what happened to a connector, in order, with what belongs to one attempt together."""
    loaded = _settings(config)
    from service.terminal.stories import bundled, timeline_json, timeline_printed

    made = _run(bundled(loaded, connector))
    told = timeline_json(made.timeline) if as_json else "\n".join(timeline_printed(made))
    typer.echo(told)


@app.command()
def bundle(
    connector: Annotated[str, typer.Argument(metavar="ID | replay", help="The connector's id; or the word replay.")],
    file: Annotated[Path | None, typer.Argument(help="After replay: the bundle to tell again.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it there; Markdown for *.md.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Make a connector's support bundle, without a secret; or tell one again from its file, without any database."""
    from service.terminal.stories import bundled, replay_json, replay_printed, written

    if file is not None:
        if connector != "replay":
            raise typer.BadParameter("only `regrant bundle replay FILE` takes a second word")
        typer.echo(replay_json(file) if as_json else "\n".join(replay_printed(file)))
        return
    typer.echo(written(_run(bundled(_settings(config), connector)), output, as_json=as_json))


@app.command()
def funnel(
    days: Days = 30,
    provider: OfProvider = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Count how far attempts came, step by step, and why the others stopped."""
    loaded = _settings(config)
    from service.terminal.fleet import asked_funnel, printed_funnel

    told = _run(asked_funnel(loaded, days, provider, tenant))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed_funnel(told)))


@app.command()
def errors(
    days: Days = 1, provider: OfProvider = None, tenant: OfTenant = None, as_json: AsJson = False, config: Config = None
) -> None:
    """Count what providers answered that was no success, by code, with a request id to ask them about."""
    loaded = _settings(config)
    from service.terminal.fleet import asked_errors, printed_errors

    told = _run(asked_errors(loaded, days, provider, tenant))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed_errors(told)))


@app.command()
def tap(
    tenant: OfTenant = None,
    most: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Follow what happens, a line each, until Ctrl-C."""
    loaded = _settings(config)
    from service.terminal.tap import tap

    async def follow() -> None:
        async for line in tap(loaded, tenant, most, as_json=as_json):
            typer.echo(line)

    _run(follow())


@app.command()
def top(
    every: Annotated[float, typer.Option(min=0.2, max=3600, metavar="SECONDS", help="How often to look.")] = 1,
    most: Annotated[int | None, typer.Option(min=1, help="End after so many looks.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Watch the fleet: how many stand where, what moves, who must act now. Ends by q or Ctrl-C."""
    loaded = _settings(config)
    from service.terminal.top import top

    _run(top(loaded, every, most, as_json=as_json))


@dlq.command("list")
def dlq_list(
    status: Annotated[
        str | None, typer.Option(help="Only those that are waiting, replaying, replayed, dropped.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List dead letters, the newest first."""
    loaded = _settings(config)
    from service.terminal.letters import listed, printed_list

    told = _run(listed(loaded, _status(status), most))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed_list(told)))


@dlq.command("explain")
def dlq_explain(letter: LetterArgument, as_json: AsJson = False, config: Config = None) -> None:
    """Say what is wrong with a dead letter, and what to do about it."""
    loaded = _settings(config)
    from service.terminal.letters import explained, printed

    told = _run(explained(loaded, letter))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed(told)))


@dlq.command("replay")
def dlq_replay(letter: LetterArgument, name: Who = "operator", as_json: AsJson = False, config: Config = None) -> None:
    """Have a worker write a dead letter's record to its topic again."""
    _decide(letter, "replay", name, as_json=as_json, config=config)


@dlq.command("drop")
def dlq_drop(letter: LetterArgument, name: Who = "operator", as_json: AsJson = False, config: Config = None) -> None:
    """Decide that a dead letter isn't needed. It is kept."""
    _decide(letter, "drop", name, as_json=as_json, config=config)


def _decide(letter: str, fate: Literal["replay", "drop"], name: str, *, as_json: bool, config: Path | None) -> None:
    loaded = _settings(config)
    from service.terminal.letters import decided, printed

    told = _run(decided(loaded, letter, fate, name))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed(told)))


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A JSON object a line; see docs/tokens.md.")
    ],
    config: Config = None,
) -> None:
    """Import credentials that a host has already: sealed on arrival, and proved by the provider before they count."""
    loaded = _settings(config)
    from service.app import import_credentials

    refused = _run(import_credentials(loaded, file.read_bytes().splitlines(), typer.echo))
    raise typer.Exit(1 if refused else 0)


@app.command()
def schemas(
    name: Annotated[str | None, typer.Argument(help="Print this one, for example asyncapi.json.")] = None,
) -> None:
    """List the contracts (JSON Schema, AsyncAPI, OpenAPI), or print one."""
    from schemas.documents import documents, text

    there = documents()
    if name is None:
        typer.echo("\n".join(sorted(there)))
    elif name in there:
        typer.echo(text(there[name]), nl=False)
    else:
        raise typer.BadParameter(f"there is no {name}: `regrant schemas` lists them")


@keys.command("new")
def keys_new(folder: Path) -> None:
    """Make the next key in FOLDER; the newest seals from then on. Keep all of them safe: nothing opens without."""
    from service.vault.keys import generate_key_file

    typer.echo(f"{generate_key_file(folder)} is made: keep a copy where the database's backups are not")


@keys.command("list")
def keys_list(as_json: AsJson = False, config: Config = None) -> None:
    """List the keys: which one wraps, how many data keys each one is needed for, and what is retired."""
    loaded = _settings(config)
    import json

    from service import keys

    found = _run(keys.listed(loaded))
    typer.echo(json.dumps(keys.as_json(found), indent=2) if as_json else "\n".join(keys.printed(found)))


@keys.command("rotate")
def keys_rotate(config: Config = None) -> None:
    """Make the next key where the settings say that keys are. It wraps at once; the older ones still open."""
    loaded = _settings(config)
    from service.keys import rotate

    _run(rotate(loaded, typer.echo))


@keys.command("rewrap")
def keys_rewrap(config: Config = None) -> None:
    """Bring all data keys under the newest key. Workers do so, too; it may be interrupted and run again."""
    loaded = _settings(config)
    from service.keys import rewrap

    _run(rewrap(loaded, typer.echo))


@keys.command("retire")
def keys_retire(number: int, config: Config = None) -> None:
    """Refuse key NUMBER for good. Not possible while it wraps, or while a data key needs it."""
    loaded = _settings(config)
    from service.keys import retire

    _run(retire(loaded, number, typer.echo))


@providers.command("list")
def providers_list(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Descriptions of your own.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the providers that there are, and what is particular about each."""
    from service.oauth.catalogue import listed

    typer.echo(listed(files or [], as_json=as_json))


@providers.command("check")
def providers_check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Descriptions of your own.")],
) -> None:
    """Check descriptions: every fault with its file, line and field. Exit code 2 where there is one."""
    from service.oauth.catalogue import checked

    for line in checked(files):
        typer.echo(line)


def _state(given: str | None) -> "State | None":
    from schemas.lifecycle import State

    if given is not None and given not in set(State):
        raise typer.BadParameter(f"there is no state {given}: there are {', '.join(State)}", param_hint="--state")
    return State(given) if given else None


def _status(given: str | None) -> "LetterStatus | None":
    from schemas.fleet import LetterStatus

    if given is not None and given not in set(LetterStatus):
        raise typer.BadParameter(f"there is no {given}: there are {', '.join(LetterStatus)}", param_hint="--status")
    return LetterStatus(given) if given else None


def _settings(config: Path | None, *, logs: bool = True) -> "Settings":
    from service.settings import load
    from service.telemetry.logs import set_up_logs

    loaded = load(config=config)
    if logs:
        set_up_logs(loaded.log.level, loaded.log.format)
    return loaded


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    import uvloop

    return uvloop.run(work)


def main() -> None:
    """The console script. Errors that an operator can mend are one line; any other shows where it happened."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        code, line = told
        typer.echo(f"regrant: {line}", err=True)
        sys.exit(code)


def _told(error: BaseException) -> tuple[int, str] | None:
    """The exit code and the line for an error; `None` unless everything in it is known."""
    told = [_told_one(one) for one in _leaves(error)]
    return None if None in told else told[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _told_one(error: BaseException) -> tuple[int, str] | None:
    import asyncpg
    from aiokafka.errors import KafkaConnectionError

    from service.app import NotMigrated, TopicsUnfit
    from service.grow import CannotGrow
    from service.http.auth import WeakKey
    from service.keys import StillNeeded
    from service.oauth.description import BadDescription
    from service.settings import SettingsError
    from service.store.environments import EnvironmentChanged
    from service.store.migrate import ShardsDiffer
    from service.telemetry.logs import redacted_text
    from service.terminal.letters import Settled, UnknownLetter
    from service.terminal.stories import NoBundle, UnknownConnector
    from service.vault.keys import NoKey, SourceAway

    set_up = (
        SettingsError
        | NoKey
        | WeakKey
        | ShardsDiffer
        | NotMigrated
        | TopicsUnfit
        | BadDescription
        | CannotGrow
        | EnvironmentChanged
    )
    if isinstance(error, SourceAway):
        return UNREACHABLE, str(error)
    if isinstance(error, set_up | StillNeeded | UnknownConnector | NoBundle | UnknownLetter | Settled):
        return WRONG_SET_UP, str(error)
    line = redacted_text(" ".join(str(error).split()))
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError() | asyncpg.InvalidCatalogNameError():
            return WRONG_SET_UP, f"REGRANT_DATABASE__DSN: the database refuses us: {line}"
        case KafkaConnectionError():
            return UNREACHABLE, f"Kafka can't be reached: {line}; `regrant doctor` looks closer"
        case ConnectionError() | asyncpg.CannotConnectNowError():
            return UNREACHABLE, f"can't connect: {line}; `regrant doctor` looks closer"
        case _:
            return None


if __name__ == "__main__":
    main()
