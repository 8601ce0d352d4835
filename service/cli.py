"""The `regrant` command: each of its words loads what it needs and calls one function.

Exit codes: 0 done, 1 not well (doctor, demo) or refused (import), 2 wrong usage or set-up, 3 a part can't be reached,
130 interrupted.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.words import keys, letters, operate, providers
from service.words.shared import AsJson, Config, run, settings_of

if TYPE_CHECKING:
    from schemas.lifecycle import State

WRONG_SET_UP, UNREACHABLE, INTERRUPTED = 2, 3, 130

app = typer.Typer(
    name="regrant",
    help="Brings a broken data connector back to life: the whole re-authentication lifecycle as a service.",
    no_args_is_help=True,
    # A traceback with local variables would print secrets.
    pretty_exceptions_enable=False,
)
app.add_typer(operate.words)
app.add_typer(keys.words, name="keys")
app.add_typer(providers.words, name="providers")
app.add_typer(letters.words, name="dlq")

ConnectorArgument = Annotated[str, typer.Argument(metavar="ID", help="The connector's id, of whatever tenant.")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="How many days to look back.")]
OfProvider = Annotated[str | None, typer.Option("--provider", help="Only of this provider.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")]


@app.command()
def serve(
    role: Annotated[Literal["all", "api", "worker"], typer.Option(help="What this process does.")] = "all",
    config: Config = None,
) -> None:
    """Run the service until SIGTERM."""
    loaded = settings_of(config)
    from service.app import serve

    run(serve(loaded, role))


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

    raise typer.Exit(run(demo(ci=ci, json=as_json, people=people, kafka=kafka, postgres=postgres, listen=listen)))


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
    from service.demo.simulator import run as simulator

    run(
        simulator.run(
            host,
            port_accounts,
            port_oauth,
            port_api,
            client_id=client_id,
            client_secret=client_secret,
            redirect_uris=tuple(redirect_uri or ()),
            play=simulator.play_of(provider, description or []) if provider else None,
            announce=typer.echo,
        )
    )


@app.command()
def doctor(as_json: AsJson = False, config: Config = None) -> None:
    """Say what is missing or wrong with this set-up, and how to mend it."""
    from service.doctor import examine, printed
    from service.telemetry.logs import set_up_logs

    set_up_logs("critical", "console")  # what the clients would say, the findings say better
    findings = run(examine(config))
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

    shown = {v.name: v.sentence for v in variables()} if names else printed(settings_of(config, logs=False))
    typer.echo(listed(shown, as_json=as_json))


@app.command()
def expiring(
    within: Annotated[int, typer.Option(min=0, max=3650, metavar="DAYS", help="How many days ahead to look.")] = 30,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the connectors whose sign-in is known to end soon, over all tenants, and when their owners were warned."""
    loaded = settings_of(config)
    from datetime import timedelta

    from service.terminal.expiring import as_json as in_json
    from service.terminal.expiring import expiring, printed

    found = run(expiring(loaded, timedelta(days=within)))
    typer.echo(in_json(found) if as_json else "\n".join(printed(found)))


@app.command()
def console(
    name: Annotated[str, typer.Option(help="Who you are: the history will say so.")] = "operator",
    config: Config = None,
) -> None:
    """Print a link that opens the console once, in one browser, within three minutes."""
    loaded = settings_of(config)
    from service.app import console_link

    typer.echo(run(console_link(loaded, name)))


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
    loaded = settings_of(config)
    from service.terminal.listing import as_json as in_json
    from service.terminal.listing import listed, printed

    found = run(listed(loaded, _state(state), provider, tenant, most))
    typer.echo(in_json(found) if as_json else "\n".join(printed(found)))


@app.command()
def why(connector: ConnectorArgument, as_json: AsJson = False, config: Config = None) -> None:
    """Say why a connector is in its state: what happened, what was tried, what is awaited, and who acts."""
    loaded = settings_of(config)
    from service.terminal.stories import bundled, why_json, why_printed

    made = run(bundled(loaded, connector))
    typer.echo(why_json(made) if as_json else "\n".join(why_printed(made)))


