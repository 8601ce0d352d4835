"""`regrant why`, `timeline`, `bundle` and `bundle replay`: one connector's story, from the database or from a file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import orjson
from pydantic import ValidationError

from schemas.bundle import FORMAT, Chapter, SupportBundle
from schemas.ids import ConnectorId
from service.insight.bundle import bundle, material
from service.insight.bundle_text import markdown
from service.insight.replay import PathStep, Replay, replayed
from service.oauth.configured import configured_providers
from service.oauth.described import described
from service.settings import Settings
from service.settings.printed import told_to_support
from service.terminal.database import connected
from service.terminal.tables import bold, in_colour_of, table, when, wrapped


class UnknownConnector(Exception):
    """No connector has that id."""

    def __init__(self, id_: str) -> None:
        super().__init__(f"no connector has the id {id_!r}: `regrant list` shows those that there are")


class NoBundle(Exception):
    """A file that isn't a support bundle of a format that is known here."""


async def bundled(settings: Settings, id_: str) -> SupportBundle:
    """The connector's bundle, of whatever tenant it is. Raises `UnknownConnector`."""
    providers = configured_providers(settings)
    async with connected(settings) as connection:
        found = await material(connection, ConnectorId(id_))
    if found is None:
        raise UnknownConnector(id_)
    return bundle(found, described(providers, found.connector.provider), told_to_support(settings))


def read_bundle(file: Path) -> SupportBundle:
    """A bundle from its file. Raises `NoBundle`."""
    try:
        told = orjson.loads(file.read_bytes())
        format_ = told.get("format") if isinstance(told, dict) else None
        if format_ != FORMAT:
            raise NoBundle(f"{file} is no support bundle that is known here: its format is {format_}, not {FORMAT}")
        return SupportBundle.model_validate(told)
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise NoBundle(f"{file} can't be read as a support bundle: {type(error).__name__}") from None


def written(made: SupportBundle, file: Path | None, *, as_json: bool) -> str:
    """Writes it to the file, as Markdown where that ends in `.md`; what is printed then, or the bundle itself."""
    if file is None:
        return (_json(made) if as_json else markdown(made)).rstrip("\n")
    file.write_text(markdown(made) if file.suffix == ".md" else _json(made) + "\n", "utf-8")
    return f"{file} is written: {file.stat().st_size:,} bytes, no secret among them"


# Why.


def why_printed(made: SupportBundle) -> list[str]:
    return list(_why(made))


def _why(made: SupportBundle) -> Iterator[str]:
    why, c = made.why, made.connector
    yield f"{bold(c.connector_id)} of {c.tenant_id} is {in_colour_of(why.state)} since {when(why.since)}"
    yield ""
    yield from wrapped(why.paragraph)
    yield ""
    yield from wrapped(f"who acts: {why.who}")
    yield from wrapped(f"next: {why.next}")
    if why.events:
        yield ""
        yield from table(
            ("version", "at", "what happened", "from", "to", "reason"),
            [(str(e.version), when(e.at), e.trigger, e.from_ or "-", e.to or "-", e.reason or "-") for e in why.events],
        )


def why_json(made: SupportBundle) -> str:
    return made.why.model_dump_json(by_alias=True, indent=2)


# The timeline.


def timeline_printed(made: SupportBundle) -> list[str]:
    return list(_timeline(made.timeline, made.left_out))


def _timeline(chapters: Sequence[Chapter], left_out: bool) -> Iterator[str]:
    if left_out:
        yield "older entries are left out"
    for chapter in chapters:
        yield bold(f"attempt {chapter.attempt_id}" if chapter.attempt_id else "outside of attempts")
        for one in chapter.happenings:
            version = f"v{one.entry.version}" if one.entry.version else ""
            yield from wrapped(f"{when(one.at)}  {version:<5} {one.text}", "  ")


def timeline_json(chapters: Iterable[Chapter]) -> str:
    return _listed(chapter.model_dump(mode="json", by_alias=True) for chapter in chapters)


# Replay.


def replay_printed(file: Path) -> list[str]:
    made = read_bundle(file)
    return list(_replay(made, replayed(made)))


def _replay(made: SupportBundle, told: Replay) -> Iterator[str]:
    c = made.connector
    yield f"{bold(c.connector_id)} of {c.tenant_id}, as it was on {when(made.made_at)}: {in_colour_of(c.state)}"
    yield f"made by regrant {made.regrant_version}; {made.provider.title}, description {made.provider.description}"
    yield ""
    yield from wrapped(told.why.paragraph)
    yield ""
    yield from wrapped(f"who acts: {told.why.who}")
    yield from wrapped(f"next: {told.why.next}")
    if not told.is_the_same:
        yield ""
        yield from wrapped(f"the bundle itself told it otherwise: {made.why.from_the_log}")
    yield ""
    yield bold("the path")
    for step in told.steps:
        yield f"  v{step.version:<4} {when(step.at)}  {_arrow(step)}  by {step.trigger}" + (
            f" ({step.reason})" if step.reason else ""
        )
    yield ""
    yield bold("the timeline")
    yield from _timeline(told.timeline, made.left_out)
    if made.attempts:
        yield ""
        yield from table(
            ("attempt", "opened", "by", "for", "reached", "status", "because"),
            [
                (
                    str(one.attempt_id)[:8],
                    when(one.opened_at),
                    one.opened_by,
                    one.person or "-",
                    one.step or "-",
                    one.status,
                    one.because or "-",
                )
                for one in made.attempts
            ],
        )


def _arrow(step: PathStep) -> str:
    to = in_colour_of(step.to)
    return to if step.source is step.to else f"{in_colour_of(step.source)} → {to}"


def replay_json(file: Path) -> str:
    told = replayed(read_bundle(file))
    shown = {
        "why": told.why.model_dump(mode="json", by_alias=True),
        "is_the_same": told.is_the_same,
        "path": [
            {
                "version": step.version,
                "at": step.at.isoformat(),
                "from": step.source,
                "to": step.to,
                "trigger": step.trigger,
                "reason": step.reason,
            }
            for step in told.steps
        ],
        "timeline": [chapter.model_dump(mode="json", by_alias=True) for chapter in told.timeline],
    }
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def _listed(told: Iterable[object]) -> str:
    return orjson.dumps(list(told), option=orjson.OPT_INDENT_2).decode()


def _json(made: SupportBundle) -> str:
    return made.model_dump_json(by_alias=True, indent=2)