@app.command()
def timeline(connector: ConnectorArgument, as_json: AsJson = False, config: Config = None) -> None:
    """Tell what happened to a connector, in order, with what belongs to one attempt together."""
    loaded = settings_of(config)
    from service.terminal.stories import bundled, timeline_json, timeline_printed

    made = run(bundled(loaded, connector))
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
    typer.echo(written(run(bundled(settings_of(config), connector)), output, as_json=as_json))


@app.command()
def funnel(
    days: Days = 30,
    provider: OfProvider = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Count how far attempts came, step by step, and why the others stopped."""
    loaded = settings_of(config)
    from service.terminal.fleet import asked_funnel, printed_funnel

    told = run(asked_funnel(loaded, days, provider, tenant))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed_funnel(told)))


@app.command()
def errors(
    days: Days = 1, provider: OfProvider = None, tenant: OfTenant = None, as_json: AsJson = False, config: Config = None
) -> None:
    """Count what providers answered that was no success, by code, with a request id to ask them about."""
    loaded = settings_of(config)
    from service.terminal.fleet import asked_errors, printed_errors

    told = run(asked_errors(loaded, days, provider, tenant))
    typer.echo(told.model_dump_json(indent=2) if as_json else "\n".join(printed_errors(told)))


@app.command()
def tap(
    tenant: OfTenant = None,
    most: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Follow what happens, a line each, until Ctrl-C."""
    loaded = settings_of(config)
    from service.terminal.tap import tap

    async def follow() -> None:
        async for line in tap(loaded, tenant, most, as_json=as_json):
            typer.echo(line)

    run(follow())


@app.command()
def top(
    every: Annotated[float, typer.Option(min=0.2, max=3600, metavar="SECONDS", help="How often to look.")] = 1,
    most: Annotated[int | None, typer.Option(min=1, help="End after so many looks.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Watch the fleet: how many stand where, what moves, who must act now. Ends by q or Ctrl-C."""
    loaded = settings_of(config)
    from service.terminal.top import top

    run(top(loaded, every, most, as_json=as_json))


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A JSON object a line; see docs/tokens.md.")
    ],
    config: Config = None,
) -> None:
    """Import credentials that a host has already: sealed on arrival, and proved by the provider before they count."""
    loaded = settings_of(config)
    from service.app import import_credentials

    refused = run(import_credentials(loaded, file.read_bytes().splitlines(), typer.echo))
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


def _state(given: str | None) -> "State | None":
    from schemas.lifecycle import State

    if given is not None and given not in set(State):
        raise typer.BadParameter(f"there is no state {given}: there are {', '.join(State)}", param_hint="--state")
    return State(given) if given else None


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

    from service.adapters.mapping import BadMapping
    from service.app import NotMigrated
    from service.grow import CannotGrow
    from service.http.auth import WeakKey
    from service.kafka.republish import CannotRepublish
    from service.keys import StillNeeded
    from service.oauth.description import BadDescription
    from service.restore import CannotRestore
    from service.roll_out import TopicsUnfit
    from service.settings import SettingsError
    from service.store.environments import EnvironmentChanged
    from service.store.migrate import CannotMigrate
    from service.telemetry.redaction import redacted_text
    from service.telemetry.traces import TracesMissing
    from service.terminal.letters import Settled, UnknownLetter
    from service.terminal.stories import NoBundle, UnknownConnector
    from service.vault.keys import NoKey, SourceAway
    from service.webhooks.signing import BadSecret

    set_up = (
        SettingsError
        | NoKey
        | BadSecret
        | BadMapping
        | WeakKey
        | CannotMigrate
        | CannotRepublish
        | CannotRestore
        | NotMigrated
        | TopicsUnfit
        | BadDescription
        | CannotGrow
        | EnvironmentChanged
        | TracesMissing
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
